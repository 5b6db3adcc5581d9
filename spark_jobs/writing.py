"""Writing a snapshot's files aside, and moving them into the lake once they are all there.

On disk the staging folder lies in the lake itself, so that moving is a rename. For a lake in S3 it lies under
``var_dir``, and the files are uploaded. A snapshot exists when its manifest does, which comes last.
"""

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame

from creditrisk.contract import TRAINING_SET_COLUMNS
from creditrisk.errors import ObjectExists, StorageError
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage

SNAPSHOT, QUARANTINE, INPUTS = "snapshot", "quarantine", "inputs"
LOANS, CUSTOMERS, TRAINING_SET = "loans", "customers", "features.csv"
_LOCK = "in-use.lock"
_CHUNK = 1 << 20


@contextmanager
def staging_folder(settings: Settings, lake: Storage, as_of: date) -> Iterator[Path]:
    """A folder of this run's own, removed at its end; those that killed runs left are removed first.

    The run holds a lock in its folder, which the system lets go when the process ends, however it ends.
    """
    parent = (lake.local_root or settings.var_dir.absolute() / "spark") / "staging"
    parent.mkdir(parents=True, exist_ok=True)
    for leaving in parent.iterdir():
        _remove_unless_in_use(leaving)
    folder = parent / f"{as_of}-{uuid.uuid4().hex[:12]}"
    folder.mkdir()
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                parent.rmdir()  # where no other run is at work


def write_parquet(rows: DataFrame, folder: Path) -> None:
    """Write rows as the Parquet files of a folder."""
    rows.write.parquet(f"file:{folder}")
    _keep_only(folder, ".parquet")


def write_training_set(rows: DataFrame, target: Path) -> None:
    """Write rows as one CSV file with a header: Spark writes the parts side by side, they are joined here."""
    parts = target.with_name(target.name + ".parts")
    rows.write.csv(f"file:{parts}", header=False, emptyValue="", nullValue="")
    with target.open("wb") as file:
        file.write((",".join(TRAINING_SET_COLUMNS) + "\n").encode())
        for part in sorted(parts.glob("part-*")):
            with part.open("rb") as content:
                shutil.copyfileobj(content, file, _CHUNK)
    shutil.rmtree(parts)


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its key."""
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            hashes[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def commit(catalog: SnapshotCatalog, staged: Path, manifest: SnapshotManifest) -> bool:
    """Move a staged snapshot and its quarantine into the lake, and make it exist.

    Returns:
        Whether it is new; where the same content is there already, nothing is written.
    """
    snapshot = SnapshotId.parse(manifest.snapshot)
    is_new = not catalog.exists(snapshot)
    if is_new:
        for source, key in ((QUARANTINE, snapshot.quarantine_folder), (SNAPSHOT, snapshot.folder)):
            try:
                _move(catalog.lake, staged / source, key)
            except (OSError, ObjectExists):
                if catalog.exists(snapshot):  # another run of the same date and content was faster
                    break
                raise StorageError(
                    f"{catalog.lake.url_of(key)}: another run is writing the same snapshot; run the date again"
                ) from None
    catalog.commit(manifest)
    return is_new


def _move(lake: Storage, source: Path, key: str) -> None:
    """Put a staged folder in its place, from where an interrupted run's files are removed first."""
    if lake.local_root is not None:
        target = lake.local_root / key
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        return
    lake.remove_unfinished(key)
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        lake.create(f"{key}/{path.relative_to(source).as_posix()}", path)


def _remove_unless_in_use(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(descriptor)


def _keep_only(folder: Path, suffix: str) -> None:
    """Remove the checksum files and markers that Hadoop leaves beside the rows."""
    for path in folder.iterdir():
        if not path.name.endswith(suffix) or path.name.startswith("."):
            path.unlink()
