"""Where results come from: the code's version and the versions of the libraries they depend on."""

import os
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from creditrisk.settings import PROJECT_ROOT


@cache
def code_version() -> str:
    """The commit this code was built from, with ``-dirty`` where files differ from it.

    An image has no checkout: its build sets ``CREDITRISK_CODE_VERSION``. ``unknown`` where neither is there.
    """
    built_in = os.environ.get("CREDITRISK_CODE_VERSION")
    if built_in:
        return built_in
    try:
        described = subprocess.run(
            ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def container_image() -> str | None:
    """The image this process runs from, where whoever started it said so in ``CREDITRISK_IMAGE``."""
    return os.environ.get("CREDITRISK_IMAGE") or None


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name; those that are not installed are left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
