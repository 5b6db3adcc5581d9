"""The files of a spool: each one worker's, only ever appended to, and removed when all of it is in Postgres.

A segment is locked by the worker that owns it for as long as that lives, so that whoever can lock one may adopt
it. It appears under its name only once it is locked. Its name begins with the millisecond it was made in.
"""

import fcntl
import os
import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Self

SUFFIX = ".segment"
_UNNAMED_SUFFIX = ".new"
_NAME = re.compile(r"\d{13}-[0-9a-f]{12}\.segment")


@dataclass(slots=True, eq=False)
class Segment:
    """A segment that this process holds the lock of."""

    path: Path
    descriptor: int
    size: int
    """Bytes of whole lines, for a segment of our own; of an adopted one, all that there is."""
    shipped: int = 0
    """Bytes that are in Postgres."""
    opened: float = field(default_factory=time.monotonic)

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new segment, in a folder that is made where it is missing.

        Raises:
            OSError: it cannot be made.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{time.time_ns() // 1_000_000:013d}-{uuid.uuid4().hex[:12]}{SUFFIX}"
        unnamed = path.with_suffix(_UNNAMED_SUFFIX)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(unnamed, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(path)
            _sync_folder(folder)
        except OSError:
            os.close(descriptor)
            for name in (unnamed, path):
                name.unlink(missing_ok=True)
            raise
        return cls(path, descriptor, size=0)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """The segment of a worker that is gone; None where its owner lives, or it is gone itself."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            return None
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            if path.stat().st_ino == found.st_ino:  # else its owner removed it before letting go
                return cls(path, descriptor, size=found.st_size)
        os.close(descriptor)
        return None

    def write(self, lines: bytes) -> None:
        """Append whole lines by one write, all of them or none.

        Raises:
            OSError: they cannot be written. What came of them is cut off, or known by its checksum to be torn.
        """
        try:
            written = os.write(self.descriptor, lines)
            if written != len(lines):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
            raise
        self.size += written

    def sync(self) -> None:
        """Return when all of it is on the disk; raises OSError."""
        os.fsync(self.descriptor)

    def read(self, most: int) -> bytes:
        """The next bytes to ship: whole lines of about ``most`` bytes in all.

        Only the last of a segment may be a line without an end, and only a torn one is.
        """
        while True:
            left = self.size - self.shipped
            lines = os.pread(self.descriptor, min(most, left), self.shipped)
            if len(lines) == left:
                return lines
            end = lines.rfind(b"\n") + 1
            if end:
                return lines[:end]
            most *= 2

    def close(self) -> None:
        """Let go of it: another worker may adopt it."""
        os.close(self.descriptor)

    def remove(self) -> None:
        """Remove it and let go of it."""
        self.path.unlink(missing_ok=True)
        self.close()


def segment_files(folder: Path) -> list[Path]:
    """Every segment of a folder, whoever owns it, oldest first; none where the folder is missing."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name))


def sweep(folder: Path) -> None:
    """Remove what workers left that were killed between making a segment and naming it."""
    for path in folder.glob(f"*{_UNNAMED_SUFFIX}"):
        unnamed = Segment.adopt(path)
        if unnamed:
            unnamed.remove()


def made_at(path: Path) -> float:
    """When a segment was made, in seconds since the epoch."""
    return int(path.name.partition("-")[0]) / 1000


def _sync_folder(folder: Path) -> None:
    """Have the folder's list of names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
