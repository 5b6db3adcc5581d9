"""Measures how the decisions of the last months turned out, as far as was known on a day."""

import logging
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from creditrisk.errors import NothingServed, SnapshotError, StorageError
from creditrisk.metric_store import MetricStore
from creditrisk.registry import ModelRegistry
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage
from creditrisk.store_schema import StoreSchema
from creditrisk.vintage_store import VintageStore
from monitoring.labels import AskedLoans, csv_of, joined_ids, known_by, made_with, newest_loans, outcomes
from monitoring.outcome_reads import OutcomeReads, RestsOn
from monitoring.realised import Results, ResultsJudge

logger = logging.getLogger(__name__)

METRICS = (
    "labelled_share",
    "expected_roc_auc",
    "expected_roc_auc_error",
    "realised_roc_auc",
    "realised_brier",
    "realised_calibration_error",
    "realised_roc_auc_difference",
)


def measure_results(settings: Settings, day: date) -> Results:
    """Measure how decisions up to a day turned out, and keep it: vintages, and the day's measures.

    A day can be measured again: it sees the decisions up to its end, in the market's time zone, and the outcomes known by it, and
    replaces what was measured of it. A vintage that a later day knows more of stays as it is.

    Raises:
        SettingsError: there is no URL to write with.
        StoreUnavailable: Postgres is down.
        StoreError: it refused.
        SnapshotDamaged: the outcomes cannot be read.
    """
    results = _ResultsReader(settings, day).results()
    VintageStore(settings).keep(results.vintages)
    MetricStore(settings).replace(day, results.measures, metrics=METRICS)
    return results


@dataclass(frozen=True, slots=True)
class _ResultsReader:
    """Brings the lake's side to the decisions, and has them judged."""

    settings: Settings
    day: date

    def results(self) -> Results:
        schema, limits = StoreSchema.of(self.settings), self.settings.results
        judge = ResultsJudge(self.day, limits, self.settings.model_gate, self._serving())
        first = _month_before(self.day, limits.months - 1)
        with schema.connected() as connection, connection, connection.cursor() as cursor:
            reads = OutcomeReads(cursor, schema, first, self.day, self.settings.zone)
            unreadable = self._copied(reads, reads.rests_on())
            return judge.results(reads.counted(limits.horizon_days, unreadable))

    def _copied(self, reads: OutcomeReads, rests_on: RestsOn) -> list[str]:
        """Copy what the lake and the registry know; the versions of which it is not known what they were made with."""
        catalog = SnapshotCatalog(Storage(self.settings.lake_root))
        registry = ModelRegistry(Storage(self.settings.registry_root))
        asked = AskedLoans(
            ids=self._copied_newest_loans(reads, rests_on, catalog), since=rests_on.first_as_of or date.max
        )
        known = known_by(catalog, self.day)
        if known is None:
            logger.warning("No snapshot up to %s has passed the quality gate: no outcome is known.", self.day)
        else:
            reads.copy("outcomes", outcomes(catalog, known, asked))
        return [
            version
            for version in sorted(rests_on.versions)
            if not self._copied_made_with(reads, registry, version, asked)
        ]

    def _copied_newest_loans(self, reads: OutcomeReads, rests_on: RestsOn, catalog: SnapshotCatalog) -> Any:
        """Copy which loan was each customer's newest in each snapshot; the ids of them all, as Arrow has them."""
        ids = joined_ids([])
        for number, name in enumerate(sorted(rests_on.newest_of)):
            reads.copy("named_snapshots", [f"{name},{number}\n".encode()])
            try:
                for batch in newest_loans(catalog, SnapshotId.parse(name)):
                    reads.copy("newest_loans", [csv_of(batch, number)])
                    ids = joined_ids([ids, batch.column("loan_id")])
            except (SnapshotError, StorageError) as error:
                logger.warning("Decisions by snapshot %s are not joined to loans: %s", name, error)
        return ids

    def _copied_made_with(
        self, reads: OutcomeReads, registry: ModelRegistry, version: str, asked: AskedLoans
    ) -> bool:
        """Copy which of the loans a version was made with; False where nobody knows."""
        from pyarrow import ArrowException

        try:
            for batch in made_with(registry, version, asked):
                reads.copy("made_with", [csv_of(batch, version)])
        except (StorageError, ArrowException) as error:
            logger.warning("Nothing counts for or against version %s: its training set: %s", version, error)
            return False
        return True

    def _serving(self) -> frozenset[str] | None:
        """The versions in force at the day's end, or None before the first release."""
        ledger = ReleaseLedger(Storage(self.settings.registry_root))
        end = datetime.combine(self.day + timedelta(days=1), time(), self.settings.zone)
        try:
            record = ledger.served_at(end)
        except NothingServed:
            return None
        return frozenset(name for name in (record.champion, record.challenger) if name)


def _month_before(day: date, months: int) -> date:
    """The first day of the month that is so many before a day's."""
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
