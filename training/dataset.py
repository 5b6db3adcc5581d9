"""The loans to learn from: the labelled loan rows of a snapshot that passed its quality gate."""

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from creditrisk.contract import COLUMN_ROLES, FEATURE_NAMES, contract_fingerprint
from creditrisk.errors import ContractError, ObjectMissing, SnapshotDamaged, SnapshotMissing, VersionDamaged
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, SnapshotManifest, Verdict
from creditrisk.storage import Storage

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SIDE = "side"
_SCHEMA = pa.schema(
    [
        ("loan_id", pa.int64()),
        ("id", pa.int64()),
        ("loan_date", pa.date32()),
        *((name, pa.float64()) for name in FEATURE_NAMES),
        ("status", pa.int8()),
        ("code_gender", pa.string()),
        (SIDE, pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Loans:
    """Labelled loans, one entry a loan in every array, ordered by loan id."""

    loan_ids: npt.NDArray[np.int64]
    customers: npt.NDArray[np.int64]
    loan_dates: npt.NDArray[np.datetime64]
    """Days."""
    features: FloatArray
    """Shape (n, 5) in the order of ``FEATURE_NAMES``, NaN where a value is missing."""
    late: npt.NDArray[np.int8]
    """The label: 1 for a loan that was late."""
    genders: npt.NDArray[np.str_]
    """For fairness only, never an input; empty where unknown."""

    def __len__(self) -> int:
        return len(self.loan_ids)

    def where(self, mask: BoolArray) -> Self:
        """The loans that a mask of shape (n,) selects."""
        return type(self)(*(getattr(self, column.name)[mask] for column in fields(self)))


def newest_passed(catalog: SnapshotCatalog) -> SnapshotId:
    """The snapshot in force for the newest date whose snapshot passed the quality gate.

    Raises:
        SnapshotMissing: no snapshot in force passed it.
    """
    for day in reversed(catalog.dates()):
        snapshot = catalog.current(day)
        report = catalog.quality(snapshot) if snapshot else None
        if snapshot and report and report.verdict in (Verdict.PASS, Verdict.WARN):
            return snapshot
    raise SnapshotMissing(
        f"no snapshot in the lake {catalog.lake.url} has passed the quality gate: run refresh_features first"
    )


def passed_snapshot(settings: Settings, snapshot: str | None) -> SnapshotManifest:
    """The manifest of a snapshot to train on, by default the newest that passed.

    Raises:
        SnapshotMissing: there is none.
        SnapshotNotPassed: the quality gate refused it, or has not judged it.
        ContractError: its features are another contract's.
    """
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    chosen = SnapshotId.parse(snapshot) if snapshot else newest_passed(catalog)
    manifest = catalog.require_passed(chosen)
    if manifest.contract_fingerprint != contract_fingerprint():
        raise ContractError(
            f"snapshot {chosen}: made for feature contract {manifest.contract_fingerprint},"
            f" this code has {contract_fingerprint()}: build the snapshot again"
        )
    return manifest


def read_loans(lake: Storage, manifest: SnapshotManifest) -> Loans:
    """The labelled loans of a snapshot, whatever the number and order of its files.

    Raises:
        SnapshotDamaged: a file is gone or changed, its columns are not the contract's, or a loan is there twice.
    """
    folder = SnapshotId.parse(manifest.snapshot).folder
    names = [name for name in manifest.files if name.startswith("loans/") and name.endswith(".parquet")]
    if not names:
        raise SnapshotDamaged(f"snapshot {manifest.snapshot}: its manifest names no loans/*.parquet")
    table = pa.concat_tables(
        _verified_table(lake, folder, name, manifest.files[name]) for name in sorted(names)
    )
    labelled = table.filter(table.column("status").is_valid()).sort_by("loan_id")
    loans = _loans(labelled)
    if len(np.unique(loans.loan_ids)) != len(loans):
        raise SnapshotDamaged(f"snapshot {manifest.snapshot}: loan_id: a loan is there more than once")
    return loans


def _verified_table(lake: Storage, folder: str, name: str, expected: str) -> Any:
    try:
        content = lake.read(f"{folder}/{name}")
    except ObjectMissing:
        raise SnapshotDamaged(f"{folder}/{name}: is gone") from None
    if hashlib.sha256(content).hexdigest() != expected:
        raise SnapshotDamaged(f"{folder}/{name}: is not the file of the manifest (its SHA-256 differs)")
    table = pq.read_table(io.BytesIO(content))
    if table.column_names != list(COLUMN_ROLES):
        raise SnapshotDamaged(
            f"{folder}/{name}: columns {table.column_names} are not the contract's {list(COLUMN_ROLES)}"
        )
    return table


def encode_training_set(parts: Iterable[tuple[str, Loans]]) -> bytes:
    """A version's own copy of what it was made from, as Parquet: the loans of each side by its name."""
    tables = [
        pa.table(
            [
                loans.loan_ids,
                loans.customers,
                loans.loan_dates.astype("datetime64[D]"),
                *(
                    pa.array(loans.features[:, number], from_pandas=True)
                    for number in range(len(FEATURE_NAMES))
                ),
                loans.late,
                pa.array(loans.genders.tolist(), pa.string()),
                pa.array([side] * len(loans), pa.string()),
            ],
            schema=_SCHEMA,
        )
        for side, loans in parts
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.concat_tables(tables), buffer, compression="zstd")
    return buffer.getvalue()


def decode_training_set(content: bytes) -> dict[str, Loans]:
    """The loans of each side, as they were encoded.

    Raises:
        VersionDamaged: the columns are not those that were encoded.
    """
    table = pq.read_table(io.BytesIO(content))
    if table.schema.names != _SCHEMA.names:
        raise VersionDamaged(f"training set: columns {table.schema.names} are not {_SCHEMA.names}")
    sides = table.column(SIDE).to_numpy()
    loans = _loans(table)
    return {str(side): loans.where(sides == side) for side in dict.fromkeys(sides)}


def _loans(table: Any) -> Loans:
    def column(name: str) -> Any:
        return table.column(name).to_numpy()

    features = [table.column(name).cast(pa.float64()).to_numpy() for name in FEATURE_NAMES]
    return Loans(
        loan_ids=column("loan_id").astype(np.int64),
        customers=column("id").astype(np.int64),
        loan_dates=column("loan_date").astype("datetime64[D]"),
        features=np.column_stack(features).astype(np.float64),
        late=column("status").astype(np.int8),
        genders=table.column("code_gender").fill_null("").to_numpy().astype(np.str_),
    )
