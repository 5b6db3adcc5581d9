"""Whether the nightly run has done its work: by the snapshots published and the rows of nights, never by asking for a run.

A run that nobody started leaves no trace to ask for. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from creditrisk.metric_store import Measure, Measured
from creditrisk.nights import Night, Outcome
from creditrisk.probe_store import Look
from creditrisk.snapshots import Verdict

NIGHTLY_START, NIGHTLY_RUN = "nightly start", "nightly run"
"""The probes."""

NIGHT_OUTCOME, NIGHT_VERDICT = "night_outcome", "night_verdict"
"""The measures that are made of the rows of nights."""

SWITCHED_OFF = "The nightly run is switched off."


@dataclass(frozen=True, slots=True)
class Published:
    """What the ledger of publications says."""

    first_at: datetime
    """When the market's first snapshot was published: before, no night was missed."""
    newest: date
    """The latest date of a snapshot that was ever published."""


@dataclass(frozen=True, slots=True)
class NightlyPlan:
    """When a night's snapshot is to be there."""

    schedule: str
    """Cron expression; empty where nothing is scheduled."""
    zone: tzinfo
    late_after: timedelta

    def due(self, now: datetime) -> tuple[datetime, date] | None:
        """The newest slot whose time is up, and its date: the day before, as the run itself takes it."""
        if not self.schedule:
            return None
        from croniter import croniter

        # Cron speaks of the wall clock. A second later, as the slot before a moment is not that moment.
        wall = (now - self.late_after).astimezone(self.zone).replace(tzinfo=None) + timedelta(seconds=1)
        slot: datetime = croniter(self.schedule, wall).get_prev(datetime)
        return slot.replace(tzinfo=self.zone), slot.date() - timedelta(days=1)


def nightly_looks(
    plan: NightlyPlan, published: Published | None, nights: Sequence[Night], now: datetime
) -> list[Look]:
    """Whether the last night that is due has begun, and whether it has come to its end.

    Args:
        plan: when it is due.
        published: None where nothing ever was.
        nights: at least those of the last days.
        now: an aware moment.
    """
    due = plan.due(now)
    if due is None:
        return [look._replace(is_gone=True) for look in _unjudged(SWITCHED_OFF)]
    slot, as_of = due
    if published is None or slot < published.first_at:
        return _unjudged(f"Nothing was published yet when the run of {slot:%Y-%m-%d %H:%M} was due.")
    if published.newest >= as_of:
        done = f"The snapshot of {published.newest} is published; {as_of} was due."
        return [Look(NIGHTLY_START, Verdict.PASS, done), Look(NIGHTLY_RUN, Verdict.PASS, done)]
    runs = [night for night in nights if night.as_of >= as_of]
    behind = f"The newest snapshot published is of {published.newest}."
    if not runs:
        never = f"No run for {as_of} has begun, which was due to start at {slot:%Y-%m-%d %H:%M %Z}. {behind}"
        return [Look(NIGHTLY_START, Verdict.FAIL, never), Look(NIGHTLY_RUN, Verdict.NOT_JUDGED, never)]
    newest = max(runs, key=lambda night: (night.as_of, night.started_at))
    begun = f"The run for {newest.as_of} began at {newest.started_at.astimezone(plan.zone):%Y-%m-%d %H:%M %Z}"
    return [
        Look(NIGHTLY_START, Verdict.PASS, f"{begun}."),
        Look(NIGHTLY_RUN, *_how_it_stands(newest, begun, behind)),
    ]


def measured_nights(nights: Sequence[Night]) -> list[Measured]:
    """Each date's last run as measures, so that rules of days can be held against them."""
    last = {night.as_of: night for night in sorted(nights, key=lambda night: (night.as_of, night.started_at))}
    return [measured for night in last.values() for measured in (_outcome(night), _verdict(night))]


def _unjudged(words: str) -> list[Look]:
    return [Look(name, Verdict.NOT_JUDGED, words) for name in (NIGHTLY_START, NIGHTLY_RUN)]


def _how_it_stands(night: Night, begun: str, behind: str) -> tuple[Verdict, str]:
    match night.outcome:
        case Outcome.RUNNING:
            return Verdict.WARN, f"{begun} and has not ended. {behind}"
        case Outcome.FAILED:
            return Verdict.FAIL, f"{begun} and failed: {night.why}. {behind}"
        case Outcome.PUBLISHED | Outcome.SKIPPED:
            return Verdict.PASS, f"{begun} and ended: {night.why}"


def _outcome(night: Night) -> Measured:
    """A night that the gate stopped is told by its verdict, not twice."""
    by_the_gate = night.verdict == Verdict.FAIL
    if night.outcome is Outcome.RUNNING:
        verdict, words = Verdict.NOT_JUDGED, f"The run for {night.as_of} goes on."
    elif night.outcome is Outcome.FAILED and not by_the_gate:
        verdict, words = Verdict.FAIL, f"The run for {night.as_of} failed: {night.why}"
    else:
        verdict, words = Verdict.PASS, f"The run for {night.as_of} {night.outcome}: {night.why}"
    return _measured(night, NIGHT_OUTCOME, verdict, words)


def _verdict(night: Night) -> Measured:
    verdict = Verdict(night.verdict) if night.verdict else Verdict.NOT_JUDGED
    words = f"The quality gate says {verdict} of the snapshot of {night.as_of}."
    if verdict is Verdict.FAIL and night.why:
        words = f"{words} {night.why}"
    return _measured(night, NIGHT_VERDICT, verdict, words)


def _measured(night: Night, metric: str, verdict: Verdict, words: str) -> Measured:
    moment = night.ended_at or night.started_at
    return Measured(night.as_of, Measure(metric, "all", None, None, verdict, words), moment)
