"""The two Python environments, made from their locks: ``python3 -m local.environments``.

Runs on any Python 3 with nothing but its standard library, since there is no environment yet. Each environment
is stamped with the hash of what it was made from, and only made again when that changes.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.txt"
SERVING_LOCK = ROOT / "serving" / "requirements.txt"
OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)
STAMP = "made-from"


class CannotMake(Exception):
    """An environment cannot be made; the message is one line that says what to do."""


def make(environment: Path, lock: Path) -> None:
    """Bring one environment to its lock, unless it is there already.

    Exactly the lock is installed, each file by its hash, and nothing that a package asks for beside it.
    """
    stamp = environment / STAMP
    wanted = stamp_of(lock)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Making {environment.name} from {lock.relative_to(ROOT)} …", flush=True)
    if environment.exists() and not (
        stamp.exists() and stamp.read_text().splitlines()[1:] == wanted.splitlines()[1:]
    ):
        shutil.rmtree(str(environment))  # of another Python, or moved here from another folder
    if not environment.exists():
        run([sys.executable, "-m", "venv", str(environment)], "python3 -m venv failed", venv_advice())
        pip = [
            str(environment / "bin" / "python"),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
        ]
        run([*pip, "--no-deps", locked_uv()], "pip could not install uv", "is there a network?")
    stamp.write_text("\n".join(["unfinished", *wanted.splitlines()[1:], ""]))
    python = str(environment / "bin" / "python")
    uv = [str(ROOT / ".venv" / "bin" / "python"), "-m", "uv", "pip", "sync", "--quiet", "--python", python]
    run([*uv, "--require-hashes", str(lock)], f"uv could not install {lock.name}", "see the lines above")
    stamp.write_text(wanted)


def stamp_of(lock: Path) -> str:
    """What an environment is made from: its lock and this Python."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    return f"{digest}\n{sys.version.split()[0]}\n{ROOT}\n"


def locked_uv() -> str:
    """The installer, as the lock pins it."""
    found = re.search(r"^uv==[^ \\]+", LOCK.read_text(), re.MULTILINE)
    if not found:
        raise CannotMake("requirements.txt pins no uv")
    return found.group(0)


def venv_advice() -> str:
    """What a person does about a Python that cannot make environments."""
    return f"on Debian or Ubuntu: apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv"


def run(command: list[str], problem: str, advice: str) -> None:
    """Run a command to its end."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_REQ"))
    }
    scratch = ROOT / "var" / "tmp"  # uv leaves lock files in its own
    scratch.mkdir(parents=True, exist_ok=True)
    if subprocess.call(command, env={**environment, "TMPDIR": str(scratch)}) != 0:
        raise CannotMake(f"{problem}: {advice}")


def main() -> None:
    """Make what is missing."""
    if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        raise CannotMake(
            f"Python 3.11 to 3.13 is needed, and {sys.executable} is {sys.version.split()[0]}: "
            "give another, as in: make run PYTHON=python3.11"
        )
    make(ROOT / ".venv", LOCK)
    make(ROOT / ".venv-serving", SERVING_LOCK)


if __name__ == "__main__":
    try:
        main()
    except CannotMake as error:
        print(f"creditrisk: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("creditrisk: interrupted; the next make goes on from here", file=sys.stderr)
        sys.exit(1)
