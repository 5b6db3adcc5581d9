"""The features that a decision should rest on, by the customer's row that the feature job makes.

Equal means equal: the floats too, for service and job divide the same two numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from creditrisk.contract import CUSTOMER_COLUMNS, FEATURE_NAMES
from creditrisk.customer_rows import customer_files, verified_file
from creditrisk.decisions import DecisionRecord, LoanAsked
from creditrisk.features import (
    CustomerHistory,
    FeatureRow,
    features_of_application,
    features_of_first_application,
)
from creditrisk.snapshots import SnapshotCatalog, SnapshotId

Row = Mapping[str, Any]
"""A customer's, by ``CUSTOMER_COLUMNS``."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A logged value that is not the computed one."""

    decision_id: str
    customer: int
    snapshot: str
    loan: str
    feature: str
    logged: float | None
    computed: float | None


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A value of a customer's row in a snapshot that is not the computed one; of a row that is only in one, the ``id``."""

    snapshot: str
    customer: int
    column: str
    in_snapshot: float | str | None
    computed: float | str | None


def differing(record: DecisionRecord, row: Row | None) -> list[Difference]:
    """The features of a decision that come out differently.

    Args:
        record: the decision.
        row: the customer's, as the job makes it; None where it makes none.
    """
    computed = _computed(record, row)
    pairs = zip(FEATURE_NAMES, record.features, computed or (None,) * len(FEATURE_NAMES), strict=True)
    return [
        Difference(
            record.decision_id, record.customer, record.snapshot, record.loan.value, name, logged, again
        )
        for name, logged, again in pairs
        if computed is None or logged != again
    ]


def differing_rows(
    snapshot: str, customer: int, in_snapshot: Row | None, computed: Row | None
) -> list[RowDifference]:
    """The values of a customer's row that are not those of the snapshot."""
    names = CUSTOMER_COLUMNS if in_snapshot and computed else ("id",)
    pairs = [(name, (in_snapshot or {}).get(name), (computed or {}).get(name)) for name in names]
    return [
        RowDifference(snapshot, customer, name, _plain(there), _plain(again))
        for name, there, again in pairs
        if there != again
    ]


def snapshot_rows(catalog: SnapshotCatalog, snapshot: str, wanted: set[int]) -> dict[int, Row]:
    """A snapshot's rows of some customers, read in batches; every file is held against its hash.

    Raises:
        SnapshotError: the snapshot is gone, or damaged.
    """
    from pyarrow import array, compute, int64
    from pyarrow.parquet import ParquetFile

    manifest = catalog.manifest(SnapshotId.parse(snapshot))
    ids = array(sorted(wanted), int64())
    found: dict[int, Row] = {}
    for key in customer_files(manifest):
        with verified_file(catalog.lake, manifest, key) as path, ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(CUSTOMER_COLUMNS)):
                rows = batch.filter(compute.is_in(batch.column("id"), value_set=ids)).to_pylist()
                found |= {row["id"]: row for row in rows}
    return found


def _computed(record: DecisionRecord, row: Row | None) -> FeatureRow | None:
    """The features as the job's row gives them; None where it gives none."""
    if record.given is not None:
        # The service takes a client's word only of a customer whom the snapshot does not know.
        if row is not None or record.as_of is None:
            return None
        given = record.given
        return features_of_first_application(
            given.birthday, given.job_start_date, given.flag_own_car, record.as_of
        )
    if row is None:
        return None
    if record.loan is LoanAsked.NEWEST:
        age, years, loans, mean, car = (row[name] for name in FEATURE_NAMES)
        return age, years, loans, mean, car
    history = CustomerHistory.of_row(row)
    if record.as_of is None or record.as_of < history.newest_loan_date:
        return None
    return features_of_application(history, record.as_of)


def _plain(value: Any) -> float | str | None:
    """A value as JSON has it."""
    return value if value is None or isinstance(value, int | float) else str(value)
