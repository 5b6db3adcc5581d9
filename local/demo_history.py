"""Fills the month before today with a generated history, so that every view of the operators' page has something to say.

    python -m local.demo_history                 (make demo-history)
    python -m local.demo_history --remove

It is made up, and says so wherever it is met: decisions carry the key name "demo history", nights the run ids
"generated …", loans the ids from 900,000,000. What can be real is: the version in service scores, the feature job builds
the last night from all the landed files and is held against the rest, the quality gate judges every night, and monitoring
measures every day as it does each morning, skew only on the last one, for which Spark works customers out again. It goes
into the generated loans' own market, unless another is named.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial

from creditrisk.errors import CreditRiskError, SettingsError
from creditrisk.online_store import OnlineStore
from creditrisk.refresh import publish_snapshot
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings, load_settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage
from creditrisk.store_schema import StoreSchema
from local.demo_customers import LoanBook
from local.demo_month import Fault
from local.demo_removal import remove
from local.demo_snapshots import SnapshotWriter
from local.demo_tables import DemoTables
from local.demo_telling import Telling, Wanted, slot_of, spark_session
from local.progress import Progress, StackError, fail
from local.walkthrough import SAMPLE

_MOST_AT_ONCE = 4
_TOLD_EVERY = 20


@dataclass(slots=True)
class DemoHistory:
    """One history on its way into one market."""

    settings: Settings
    wanted: Wanted
    progress: Progress
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def make(self) -> list[str]:
        """Make it; what was done, for a person.

        Raises:
            CreditRiskError: something that it stands on is missing, or cannot be reached.
        """
        lake = Storage(self.settings.lake_root)
        catalog = SnapshotCatalog(lake)
        base = self._base
        release = ReleaseLedger(Storage(self.settings.registry_root)).newest()
        if release is None:
            raise SettingsError(
                "release: nothing has been released yet, so nobody could have decided: make run"
            )
        schema = StoreSchema.of(self.settings)
        with schema.connected() as connection:
            tables = DemoTables(connection, schema)
            tables.require_none()
            with self.progress.step("Reading the loans that have landed"):
                book = LoanBook.of_market(lake, base)
            telling = Telling(
                self.settings,
                self.wanted,
                self.now,
                self.days,
                tables,
                release,
                SnapshotWriter(catalog, catalog.manifest(base)),
                say=self.progress.say,
            )
            with self.progress.step(f"{self.wanted.days} days of loans, nights and decisions"):
                served = telling.tell(book)
            with self.progress.step(f"Publishing {served}"):
                publish_snapshot(self.settings, str(served), publish_older=True)
            tables.count_traffic()
            tables.analyze()
        if self.wanted.real_nights:
            with self.progress.step(f"Working out the customers of {self.days[-1]} again"):
                self._recompute(self.days[-1])
        with self.progress.step("Measuring every day"):
            self._measure(self.wanted.measured(self.days), release.champion)
        return telling.said(served)

    @property
    def last(self) -> date:
        """The date of the newest night: the newest whose slot has come, or later, that of what is there already."""
        zone = self.settings.zone
        yesterday = self.now.astimezone(zone).date() - timedelta(days=1)
        due = yesterday if slot_of(yesterday, zone) <= self.now else yesterday - timedelta(days=1)
        return max(due, self._base.as_of)

    @property
    def _base(self) -> SnapshotId:
        """What the history stands on: the served snapshot, or where none is, the newest."""
        served = OnlineStore(self.settings).served()
        return served or SnapshotCatalog(Storage(self.settings.lake_root)).newest()

    @property
    def days(self) -> list[date]:
        """The days of the history that are over, oldest first."""
        return [self.last - timedelta(days=back) for back in reversed(range(self.wanted.days))]

    def _recompute(self, day: date) -> None:
        """Have the feature job's code work out the day's sampled customers again, as each morning does."""
        from monitoring.skew import take_sample
        from spark_jobs.recomputing import recompute

        sample = take_sample(self.settings, day)
        if sample is not None:
            with spark_session(self.settings) as session:
                recompute(self.settings, sample, session)

    def _measure(self, days: Sequence[date], champion: str) -> None:
        """Measure all days as each morning does, several at a time: each waits for Postgres most of its time."""
        from monitoring.evidently_report import write_report
        from monitoring.monitor import monitor_day
        from monitoring.reference import References
        from monitoring.results import measure_results

        references = References(self.settings)
        references.of(champion)  # once, before several ask for it at the same time
        tasks: list[Callable[[], object]] = []
        if self.wanted.with_report:
            tasks.append(partial(write_report, self.settings, self.days[-1]))
        for day in reversed(days):  # whoever looks meanwhile sees that yesterday is measured
            tasks.append(partial(monitor_day, self.settings, day, references=references))
            tasks.append(partial(measure_results, self.settings, day))
        with ThreadPoolExecutor(min(_MOST_AT_ONCE, os.cpu_count() or 1)) as pool:
            for done, task in enumerate(as_completed([pool.submit(task) for task in tasks]), start=1):
                task.result()
                if done % _TOLD_EVERY == 0:
                    self.progress.say(f"    {done} of {len(tasks)} measurements")


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line; an error is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(
        prog="python -m local.demo_history", description="A generated month for the operators' page."
    )
    usual = Wanted()
    parser.add_argument("--days", type=int, default=usual.days)
    parser.add_argument("--decisions", type=int, default=usual.decisions_a_day, metavar="N", help="a day")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--real-nights", type=int, default=usual.real_nights, metavar="N")
    parser.add_argument("--measured-days", type=int, metavar="N", help="measure the last days only")
    parser.add_argument("--fault", action="append", default=[], choices=[str(each) for each in Fault])
    parser.add_argument(
        "--market", help=f"the market, where it is not '{SAMPLE}'; generated rows are mixed into it"
    )
    parser.add_argument("--remove", action="store_true", help="remove what was generated")
    asked = parser.parse_args(argv)
    try:
        settings = load_settings()
        if settings.market != (asked.market or SAMPLE):
            raise StackError(
                f"market {settings.market}: its loans may be real, and a generated history does not belong beside "
                f"them: make run LOANS={SAMPLE} first, or say --market {settings.market}"
            )
        wanted = Wanted(
            asked.days,
            asked.decisions,
            asked.seed,
            asked.real_nights,
            asked.measured_days,
            frozenset(map(Fault, asked.fault)),
        )
        lines = remove(settings) if asked.remove else DemoHistory(settings, wanted, Progress()).make()
    except (CreditRiskError, StackError) as error:
        return fail(error)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
