"""A generated history told day by day: the decisions, the loans that follow, what lands, and the night that ends the day."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as clock
from typing import Any

import numpy as np

from creditrisk.contract import LABEL_COLUMNS
from creditrisk.nights import Outcome
from creditrisk.refresh import judge_snapshot
from creditrisk.registry import ModelRegistry
from creditrisk.release import ReleaseRecord
from creditrisk.settings import Settings
from creditrisk.snapshots import InputFile, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage
from local.demo_customers import RAW_NAMES, LoanBook
from local.demo_month import DRIFT_DAYS, Application, Fault, Outcomes, Story
from local.demo_snapshots import SnapshotWriter, require_same
from local.demo_tables import DemoTables, GeneratedNight

STEM = "demo-history"
"""Of the names of the files that land."""

_NIGHT_AT = clock(2)
_NIGHT_SECONDS = 75.0
_TOLD_OF = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a history is to be."""

    days: int = 30
    decisions_a_day: int = 3000
    seed: int = 7
    real_nights: int = 1
    """How many of the last nights the feature job itself builds. The last one has every loan of the history in it."""
    measured_days: int | None = None
    """How many of the last days are measured; None: all."""
    faults: frozenset[Fault] = frozenset()
    with_report: bool = True
    """Whether the last day gets its drift report, as monitoring writes one each morning."""

    def measured(self, days: list[date]) -> list[date]:
        """Those of some days, oldest first, that are measured."""
        return days if self.measured_days is None else days[max(len(days) - self.measured_days, 0) :]


