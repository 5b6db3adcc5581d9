"""Prints an ``.env`` for docker-compose.yaml with fresh secrets: ``python3 docker/new_env.py > .env``.

The names are those of ``.env.example``; the code version is the checkout's commit.
"""

import base64
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE_VERSION = "CREDITRISK_CODE_VERSION"


def code_version() -> str:
    """The checkout's commit, marked where files differ from it; it becomes an image's tag."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def filled_in(example: str) -> Iterator[str]:
    """The lines of the example, every empty value filled in."""
    for line in example.splitlines():
        name, is_setting, value = line.partition("=")
        if line.startswith("#") or not is_setting or value:
            yield line
        elif name == CODE_VERSION:
            yield f"{name}={code_version()}"
        elif name.endswith("_KEY"):  # Fernet's form, and long enough for any other key
            yield f"{name}={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}"
        elif name.endswith("_SECRET"):
            yield f"{name}={secrets.token_urlsafe(64)}"
        else:
            yield f"{name}={secrets.token_urlsafe(24)}"


if __name__ == "__main__":
    print("\n".join(filled_in((ROOT / ".env.example").read_text())))
