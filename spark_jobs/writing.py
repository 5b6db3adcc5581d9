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
from enum import StrEnum
from pathlib import Path

from pyspark.sql import DataFrame

from creditrisk.errors import ObjectExists
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage

SNAPSHOT, QUARANTINE, INPUTS = "snapshot", "quarantine", "inputs"
_LOCK = "in-use.lock"
_CHUNK = 1 << 20


@contextmanager
def staging_folder(settings: Settings, lake: Storage, as_of: date) -> Iterator[Path]:
    """A folder of this run's own, removed at its end; those that killed runs left are removed first.

    The run holds a lock in its folder, which the system lets go when the process ends, however it ends.
    """
    parent = (lake.local_root or settings.var_dir.absolute() / "spark") / "staging"
    folder = parent / f"{as_of}-{uuid.uuid4().hex[:12]}"
    with _taken(parent, folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                parent.rmdir()  # where no other run is at work


@contextmanager
def _taken(parent: Path, folder: Path) -> Iterator[None]:
    """A new folder with its lock held. Whoever makes one or removes leavings holds the parent's lock meanwhile."""
    while True:
        parent.mkdir(parents=True, exist_ok=True)
        try:
            with _locked(parent):
                for leaving in parent.iterdir():
                    _remove_unless_in_use(leaving)
                folder.mkdir()
                lock = (folder / _LOCK).open("w")
                fcntl.flock(lock, fcntl.LOCK_EX)
        except FileNotFoundError:
            continue  # the last run to end has just removed the empty parent
        with lock:
            yield
        return


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """A folder that only one run works in at a time; the system lets go of the lock when a process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_parquet(
    rows: DataFrame, folder: Path, compression: str = "zstd", *, dictionary: bool = True
) -> None:
    """Write rows as the Parquet files of a folder; without dictionaries that is faster, and the files are larger."""
    writer = rows.write.option("parquet.enable.dictionary", str(dictionary).lower())
    writer.parquet(f"file:{folder}", compression=compression)
    _keep_only(folder, ".parquet")


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its key."""
    return {path.relative_to(folder).as_posix(): digest for path, digest in _hashed(folder)}


class Outcome(StrEnum):
    """What a run changed."""

    NEW = "new"
    IN_FORCE_AGAIN = "in force again"
    """The content was there already, but another was in force for the date."""
    UNCHANGED = "unchanged"


def commit(catalog: SnapshotCatalog, staged: Path, manifest: SnapshotManifest) -> Outcome:
    """Move a staged snapshot and its quarantine into the lake, and make it exist.

    Any number of runs of one date and content may do so at one moment: one snapshot comes of it, whole, and its manifest
    names its own files. Where the same content is there already, no file is written.
    """
    snapshot = SnapshotId.parse(manifest.snapshot)
    before = catalog.current(snapshot.as_of)
    is_new = not catalog.exists(snapshot)
    if is_new:
        root = catalog.lake.local_root
        is_new = _rename(catalog, root, staged, manifest) if root else _upload(catalog, staged, manifest)
    catalog.put_in_force(snapshot)
    if is_new:
        return Outcome.NEW
    return Outcome.UNCHANGED if before == snapshot else Outcome.IN_FORCE_AGAIN


def _rename(catalog: SnapshotCatalog, root: Path, staged: Path, manifest: SnapshotManifest) -> bool:
    """Put the staged folders in their place on disk, one run at a time; whether this run did, and no other."""
    snapshot = SnapshotId.parse(manifest.snapshot)
    folder = root / snapshot.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent):
        if catalog.exists(snapshot):  # another run of the same date and content was faster
            return False
        for source, target in ((QUARANTINE, root / snapshot.quarantine_folder), (SNAPSHOT, folder)):
            shutil.rmtree(
                target, ignore_errors=True
            )  # of a run that was killed: there is no manifest, and no other run
            target.parent.mkdir(parents=True, exist_ok=True)
            (staged / source).rename(target)
        catalog.commit(manifest)
        return True


def _upload(catalog: SnapshotCatalog, staged: Path, manifest: SnapshotManifest) -> bool:
    """Upload the staged files, and name them in a manifest that only one run can create; whether this run did.

    S3 has no lock. So no file is removed or replaced before there is a manifest: a name that a killed or a racing run has
    taken is shared where the bytes are the same, and else another name is used. What no manifest names goes afterwards.
    """
    lake, run = catalog.lake, staged.name.rpartition("-")[2]
    snapshot = SnapshotId.parse(manifest.snapshot)
    refused = {
        f"{snapshot.quarantine_folder}/{run}-{path.name}": path for path in (staged / QUARANTINE).iterdir()
    }
    for key, path in refused.items():
        lake.create(key, path)
    files = {
        _create(
            lake, snapshot.folder, path.relative_to(staged / SNAPSHOT).as_posix(), path, digest, run
        ): digest
        for path, digest in _hashed(staged / SNAPSHOT)
    }
    mine = manifest.model_copy(update={"files": files})
    catalog.commit(mine)
    there = catalog.manifest(snapshot)
    is_mine = there == mine
    for key in lake.keys(snapshot.folder):
        if key.endswith((".parquet", ".csv")) and key.removeprefix(f"{snapshot.folder}/") not in there.files:
            lake.remove(key)
    for key in lake.keys(snapshot.quarantine_folder):
        if (key in refused) is not is_mine:
            lake.remove(key)
    return is_mine


def _create(lake: Storage, folder: str, name: str, content: Path, digest: str, run: str) -> str:
    """Create an object of this content; its name, which is the run's own where the name is taken by something else."""
    try:
        lake.create(f"{folder}/{name}", content)
    except ObjectExists:
        if digest_there(lake, f"{folder}/{name}") == digest:
            return name
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem}-{run}{dot}{suffix}"
        lake.create(f"{folder}/{name}", content)
    return name


def digest_there(lake: Storage, key: str) -> str:
    """SHA-256 of an object, read in bounded memory."""
    digest = hashlib.sha256()
    with lake.open(key) as there:
        while chunk := there.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _hashed(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            yield path, hashlib.file_digest(file, "sha256").hexdigest()


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
