"""Skew: logged decisions' features, held value by value against what the feature job makes of the landed files again.

The service takes features from Postgres, and works out those of a loan being applied for itself. In between lie the
landed files, the job, the snapshot and the published table. ``take_sample`` names decisions; the job works their
customers' rows out again (``spark_jobs.recomputing``); ``skew_measures`` compares. Where the snapshot's own row is
another than the one worked out again, the fault lies before the snapshot, else behind it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date

from creditrisk.decisions import DecisionRecord
from creditrisk.errors import SnapshotError
from creditrisk.metric_store import Measure
from creditrisk.recomputation import (
    Recomputation,
    RecomputedRows,
    SkewSample,
    ask,
    newest_recomputation,
)
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, Verdict
from creditrisk.storage import Storage
from monitoring.computed_features import (
    Difference,
    RowDifference,
    differing,
    differing_rows,
    snapshot_rows,
)
from monitoring.drift_reads import DriftReads
from monitoring.verdicts import Limits, held, not_judged
from monitoring.windows import day_window

SKEW = "skew_rows"
METRICS = (SKEW,)
PART = "day/all"

_ROWS_KEPT = 20
_FILES_TOLD = 3
_NONE_ALLOWED = Limits(0, 0, "{:g}: every one is an error")


@dataclass(frozen=True, slots=True)
class Compared:
    """The decisions that rest on one snapshot, held against the rows worked out again."""

    decisions: Sequence[DecisionRecord]
    differences: list[Difference]
    other_rows: list[RowDifference]
    """Of customers whose row in the snapshot is not the one worked out again."""
    unread: str | None
    """Why the snapshot's own rows could not be read."""
    changed_files: list[str]
    made_by: str

    @property
    def skewed(self) -> set[str]:
        """Decisions on other features."""
        return {each.decision_id for each in self.differences}

    @property
    def before_snapshot(self) -> set[str]:
        """Decisions on customers of whom the job makes another row now than stands in the snapshot."""
        customers = {each.customer for each in self.other_rows}
        return {record.decision_id for record in self.decisions if record.customer in customers}


def take_sample(settings: Settings, day: date) -> str | None:
    """Name a seeded sample of the day's decisions, for the job to work out again; its key in the lake.

    None where nothing was decided.

    Raises:
        StoreUnavailable: Postgres is down.
        StorageError: the lake cannot be written.
    """
    records = DriftReads(settings).sample(day_window(day, settings.zone), settings.monitoring.skew_sample)
    if not records:
        return None
    customers: dict[str, set[int]] = {}
    for record in records:
        customers.setdefault(record.snapshot, set()).add(record.customer)
    sample = SkewSample(
        day=day,
        decisions=[record.decision_id for record in records],
        customers={snapshot: sorted(of_it) for snapshot, of_it in sorted(customers.items())},
    )
    return ask(Storage(settings.lake_root), sample)


def skew_measures(settings: Settings, day: date) -> list[Measure]:
    """Hold the day's newest sample against what the job made of it; any difference fails.

    Raises:
        StoreUnavailable: Postgres is down.
        StorageError: the lake cannot be read.
    """
    lake, reads, window = Storage(settings.lake_root), DriftReads(settings), day_window(day, settings.zone)
    recomputation = newest_recomputation(lake, day)
    if recomputation is None:
        why = (
            "the job has not worked out the day's features again"
            if reads.sample(window, 1)
            else "no decisions"
        )
        return [not_judged(SKEW, PART, why, 0.0)]
    records = reads.decisions(window, recomputation.sample.decisions)
    if not records:
        return [not_judged(SKEW, PART, "the sampled decisions are no longer in the log", 0.0)]
    left_out = {each.snapshot: each.problem for each in recomputation.snapshots if each.problem is not None}
    catalog = SnapshotCatalog(lake)
    found = [
        _compared(catalog, each, [record for record in records if record.snapshot == each.snapshot])
        for each in recomputation.snapshots
        if each.problem is None
    ]
    if not any(each.decisions for each in found):
        return [not_judged(SKEW, PART, "; ".join(left_out.values()), 0.0)]
    return [_measure(recomputation, found, left_out)]


