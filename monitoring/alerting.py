"""Which alerts start, go on and end: rules held against what was measured and seen. Pure: no clock, no store.

What is not known changes nothing: a measure that is not judged and a part that could not be looked at neither start an
alert nor end one. What there is no more, such as an arm that decides nothing any more, ends it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from fnmatch import fnmatchcase
from typing import NamedTuple

from creditrisk.alert_store import Alert
from creditrisk.metric_store import Measured
from creditrisk.probe_store import Probe
from creditrisk.release import ReleaseRecord
from creditrisk.snapshots import Verdict
from monitoring.rule_kinds import Days, Happening, Lasting, Reported, Rule

_MOST_WORDS = 5
"""Broken measures that an alert spells out; of the others it says how many."""


class Broken(NamedTuple):
    """A rule that is broken."""

    rule: Rule
    subject: str
    """What of it, where a rule can be broken by several at once."""
    words: str
    since: date


class _Bad(NamedTuple):
    """A measure that is bad on enough days."""

    last: Measured
    since: date


class _OverDays(NamedTuple):
    """How a rule of days stands."""

    bad: list[_Bad]
    is_held: bool
    """Enough days are bad, and maybe not the newest: nothing starts, and nothing ends for one good day."""
    is_judged: bool
    gone: str
    """What was bad on enough days and is no longer measured; empty: nothing."""


class _State(NamedTuple):
    """How a rule stands, where that is known."""

    broken: Sequence[Broken]
    well: str = ""
    """Where it is not broken, why: what people are told when its alert ends."""


_NO_RULE = _State((), "There is no such rule any more.")


@dataclass(frozen=True, slots=True)
class Seen:
    """What rules are held against."""

    measures: Sequence[Measured] = ()
    """Of at least as many days as the longest rule looks back."""
    probes: Sequence[Probe] = ()
    releases: Sequence[ReleaseRecord] = ()
    """Those of the last while."""
    gone: Mapping[str, str] = field(default_factory=dict)
    """Why there is nothing more to see, in words, by probe or metric."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done about alerts."""

    started: tuple[Broken, ...]
    going_on: tuple[tuple[Alert, Broken | None], ...]
    """Open alerts, with their words of now where it is known that they go on."""
    ended: tuple[tuple[Alert, str], ...]
    """Each with why it is over."""
    happened: tuple[tuple[Broken, datetime], ...]
    """What has no end, and when it happened; the store knows what of it was told."""


def changes(
    rules: Sequence[Rule], seen: Seen, open_alerts: Sequence[Alert], *, now: datetime, zone: tzinfo
) -> Changes:
    """Hold the rules against what was seen.

    Args:
        rules: each with a name of its own.
        seen: the newest of everything.
        open_alerts: those that have not ended.
        now: an aware moment.
        zone: the market's, in which an alert's day is told.
    """
    states = {rule.name: _state(rule, seen, now, zone) for rule in rules}
    broken = {
        (each.rule.name, each.subject): each for state in states.values() if state for each in state.broken
    }
    is_open = {(alert.rule, alert.subject): alert for alert in open_alerts}
    going_on, ended = [], []
    for key, alert in is_open.items():
        state = states.get(alert.rule, _NO_RULE)
        if key in broken or state is None:
            going_on.append((alert, broken.get(key)))
        else:
            ended.append((alert, state.well))
    return Changes(
        started=tuple(each for key, each in broken.items() if key not in is_open),
        going_on=tuple(going_on),
        ended=tuple(ended),
        happened=tuple(_happened(rules, seen.releases, zone)),
    )


