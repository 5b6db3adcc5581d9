"""What the lake and the registry say of loans' outcomes as of a day: read in batches, as text for COPY.

The feature job has joined late labels (``raw/labels/``) and the status in a loan's own row already: a snapshot's loans
have the status that was known by its date. So outcomes as of a day are those of the newest snapshot up to that day which
passed the quality gate.

Which loan a question about the newest one means is in the customers of the snapshot that it was answered from. Which
outcomes a version was made with is in its own copy of the training set: they say nothing of it.
"""

import io
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from creditrisk.customer_rows import customer_files, verified_file
from creditrisk.errors import SnapshotDamaged
from creditrisk.registry import TRAINING_SET_FILE, ModelRegistry, version_folder
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, SnapshotManifest, Verdict

logger = logging.getLogger(__name__)

_BATCH_ROWS = 65_536


def known_by(catalog: SnapshotCatalog, day: date) -> SnapshotManifest | None:
    """The manifest of the newest snapshot up to a day that is in force and passed the quality gate, or None."""
    for each in reversed(catalog.dates()):
        snapshot = catalog.current(each) if each <= day else None
        report = catalog.quality(snapshot) if snapshot else None
        if snapshot and report and report.verdict in (Verdict.PASS, Verdict.WARN):
            return catalog.manifest(snapshot)
    return None


@dataclass(frozen=True, slots=True)
class AskedLoans:
    """The loans that decisions may be about: those that were a customer's newest, and those since a day."""

    ids: Any
    """A sorted Arrow array of loan ids, 8 bytes each."""
    since: date

    def of(self, batch: Any) -> Any:
        """The rows of a batch with ``loan_id`` and ``loan_date`` that are among them."""
        from pyarrow import compute

        is_asked = compute.is_in(batch.column("loan_id"), value_set=self.ids)
        is_since = compute.greater_equal(batch.column("loan_date"), self.since)
        return batch.filter(compute.or_(is_asked, is_since))


def outcomes(catalog: SnapshotCatalog, manifest: SnapshotManifest, asked: AskedLoans) -> Iterator[bytes]:
    """Loans as CSV: loan_id, customer, loan_date, status; the status is empty where it is not known yet.

    Raises:
        SnapshotDamaged: a file is missing, or not that of the manifest.
    """
    keys = sorted(key for key in manifest.files if key.startswith("loans/") and key.endswith(".parquet"))
    if not keys:
        raise SnapshotDamaged(f"snapshot {manifest.snapshot}: its manifest names no loans file")
    for key in keys:
        with verified_file(catalog.lake, manifest, key) as path:
            for batch in _batches(path, ["loan_id", "id", "loan_date", "status"]):
                yield csv_of(asked.of(batch))


def newest_loans(catalog: SnapshotCatalog, snapshot: SnapshotId) -> Iterator[Any]:
    """Batches of ``id`` and ``loan_id``: each customer's newest loan, as published with a snapshot.

    Raises:
        SnapshotMissing: it is no longer in the lake.
        SnapshotDamaged: a file is missing, or not that of the manifest.
    """
    manifest = catalog.manifest(snapshot)
    for key in customer_files(manifest):
        with verified_file(catalog.lake, manifest, key) as path:
            yield from _batches(path, ["id", "loan_id"])


def made_with(registry: ModelRegistry, version: str, asked: AskedLoans) -> Iterator[Any]:
    """Batches of ``loan_id``: the loans whose outcome was used to fit, calibrate, set or judge a version.

    Raises:
        StorageError: its training set is not in the registry.
        ArrowException: it is not Parquet.
    """
    with registry.storage.open(f"{version_folder(version)}/{TRAINING_SET_FILE}") as file:
        for batch in _batches(file, ["loan_id", "loan_date"]):
            yield asked.of(batch).select(["loan_id"])


def csv_of(batch: Any, *before: object) -> bytes:
    """A batch as CSV without a header, each row beginning with some values; missing ones are empty."""
    import pyarrow as pa
    from pyarrow.csv import WriteOptions, write_csv

    arrays = [*(pa.repeat(value, batch.num_rows) for value in before), *batch.columns]
    text = io.BytesIO()
    named = pa.RecordBatch.from_arrays(arrays, names=[str(number) for number in range(len(arrays))])
    write_csv(named, text, WriteOptions(include_header=False))
    return text.getvalue()


def joined_ids(columns: Iterable[Any]) -> Any:
    """Every id of some Arrow columns once, ascending."""
    import pyarrow as pa

    ids = pa.array([], pa.int64())
    for column in columns:
        ids = pa.concat_arrays([ids, column.cast(pa.int64())]).unique()
    return ids.sort()


def _batches(file: Any, columns: list[str]) -> Iterator[Any]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as parquet:
        yield from (
            batch.select(columns) for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=columns)
        )