def _compared(
    catalog: SnapshotCatalog, recomputed: RecomputedRows, records: Sequence[DecisionRecord]
) -> Compared:
    again = {row["id"]: row for row in recomputed.rows}
    customers = {record.customer for record in records}
    other_rows, unread = list[RowDifference](), None
    try:
        own = snapshot_rows(catalog, recomputed.snapshot, customers)
    except SnapshotError as error:
        unread = str(error)
    else:
        for each in sorted(customers):
            other_rows += differing_rows(recomputed.snapshot, each, own.get(each), again.get(each))
    return Compared(
        decisions=records,
        differences=[each for record in records for each in differing(record, again.get(record.customer))],
        other_rows=other_rows,
        unread=unread,
        changed_files=recomputed.changed_files,
        made_by=recomputed.code_version,
    )


def _measure(recomputation: Recomputation, found: Sequence[Compared], left_out: dict[str, str]) -> Measure:
    """The number of decisions with any difference, and in words on which side of the snapshot the fault lies."""
    faulty = set[str]().union(*(each.skewed | each.before_snapshot for each in found))
    changed = [told for each in found for told in each.changed_files]
    detail = {
        "compared": sum(len(each.decisions) for each in found),
        "rows": [asdict(one) for each in found for one in each.differences][:_ROWS_KEPT],
        "snapshot_rows": [asdict(one) for each in found for one in each.other_rows][:_ROWS_KEPT],
        "worked_out_by": recomputation.code_version,
        "changed_files": changed,
        "left_out": left_out,
    }
    measure = held(
        SKEW,
        PART,
        len(faulty),
        _NONE_ALLOWED,
        _words(recomputation, found, left_out),
        detail={name: value for name, value in detail.items() if value or name in ("compared", "rows")},
    )
    is_unsound = bool(changed) or any(each.unread for each in found)
    if is_unsound and not faulty:  # it made no difference to these decisions, and may to others
        return replace(measure, verdict=Verdict.WARN)
    return measure


def _words(recomputation: Recomputation, found: Sequence[Compared], left_out: dict[str, str]) -> str:
    decisions = sum(len(each.decisions) for each in found)
    skewed = sum(len(each.skewed) for each in found)
    by_row = sum(len(each.before_snapshot - each.skewed) for each in found)
    behind = sum(len(each.skewed - each.before_snapshot) for each in found if each.unread is None)
    before = {(one.snapshot, one.customer) for each in found for one in each.other_rows}
    others = {each.made_by for each in found if each.other_rows} - {recomputation.code_version}
    changed = [told for each in found for told in each.changed_files]
    said = [_counted(decisions, skewed, by_row)]
    if behind:
        said.append(
            f"Of {behind:,} the job makes the same row again that stands in the snapshot: the published table or the "
            "service is at fault."
        )
    if before:
        code = (
            f", whose code was {', '.join(sorted(others))} then and is {recomputation.code_version} now"
            if others
            else ""
        )
        customers = "1 customer" if len(before) == 1 else f"{len(before):,} customers"
        said.append(
            f"Of {customers} the job makes another row than stands in the snapshot: a landed file, the snapshot or the "
            f"job has changed{code}."
        )
    said += [f"The snapshot's own rows cannot be read: {each.unread}." for each in found if each.unread]
    said += changed[:_FILES_TOLD]
    if (more := len(changed) - _FILES_TOLD) > 0:
        said.append(f"{more:,} more files have changed." if more > 1 else "1 more file has changed.")
    if left_out:
        said.append(f"Left out: {'; '.join(left_out.values())}.")
    return " ".join(said)


def _counted(decisions: int, skewed: int, by_row: int) -> str:
    """What the value counts."""
    if not by_row:
        return f"{skewed:,} of {decisions:,} decisions rest on other features than the feature job's own."
    return (
        f"{skewed + by_row:,} of {decisions:,} decisions differ from what the feature job makes: {skewed:,} in their "
        f"features, {by_row:,} only in their customer's row in the snapshot."
    )
