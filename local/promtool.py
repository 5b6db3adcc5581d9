"""Prometheus's own checker of rules: the machine's, else Debian's unpacked under ``var/promtool``."""

import shutil
from pathlib import Path

from local.java import unpack
from local.progress import StackError

PACKAGE = "prometheus"


def promtool(unpacked: Path) -> Path:
    """The program, unpacked into the given folder where the machine has none; no root needed.

    Raises:
        StackError: there is none, and apt has none.
    """
    on_path = shutil.which("promtool")
    if on_path:
        return Path(on_path)
    program = unpacked / "usr" / "bin" / "promtool"
    if program.exists() or (shutil.which("apt-get") and shutil.which("dpkg") and unpack(PACKAGE, unpacked)):
        return program
    raise StackError(
        "promtool was not found: install Prometheus (Debian or Ubuntu: apt-get install prometheus)"
    )
