"""The landed files that a snapshot's manifest names: recorded with their content's hash, and found again later."""

from collections.abc import Sequence

from creditrisk.contract import RAW_COLUMNS
from creditrisk.errors import InputsGone, ObjectMissing
from creditrisk.snapshots import InputFile, SnapshotManifest
from creditrisk.storage import Storage
from spark_jobs.intake import Inputs
from spark_jobs.landed import LandedFile, LandedFiles, read_headers
from spark_jobs.writing import digest_there

_MOST_NAMED = 5


def with_digests(files: Sequence[InputFile], landed: LandedFiles) -> list[InputFile]:
    """The files with their SHA-256.

    Args:
        files: as they were read.
        landed: the same, in the same order, where they lie now.
    """
    return [
        file.model_copy(update={"sha256": _digest(landed.root, where.key)})
        for file, where in zip(files, landed.files, strict=True)
    ]


def recorded_files(manifest: SnapshotManifest) -> LandedFiles:
    """The loans files that a snapshot was made of, and no others, whatever has landed since.

    Raises:
        InputsGone: the manifest names none, or some are no longer there.
    """
    roots = {_root_and_key(file)[0] for file in manifest.inputs}
    if len(roots) != 1:
        raise InputsGone(f"snapshot {manifest.snapshot}: its manifest names no landed files of one place")
    root = Storage(roots.pop())
    files = tuple(LandedFile(_root_and_key(file)[1], file.landed) for file in manifest.inputs)
    gone = [
        recorded.url
        for recorded, file in zip(manifest.inputs, files, strict=True)
        if not root.exists(file.key)
    ]
    if gone:
        raise InputsGone(
            f"snapshot {manifest.snapshot}: {len(gone):,} of the {len(files):,} files that it was made of are no longer "
            f"there: {_some(gone)}"
        )
    return LandedFiles(root, files)


def changed_files(recorded: Sequence[InputFile], found: Sequence[InputFile]) -> list[str]:
    """A sentence for each file that is not the one that was read. Where no hash was recorded, the rows are counted.

    Args:
        recorded: in the manifest.
        found: the same files as they are now, in any order.
    """
    now = {file.url: file for file in found}
    changed = []
    for file in recorded:
        there = now[file.url]
        if file.sha256 is not None and file.sha256 != there.sha256:
            changed.append(
                f"{file.url} is not the file that was read: its SHA-256 is {there.sha256}, and was {file.sha256}."
            )
        elif file.rows != there.rows:
            changed.append(
                f"{file.url} is not the file that was read: it has {there.rows:,} rows, and had {file.rows:,}."
            )
    return changed


def loans_alone(files: LandedFiles, url: str) -> Inputs:
    """What customers' rows are made of: a late label changes none of their columns.

    Args:
        files: of loans, where they lie now.
        url: the place that a manifest says they lie in.

    Raises:
        HeaderError: a file's columns are not the contract's.
    """
    return Inputs(
        loans=files,
        loans_headers=read_headers(files, RAW_COLUMNS),
        labels=LandedFiles(files.root, ()),
        labels_headers={},
        loans_url=url,
        labels_url=url,
    )


def _root_and_key(file: InputFile) -> tuple[str, str]:
    """The input's root, and the file's key below it: from its landing day's folder on, or its name alone."""
    root, folder, rest = file.url.rpartition(f"/{file.landed}/")
    if folder:
        return root, f"{file.landed}/{rest}"
    root, _, name = file.url.rpartition("/")
    return root, name


def _digest(root: Storage, key: str) -> str:
    """SHA-256 of a file that was there a moment ago.

    Raises:
        InputsGone: it has been taken away meanwhile.
    """
    try:
        return digest_there(root, key)
    except ObjectMissing as error:
        raise InputsGone(f"a landed file was taken away while it was read: {error}") from None


def _some(urls: Sequence[str]) -> str:
    more = len(urls) - _MOST_NAMED
    return ", ".join(urls[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
