"""Which gender a snapshot's loans give each customer: for comparing versions by group, never for deciding."""

import logging

import numpy as np

from creditrisk.errors import SnapshotError, StorageError
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage

logger = logging.getLogger(__name__)


def genders_of(lake: Storage, snapshot: str | None) -> dict[int, str]:
    """Gender by customer, without those whose loans give none; of several, that of the last row read.

    A snapshot that cannot be read gives nobody's: the comparison by gender is then left out, and the log says so.
    """
    if snapshot is None:
        return {}
    try:
        return _read(lake, SnapshotId.parse(snapshot))
    except (SnapshotError, StorageError, OSError) as error:
        logger.warning(
            "Approvals are not compared by gender: snapshot %s cannot be read: %s", snapshot, error
        )
        return {}


def _read(lake: Storage, snapshot: SnapshotId) -> dict[int, str]:
    from pyarrow.parquet import ParquetFile

    found: dict[int, str] = {}
    for name in sorted(SnapshotCatalog(lake).manifest(snapshot).files):
        if name.startswith("loans/") and name.endswith(".parquet"):
            with lake.open(f"{snapshot.folder}/{name}") as file, ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(columns=["id", "code_gender"]):
                    customers = batch.column("id").to_numpy()
                    genders = batch.column("code_gender").fill_null("").to_numpy(zero_copy_only=False)
                    newest, first = np.unique(customers[::-1], return_index=True)
                    found.update(zip(newest.tolist(), genders[::-1][first].tolist(), strict=True))
    return {customer: gender for customer, gender in found.items() if gender}
