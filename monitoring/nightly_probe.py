"""Whether the nightly run has done its work: by the snapshots published and the rows of nights, never by asking for a run.

A run that nobody started leaves no trace to ask for. What was run or published ahead of its slot is not the night's work,
for the loans of the last hours were not in it. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from creditrisk.metric_store import Measure, Measured
from creditrisk.nights import Night, Outcome
from creditrisk.probe_store import Look
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict

NIGHTLY_START, NIGHTLY_RUN, OTHER_NIGHTS = "nightly start", "nightly run", "nights of other dates"
"""The probes."""

NIGHT_OUTCOME, NIGHT_VERDICT = "night_outcome", "night_verdict"
"""The measures that are made of the rows of nights."""

SWITCHED_OFF = "The nightly run is switched off."

_REMEMBERED = timedelta(days=7)
"""How long a failed run of another date, which nobody runs again, is somebody's business."""

_MOST_WORDS = 5
"""Failed runs of other dates that are spelt out; of the others it is said how many."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the ledger of publications says."""

    first_at: datetime
    """When the market's first snapshot was published: before, no night was missed."""
    newest: date
    """The latest date of a snapshot that was ever published."""
    last_at: Mapping[date, datetime]
    """When a snapshot of each of the last dates was published last."""


@dataclass(frozen=True, slots=True)
class NightlyPlan:
    """When a night's snapshot is to be there."""

    schedule: str
    """Cron expression; empty where nothing is scheduled."""
    zone: tzinfo
    late_after: timedelta

    @classmethod
    def of(cls, settings: Settings) -> "NightlyPlan":
        """The market's."""
        late_after = timedelta(minutes=settings.alerts.nightly_late_minutes)
        return cls(settings.nightly_schedule, settings.zone, late_after)

    def due(self, now: datetime) -> tuple[datetime, date] | None:
        """The newest slot whose time is up, and its date: the day before, as the run itself takes it."""
        if not self.schedule:
            return None
        from croniter import croniter

        # Cron speaks of the wall clock. A second later, as the slot before a moment is not that moment.
        wall = (now - self.late_after).astimezone(self.zone).replace(tzinfo=None) + timedelta(seconds=1)
        slot: datetime = croniter(self.schedule, wall).get_prev(datetime)
        return slot.replace(tzinfo=self.zone), slot.date() - timedelta(days=1)

    def is_ahead(self, as_of: date, moment: datetime) -> bool:
        """Whether a moment is before the slot of a date, which is the first one after that day; never without a schedule."""
        if not self.schedule:
            return False
        # Whatever date a form was given: the calendar's last one has no slot.
        if moment.astimezone(self.zone).date() <= as_of:
            return True
        from croniter import croniter

        end_of_day = datetime.combine(as_of + timedelta(days=1), time()) - timedelta(seconds=1)
        slot: datetime = croniter(self.schedule, end_of_day).get_next(datetime)
        return moment < slot.replace(tzinfo=self.zone)


class Due(NamedTuple):
    """The newest night whose time is up, and whether a run of it has begun."""

    as_of: date
    has_begun: bool


def due_night(plan: NightlyPlan, nights: Sequence[Night], now: datetime) -> Due | None:
    """The newest night that is due, by the rows of nights alone; None where no night had begun before it.

    Args:
        plan: when it is due.
        nights: at least those of the last days.
        now: an aware moment.
    """
    due = plan.due(now)
    if due is None or not any(night.started_at < due[0] for night in nights):
        return None
    return Due(due[1], any(_is_work_of(plan, due, night.as_of, night.started_at) for night in nights))


def nightly_looks(
    plan: NightlyPlan, published: Published | None, nights: Sequence[Night], now: datetime
) -> list[Look]:
    """Whether the last night that is due has begun and come to its end, and whether runs of other dates have failed.

    Args:
        plan: when it is due.
        published: None where nothing ever was.
        nights: at least those of the last days.
        now: an aware moment.
    """
    return [*_last_night(plan, published, nights, now), _other_nights(plan, nights, now)]


def measured_nights(plan: NightlyPlan, nights: Sequence[Night]) -> list[Measured]:
    """Each date's last run in its slot or later as measures, so that rules of days can be held against them."""
    last = _last_of_dates(night for night in nights if not plan.is_ahead(night.as_of, night.started_at))
    return [measured for night in last for measured in (_outcome(night), _verdict(night))]


