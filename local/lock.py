"""Resolves the locks anew: ``python -m local.lock``.

The first holds everything; the others are parts of it, compiled with its versions as their bounds. Each command
stands in the head of the file it writes. ``--upgrade`` takes newer releases where the inputs allow them.
"""

import subprocess
import sys
from typing import Final

from creditrisk.settings import PROJECT_ROOT

_FORM: Final = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url")
_WITHOUT_SPARK_CLIENT: Final = ("--override", "overrides.txt")
_WITHIN_THE_LOCK: Final = ("-c", "requirements.txt")

LOCKS: Final = {
    "requirements.txt": ("requirements.in", *_WITHOUT_SPARK_CLIENT),
    "docker/requirements.txt": ("docker/requirements.in", *_WITHIN_THE_LOCK, *_WITHOUT_SPARK_CLIENT),
    "serving/requirements.txt": ("serving/requirements.in", *_WITHIN_THE_LOCK),
}
"""Each lock with what it is compiled from, in the order in which they are."""


def commands(*options: str) -> list[list[str]]:
    """The words of each command, after ``uv``."""
    return [["pip", "compile", *inputs, *_FORM, "-o", lock, *options] for lock, inputs in LOCKS.items()]


def main(arguments: list[str]) -> int:
    """Compile all locks; 0 if that went well. The part locks follow the first when it is upgraded."""
    for number, words in enumerate(commands("--quiet")):
        upgrade = arguments if number == 0 else []
        code = subprocess.call([sys.executable, "-m", "uv", *words, *upgrade], cwd=PROJECT_ROOT)
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
