"""A snapshot's customer rows, checked against its manifest and turned into what COPY reads."""

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from creditrisk.contract import CUSTOMER_COLUMNS
from creditrisk.errors import ObjectMissing, SnapshotDamaged
from creditrisk.snapshots import SnapshotId, SnapshotManifest
from creditrisk.storage import Storage

_BATCH_ROWS = 65_536
_HASHED_AT_ONCE = 1 << 20


def customer_rows(lake: Storage, manifest: SnapshotManifest) -> Iterator[bytes]:
    """The rows of ``customers/*.parquet`` as CSV without a header, some 65,000 rows (8 MB) at a time.

    Columns are in the order of :data:`creditrisk.contract.CUSTOMER_COLUMNS`; missing values are empty.

    Raises:
        SnapshotDamaged: a file is missing, differs from its hash, or lacks a column; no row of it is given.
    """
    for key in customer_files(manifest):
        with verified_file(lake, manifest, key) as path:
            yield from _csv_of(path, f"snapshot {manifest.snapshot}: {key}")


def customer_files(manifest: SnapshotManifest) -> list[str]:
    """Keys of a snapshot's ``customers/*.parquet`` within its folder, sorted.

    Raises:
        SnapshotDamaged: the manifest names none.
    """
    keys = sorted(key for key in manifest.files if key.startswith("customers/") and key.endswith(".parquet"))
    if not keys:
        raise SnapshotDamaged(f"snapshot {manifest.snapshot}: its manifest names no customers file")
    return keys


@contextmanager
def verified_file(lake: Storage, manifest: SnapshotManifest, key: str) -> Iterator[Path]:
    """A file as a local path, once its hash is the manifest's.

    Raises:
        SnapshotDamaged: it is missing, or differs from its hash.
    """
    full_key = f"{SnapshotId.parse(manifest.snapshot).folder}/{key}"
    with tempfile.TemporaryDirectory(prefix="creditrisk-") as folder:
        path = Path(folder) / "customers.parquet"
        try:
            if lake.local_root:
                path = lake.local_root / full_key
                found = _sha256(path)
            else:
                lake.download(full_key, path)
                found = _sha256(path)
        except (ObjectMissing, FileNotFoundError):
            raise SnapshotDamaged(f"snapshot {manifest.snapshot}: {key} is missing") from None
        if found != manifest.files[key]:
            raise SnapshotDamaged(
                f"snapshot {manifest.snapshot}: {key} is damaged: its SHA-256 is {found}, "
                f"the manifest says {manifest.files[key]}"
            )
        yield path


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASHED_AT_ONCE):
            digest.update(chunk)
    return digest.hexdigest()


def _csv_of(path: Path, name: str) -> Iterator[bytes]:
    from pyarrow import ArrowException
    from pyarrow.csv import WriteOptions, write_csv
    from pyarrow.parquet import ParquetFile

    without_header = WriteOptions(include_header=False)
    try:
        with ParquetFile(path) as file:
            lacking = [column for column in CUSTOMER_COLUMNS if column not in file.schema_arrow.names]
            if lacking:
                raise SnapshotDamaged(f"{name}: has no column {', '.join(lacking)}")
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(CUSTOMER_COLUMNS)):
                text = io.BytesIO()
                write_csv(batch.select(list(CUSTOMER_COLUMNS)), text, without_header)
                yield text.getvalue()
    except ArrowException as error:
        raise SnapshotDamaged(f"{name}: not readable as Parquet: {str(error).splitlines()[0]}") from error
