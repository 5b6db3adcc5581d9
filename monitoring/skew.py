"""Skew: logged decisions' features computed again from what the feature job wrote, and compared value by value.

The service takes features from Postgres, and works out those of a loan being applied for itself. The same snapshot's
rows in the lake are the job's own. Equal means equal: the floats too, for both divide the same two numbers.
"""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from creditrisk.contract import CUSTOMER_COLUMNS, FEATURE_NAMES
from creditrisk.customer_rows import customer_files, verified_file
from creditrisk.decisions import DecisionRecord, LoanAsked
from creditrisk.errors import SnapshotError
from creditrisk.features import (
    CustomerHistory,
    FeatureRow,
    features_of_application,
    features_of_first_application,
)
from creditrisk.metric_store import Measure
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage
from monitoring.drift_reads import DriftReads
from monitoring.verdicts import Limits, held, not_judged
from monitoring.windows import day_window

SKEW = "skew_rows"
METRICS = (SKEW,)
PART = "day/all"

_ROWS_KEPT = 20
_NONE_ALLOWED = Limits(0, 0, "{:g}: every one is an error")


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


def skew_measures(settings: Settings, day: date) -> list[Measure]:
    """Compute a seeded sample of the day's features again; any difference fails.

    Raises:
        StoreUnavailable: Postgres is down.
        StorageError: the lake cannot be read.
    """
    sample = DriftReads(settings).sample(day_window(day, settings.zone), settings.monitoring.skew_sample)
    if not sample:
        return [not_judged(SKEW, PART, "no decisions", 0.0)]
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    compared, differences, unread = 0, list[Difference](), dict[str, str]()
    for snapshot in sorted({record.snapshot for record in sample}):
        records = [record for record in sample if record.snapshot == snapshot]
        try:
            rows = _customers(catalog, snapshot, {record.customer for record in records})
        except SnapshotError as error:
            unread[snapshot] = str(error)
            continue
        compared += len(records)
        differences += [each for record in records for each in differing(record, rows.get(record.customer))]
    if not compared:
        return [not_judged(SKEW, PART, "; ".join(unread.values()), 0.0)]
    skewed = len({each.decision_id for each in differences})
    says = f"{skewed:,} of {compared:,} decisions rest on other features than the feature job's own."
    left_out = {"left_out": unread} if unread else {}
    detail = {
        "compared": compared,
        "rows": [asdict(each) for each in differences[:_ROWS_KEPT]],
        **left_out,
    }
    return [held(SKEW, PART, skewed, _NONE_ALLOWED, says, detail=detail)]


def differing(record: DecisionRecord, row: dict[str, Any] | None) -> list[Difference]:
    """The features of a decision that come out differently.

    Args:
        record: the decision.
        row: the customer's of its snapshot, ``CUSTOMER_COLUMNS``; None where the snapshot has no such customer.
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


def _computed(record: DecisionRecord, row: dict[str, Any] | None) -> FeatureRow | None:
    """The features as the job's output gives them; None where it gives none."""
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


def _customers(catalog: SnapshotCatalog, snapshot: str, wanted: set[int]) -> dict[int, dict[str, Any]]:
    """The rows of some customers, read in batches; every file is held against its hash.

    Raises:
        SnapshotError: the snapshot is gone, or damaged.
    """
    from pyarrow import array, compute, int64
    from pyarrow.parquet import ParquetFile

    manifest = catalog.manifest(SnapshotId.parse(snapshot))
    ids = array(sorted(wanted), int64())
    found: dict[int, dict[str, Any]] = {}
    for key in customer_files(manifest):
        with verified_file(catalog.lake, manifest, key) as path, ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(CUSTOMER_COLUMNS)):
                rows = batch.filter(compute.is_in(batch.column("id"), value_set=ids)).to_pylist()
                found |= {row["id"]: row for row in rows}
    return found
