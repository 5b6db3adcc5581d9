"""The Java that Spark runs on: the machine's own 17 or 21, else a JRE unpacked under ``var/java``."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from local.progress import StackError

FITTING = (17, 21)
PACKAGES = tuple(f"openjdk-{release}-jre-headless" for release in FITTING)
_MACOS_HOMES = ("/opt/homebrew/opt/openjdk@{}", "/usr/local/opt/openjdk@{}")
_ADVICE = (
    "Java 17 or 21 is needed and none was found: install one "
    "(Debian or Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17), or set JAVA_HOME"
)


def java_home(unpacked: Path) -> Path:
    """The home of a fitting Java, unpacked into the given folder where the machine has none.

    Raises:
        StackError: there is none, and none could be had.
    """
    found = find(unpacked)
    if found is None and shutil.which("apt-get") and shutil.which("dpkg"):
        for package in PACKAGES:
            if unpack(package, unpacked):
                found = find(unpacked)
                break
    if found is None:
        raise StackError(_ADVICE)
    return found


def find(unpacked: Path) -> Path | None:
    """The home of a fitting Java that is there already, or None."""
    return next((home for home in _candidates(unpacked) if release_of(home) in FITTING), None)


def release_of(home: Path) -> int | None:
    """The feature release of the Java in a folder, or None where there is none that starts."""
    try:
        shown = subprocess.run(
            # A JVM leaves a file in /tmp unless it is told not to.
            [str(home / "bin" / "java"), "-XX:-UsePerfData", "-version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', shown.stderr)
    return int(found[1]) if found else None


def _candidates(unpacked: Path) -> Iterator[Path]:
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"])
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path).resolve().parent.parent
    for release in FITTING:
        yield from sorted(Path("/usr/lib/jvm").glob(f"*{release}*"))
        yield from (Path(home.format(release)) for home in _MACOS_HOMES)
    yield from sorted(unpacked.glob("usr/lib/jvm/java-*"))


def unpack(package: str, folder: Path) -> bool:
    """Download a Debian package with apt, own lists and cache, and unpack it: no root needed.

    Returns:
        Whether apt had the package.
    """
    downloads = folder / "packages"
    for place in ("lists/partial", "cache/archives/partial", "packages"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    options = [
        f"Dir::State::Lists={folder}/lists", f"Dir::Cache={folder}/cache", "APT::Sandbox::User=",
        "Dir::State::status=/var/lib/dpkg/status", "Acquire::Retries=3",
    ]  # fmt: skip
    apt = ["apt-get", "--quiet=2", *(word for option in options for word in ("-o", option))]
    for command in ([*apt, "update"], [*apt, "download", package]):
        if subprocess.run(command, cwd=downloads, capture_output=True, check=False).returncode != 0:
            return False
    for archive in downloads.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(archive), str(folder)], check=True)
    make_links_relative(folder)
    return True


def make_links_relative(folder: Path) -> None:
    """Point the package's links to ``/etc/…`` at the unpacked files: without root nothing stands in ``/etc``."""
    for link in folder.rglob("*"):
        if link.is_symlink() and os.readlink(link).startswith("/etc/"):  # noqa: PTH115 - absolute, as written
            target = folder / os.readlink(link).lstrip("/")  # noqa: PTH115
            link.unlink()
            link.symlink_to(os.path.relpath(target, link.parent))