@dataclass(slots=True)
class Telling:
    """The days one after the other."""

    settings: Settings
    wanted: Wanted
    now: datetime
    days: list[date]
    """Those that are over, oldest first."""
    tables: DemoTables
    release: ReleaseRecord
    writer: SnapshotWriter
    say: Callable[[str], None]
    """Is told how far the story is."""
    outcomes: Outcomes = field(default_factory=Outcomes)
    landed: list[InputFile] = field(default_factory=list)
    """Loans files of the story so far."""
    decisions: int = 0
    real: list[str] = field(default_factory=list)

    def tell(self, book: LoanBook) -> SnapshotId:
        """Tell the story; the snapshot that is served at its end."""
        days = self.days
        story = self._story()
        book.take_until(days[0] - timedelta(days=1))
        served = self._night(book, days[0] - timedelta(days=1))
        for day in [*days, days[-1] + timedelta(days=1)]:
            drifting = day > days[-1] - timedelta(days=DRIFT_DAYS)
            asked = story.applications(book, served, day, until=self.now, drifting=drifting)
            self._decide(asked, story)
            if day in days[:: max(len(days) // _TOLD_OF, 1)]:
                self.say(f"    {day}: {self.decisions:,} decisions so far")
            if day in days:
                story.take_up(book, asked, day, self.outcomes, drifting=drifting)
                book.take_day(day, self.outcomes.loans.get(day, ()))
                self._land(day)
                served = self._last_night(book, day, served) if day == days[-1] else self._night(book, day)
        return served

    def said(self, served: SnapshotId) -> list[str]:
        """What was done, and how to undo it."""
        market, days = self.settings.market, self.days
        labels = sum(len(known) for day, known in self.outcomes.labels.items() if day <= days[-1])
        loans = sum(map(len, self.outcomes.loans.values()))
        planted = ", ".join(sorted(self.wanted.faults)) or "none"
        return [
            f"Market {market} now has a generated history from {days[0]} to {days[-1]}, and of today up to now:",
            f"  {self.decisions:,} decisions by {self.release.champion} (key name 'demo history')",
            f"  {loans:,} loans that followed, and the outcomes of {labels:,} that are known by now, under raw/",
            f"  {len(days) + 1} nights (run ids 'generated …'), of which the feature job built {', '.join(self.real) or 'none'}",
            f"  measures of {len(self.wanted.measured(days))} days; faults planted: {planted}; {served} is being served",
            "To remove it: python -m local.demo_history --remove",
        ]

    def _story(self) -> Story:
        from monitoring.fill_up import load_scorer

        settings, wanted = self.settings, self.wanted
        scorer = load_scorer(ModelRegistry(Storage(settings.registry_root)), self.release.champion)
        return Story(
            wanted.seed, wanted.decisions_a_day, settings.zone, scorer.flat, scorer.threshold, wanted.faults
        )

    def _decide(self, asked: Sequence[Application], story: Story) -> None:
        if asked:
            seed = story.seed + asked[0].at.toordinal()
            self.tables.decide(asked, self.release, story.threshold, seed)
            self.decisions += len(asked)

    def _land(self, day: date) -> None:
        """The day's loans and the outcomes that came to be known on it, as files of their own."""
        outcomes, lake = self.outcomes, self.writer.catalog.lake
        loans = [[row[name] for name in RAW_NAMES] for row in outcomes.loans.get(day, ())]
        labels = [[str(loan), str(status), str(day)] for loan, status in outcomes.labels.get(day, ())]
        for kind, header, rows in (
            ("loans", RAW_NAMES, loans),
            ("labels", [column.name for column in LABEL_COLUMNS], labels),
        ):
            if rows:
                text = "".join(",".join(line) + "\n" for line in [header, *rows])
                key = f"raw/{kind}/{day}/{STEM}-{day}.csv"
                lake.create(key, text.encode())
                if kind == "loans":
                    digest = hashlib.sha256(text.encode()).hexdigest()
                    self.landed.append(
                        InputFile(url=f"{lake.url}/{key}", landed=day, rows=len(rows), sha256=digest)
                    )

    def _last_night(self, book: LoanBook, day: date, before: SnapshotId) -> SnapshotId:
        faults = self.wanted.faults
        if Fault.NIGHT_NEVER_STARTED in faults:
            return before
        if Fault.LATE_NIGHT in faults:
            manifest = self.writer.like.model_copy(update={"as_of": day})
            night = GeneratedNight(manifest, None, self._began(day), _NIGHT_SECONDS)
            self.tables.tell_night(night, Outcome.RUNNING, None)
            return before
        return self._night(book, day)

    def _night(self, book: LoanBook, as_of: date) -> SnapshotId:
        """Build, judge and tell of a night."""
        began = self._began(as_of)
        is_built = (self.days[-1] - as_of).days < self.wanted.real_nights
        if is_built:
            manifest = self._built(as_of)
            require_same(book, self.outcomes, manifest, self.writer.catalog)
        else:
            manifest = self.writer.write(book, self.outcomes, as_of, began, self.landed)
        report = judge_snapshot(self.settings, manifest.snapshot)
        draw = np.random.default_rng((self.wanted.seed, 3, as_of.toordinal())).uniform(0.9, 1.3)
        # None ends later than now.
        seconds = min(round(_NIGHT_SECONDS * draw, 1), (self.now - began).total_seconds())
        self.tables.publish(GeneratedNight(manifest, report.verdict, began, seconds, is_built))
        return SnapshotId.parse(manifest.snapshot)

    def _built(self, as_of: date) -> SnapshotManifest:
        """The snapshot that the feature job builds of a day."""
        from spark_jobs.run import Run, build

        settings = self.settings
        self.say(f"    {as_of}: the feature job builds this night from the landed files")
        root = settings.lake_root
        landed_until = max(as_of, self.writer.like.landed_until)
        today = max(landed_until, self.now.astimezone(settings.zone).date())
        run = Run(as_of, landed_until, f"{root}/raw/loans", f"{root}/raw/labels", today)
        with spark_session(settings) as session:
            manifest, _ = build(settings, run, time.monotonic(), session)
        self.real.append(str(as_of))
        return manifest

    def _began(self, as_of: date) -> datetime:
        """At its slot; or where that is to come, a little while ago, as of a run by hand."""
        slot = slot_of(as_of, self.settings.zone)
        return slot if slot <= self.now else self.now - timedelta(seconds=2 * _NIGHT_SECONDS)


def slot_of(as_of: date, zone: tzinfo) -> datetime:
    """When the night of a day begins."""
    return datetime.combine(as_of + timedelta(days=1), _NIGHT_AT, zone).astimezone(UTC)


@contextmanager
def spark_session(settings: Settings) -> Iterator[Any]:
    """The one Spark session of this process, which goes with it."""
    from local.environment import process_environment
    from local.java import java_home
    from spark_jobs.session import start_session

    before = dict(os.environ)
    os.environ.update(process_environment(settings, java_home(settings.var_dir / "java")))
    try:
        yield start_session(settings, "demo history")
    finally:
        os.environ.clear()
        os.environ.update(before)
