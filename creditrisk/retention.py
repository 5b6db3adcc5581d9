"""What may be removed: a pure rule over what is stored, how long it is to be kept, and what names it.

Something goes when it is older than its kind is kept and nothing that stays names it: no release record, no kept
decision, not the online store, and it is none of the newest snapshots. ``creditrisk.stock`` says what there is,
``creditrisk.removing`` does it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from creditrisk.removals import Kind
from creditrisk.settings import RetentionLimits
from creditrisk.snapshots import SnapshotId

UNFINISHED_AFTER = timedelta(days=2)
"""A snapshot's folder without a manifest is a build that is under way, until then: afterwards a leaving."""

NEWEST_KEPT = 3
"""Dates whose snapshots in force are kept whatever their age."""


class Stored(NamedTuple):
    """Something that is stored."""

    kind: Kind
    name: str
    since: datetime
    """What its age is counted from."""
    is_finished: bool = True
    """False for files that no reader takes for a snapshot or a version: their manifest is not there."""


class Entry(NamedTuple):
    """Something old enough to go, with why it goes or stays."""

    kind: Kind
    name: str
    why: str


Names = Mapping[tuple[Kind, str], str]
"""What is named by something that stays, with by what, in words."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes, and what stays although it is old enough."""

    going: list[Entry] = field(default_factory=list)
    staying: list[Entry] = field(default_factory=list)
    young: Counter[Kind] = field(default_factory=Counter)
    """How many of a kind are not old enough, or kept for ever."""

    def lines(self, limits: RetentionLimits) -> list[str]:
        """As an operator reads it."""
        lines = [f"goes   {entry.kind} {entry.name}: {entry.why}" for entry in self.going]
        lines += [f"stays  {entry.kind} {entry.name}: {entry.why}" for entry in self.staying]
        for kind in Kind:
            days = days_kept(limits, kind)
            rule = f"younger than {days} days" if days else "kept for ever"
            lines.append(f"{kind}: {self.young[kind]:,} {rule}")
        return lines


def days_kept(limits: RetentionLimits, kind: Kind) -> int:
    """Days that a kind is kept; 0: for ever."""
    return {
        Kind.DECISIONS: limits.decisions_days,
        Kind.SNAPSHOT: limits.snapshots_days,
        Kind.QUARANTINE: limits.quarantine_days,
        Kind.REPORTS: limits.quarantine_days,
        Kind.VERSION: limits.versions_days,
    }[kind]


def plan(
    stored: Sequence[Stored],
    named: Names,
    in_force: Mapping[date, SnapshotId],
    limits: RetentionLimits,
    now: datetime,
) -> Plan:
    """What may go.

    Args:
        stored: all that there is.
        named: what is named by something that stays. The decisions that go name nothing.
        in_force: the snapshot in force for each date.
        limits: how long each kind is kept.
        now: the moment to count from.
    """
    made = Plan()
    for thing in stored:
        days = days_kept(limits, thing.kind)
        allowed = timedelta(days=days)
        if thing.kind is Kind.SNAPSHOT and not thing.is_finished:
            allowed = UNFINISHED_AFTER
        if not days or now - thing.since < allowed:
            made.young[thing.kind] += 1
        elif by := named.get((thing.kind, thing.name)):
            made.staying.append(Entry(thing.kind, thing.name, by))
        else:
            made.going.append(Entry(thing.kind, thing.name, _why(thing, days)))
    return _with_dates_whole(made, stored, in_force)


def _why(thing: Stored, days: int) -> str:
    if not thing.is_finished:
        return f"unfinished: without a manifest, last written on {thing.since:%Y-%m-%d}"
    began = {
        Kind.DECISIONS: "of",
        Kind.SNAPSHOT: "built on",
        Kind.QUARANTINE: "last written on",
        Kind.REPORTS: "last written on",
        Kind.VERSION: "never released, trained on",
    }[thing.kind]
    day = thing.name if thing.kind is Kind.DECISIONS else f"{thing.since:%Y-%m-%d}"
    return f"{began} {day}, kept for {days} days, named by nothing that stays"


def _with_dates_whole(made: Plan, stored: Sequence[Stored], in_force: Mapping[date, SnapshotId]) -> Plan:
    """The plan without removing a date's snapshot in force while another of the date stays.

    The one that stayed would be in force in its place, which nobody decided.
    """
    going = {entry.name for entry in made.going if entry.kind is Kind.SNAPSHOT}
    staying_dates: dict[date, str] = {}
    for thing in stored:
        if thing.kind is Kind.SNAPSHOT and thing.is_finished and thing.name not in going:
            staying_dates.setdefault(SnapshotId.parse(thing.name).as_of, thing.name)
    kept_back = {
        str(snapshot): staying_dates[day]
        for day, snapshot in in_force.items()
        if day in staying_dates and str(snapshot) in going
    }
    return Plan(
        going=[
            entry for entry in made.going if entry.kind is not Kind.SNAPSHOT or entry.name not in kept_back
        ],
        staying=made.staying
        + [
            Entry(Kind.SNAPSHOT, name, f"in force for its date, of which {other} stays")
            for name, other in kept_back.items()
        ],
        young=made.young,
    )