def _last_night(
    plan: NightlyPlan, published: Published | None, nights: Sequence[Night], now: datetime
) -> list[Look]:
    due = plan.due(now)
    if due is None:
        return [look._replace(is_gone=True) for look in _unjudged(SWITCHED_OFF)]
    slot, as_of = due
    if published is None or slot < published.first_at:
        return _unjudged(f"Nothing was published yet when the run of {slot:%Y-%m-%d %H:%M} was due.")
    done = [day for day, moment in published.last_at.items() if _is_work_of(plan, due, day, moment)]
    if done:
        words = f"The snapshot of {max(done)} is published; {as_of} was due."
        return [Look(NIGHTLY_START, Verdict.PASS, words), Look(NIGHTLY_RUN, Verdict.PASS, words)]
    runs = [night for night in nights if _is_work_of(plan, due, night.as_of, night.started_at)]
    behind = f"The newest snapshot published is of {published.newest}."
    if not runs:
        never = f"No run for {as_of} has begun, which was due to start at {slot:%Y-%m-%d %H:%M %Z}."
        early = " It was run before that." if any(night.as_of == as_of for night in nights) else ""
        words = f"{never}{early} {behind}"
        return [Look(NIGHTLY_START, Verdict.FAIL, words), Look(NIGHTLY_RUN, Verdict.NOT_JUDGED, words)]
    newest = max(runs, key=lambda night: (night.as_of, night.started_at))
    begun = f"The run for {newest.as_of} began at {newest.started_at.astimezone(plan.zone):%Y-%m-%d %H:%M %Z}"
    return [
        Look(NIGHTLY_START, Verdict.PASS, f"{begun}."),
        Look(NIGHTLY_RUN, *_how_it_stands(newest, begun, behind)),
    ]


def _is_work_of(plan: NightlyPlan, due: tuple[datetime, date], day: date, moment: datetime) -> bool:
    """Whether what was done for a date at a moment is, or makes up for, the work of a night that is due."""
    slot, as_of = due
    return day >= as_of and moment >= slot and not plan.is_ahead(day, moment)


def _other_nights(plan: NightlyPlan, nights: Sequence[Night], now: datetime) -> Look:
    """Runs that no slot asked for: of a date before the newest, ahead of their slot, or of no schedule at all."""
    others = [
        night
        for night in _last_of_dates(nights)
        if now - night.started_at <= _REMEMBERED and _is_other(plan, night, nights)
    ]
    failed = [night for night in others if night.outcome is Outcome.FAILED]
    if failed:
        told = [f"The run for {night.as_of} failed: {_ended(night.why)}" for night in failed[::-1]]
        more = [f"And {len(told) - _MOST_WORDS} more."] * (len(told) > _MOST_WORDS)
        return Look(OTHER_NIGHTS, Verdict.FAIL, " ".join([*told[:_MOST_WORDS], *more]))
    running = [night for night in others if night.outcome is Outcome.RUNNING]
    if running:
        return Look(OTHER_NIGHTS, Verdict.NOT_JUDGED, f"The run for {running[-1].as_of} goes on.")
    return Look(
        OTHER_NIGHTS,
        Verdict.PASS,
        f"Of the dates that were run by themselves in the last {_REMEMBERED.days} days none is left failed.",
    )


def _is_other(plan: NightlyPlan, night: Night, nights: Iterable[Night]) -> bool:
    if not plan.schedule or plan.is_ahead(night.as_of, night.started_at):
        return True
    return any(
        each.as_of > night.as_of
        and each.started_at < night.started_at
        and not plan.is_ahead(each.as_of, each.started_at)
        for each in nights
    )


def _last_of_dates(nights: Iterable[Night]) -> list[Night]:
    """The run that began last of each date, by date."""
    ordered = sorted(nights, key=lambda night: (night.as_of, night.started_at))
    return list({night.as_of: night for night in ordered}.values())


def _unjudged(words: str) -> list[Look]:
    return [Look(name, Verdict.NOT_JUDGED, words) for name in (NIGHTLY_START, NIGHTLY_RUN)]


def _how_it_stands(night: Night, begun: str, behind: str) -> tuple[Verdict, str]:
    match night.outcome:
        case Outcome.RUNNING:
            return Verdict.WARN, f"{begun} and has not ended. {behind}"
        case Outcome.FAILED:
            return Verdict.FAIL, f"{begun} and failed: {_ended(night.why)} {behind}"
        case Outcome.PUBLISHED | Outcome.SKIPPED:
            return Verdict.PASS, f"{begun} and ended: {night.why}"


def _ended(why: str | None) -> str:
    """A night's reason as the end of a sentence; those of the quality gate are whole sentences themselves."""
    return f"{str(why).removesuffix('.')}."


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