def _state(rule: Rule, seen: Seen, now: datetime, zone: tzinfo) -> _State | None:
    """How a rule stands; None where nobody knows, or whoever reported it has to say."""
    match rule.broken_when:
        case tuple() as alternatives:
            gone = [seen.gone.get(metric) for days in alternatives for metric in days.metrics]
            if gone and all(gone):
                return _State((), gone[0] or "")
            return _any_of(rule, [_over_days(days, seen.measures) for days in alternatives])
        case Lasting(probe=name) as lasting:
            if name in seen.gone:
                return _State((), seen.gone[name])
            return _lasting(rule, lasting, {probe.name: probe for probe in seen.probes}, now, zone)
        case Happening():
            return _State(())
        case Reported():
            return None


def _any_of(rule: Rule, found: Sequence[_OverDays]) -> _State | None:
    """One alert names all measures that broke the rule, each once."""
    bad = [one for each in found for one in each.bad]
    if bad:
        return _State([Broken(rule, "", _listed(one.last for one in bad), min(one.since for one in bad))])
    if any(each.is_held for each in found):
        return None
    gone = next((each.gone for each in found if each.gone), "")
    if any(each.is_judged for each in found):
        return _State((), gone or "The newest days are within the limits again.")
    return _State((), gone) if gone else None


def _over_days(days: Days, measures: Iterable[Measured]) -> _OverDays:
    """The measures that are bad on enough days, each counted by itself."""
    series: dict[tuple[str, str], dict[date, Measured]] = defaultdict(dict)
    for each in measures:
        metric, part = each.measure.metric, each.measure.part
        if metric in days.metrics and fnmatchcase(part, days.parts):
            series[metric, part][each.day] = each
    # A part that is no longer measured, such as a challenger's, is over; hence the newest day of all.
    newest = max((day for by_day in series.values() for day in by_day), default=date.min)
    bad, is_held, is_judged, gone = list[_Bad](), False, False, ""
    for (metric, part), by_day in series.items():
        judged = {day: each for day, each in by_day.items() if each.measure.verdict is not Verdict.NOT_JUDGED}
        if not judged:
            continue
        # One that is not judged any more stands as it did: another's good day does not end what it started.
        last = max(judged)
        is_judged = is_judged or last == newest
        on = [
            day
            for day, each in judged.items()
            if (last - day).days < days.of and each.measure.verdict in days.verdicts
        ]
        if len(on) >= days.bad and newest not in by_day:
            gone = f"{metric} of {part} is no longer measured: its last day is {max(by_day)}."
        elif len(on) >= days.bad:
            is_held = True
            if newest in on:
                bad.append(_Bad(judged[newest], min(on)))
    return _OverDays(bad, is_held, is_judged, gone)


def _lasting(
    rule: Rule, lasting: Lasting, probes: Mapping[str, Probe], now: datetime, zone: tzinfo
) -> _State | None:
    """Both a bad and a good verdict count once they have lasted: what comes and goes makes no noise."""
    probe = probes.get(lasting.probe)
    if probe is None or probe.verdict is Verdict.NOT_JUDGED or now - probe.since < lasting.at_least:
        return None
    if probe.verdict not in lasting.verdicts:
        return _State((), probe.words)
    return _State([Broken(rule, "", probe.words, probe.since.astimezone(zone).date())])


def _happened(
    rules: Iterable[Rule], releases: Iterable[ReleaseRecord], zone: tzinfo
) -> Iterator[tuple[Broken, datetime]]:
    for rule in rules:
        if not isinstance(rule.broken_when, Happening):
            continue
        for record in releases:
            if record.action in rule.broken_when.actions:
                words = (
                    f"Release {record.number} ({record.action}) by {record.by}: {record.champion} serves"
                    f" everybody: {record.reason}"
                )
                subject = f"release {record.number}"
                yield Broken(rule, subject, words, record.at.astimezone(zone).date()), record.at


def _listed(measured: Iterable[Measured]) -> str:
    worst = sorted(measured, key=lambda each: (each.measure.verdict is not Verdict.FAIL, each.measure.metric))
    words = " ".join(_sentence(each.measure.words) for each in worst[:_MOST_WORDS])
    left = len(worst) - _MOST_WORDS
    return f"{words} And {left} more." if left > 0 else words


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."
