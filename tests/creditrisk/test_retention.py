"""The rule of what may go, without a lake."""

from datetime import UTC, date, datetime, timedelta

from creditrisk.removals import Kind
from creditrisk.retention import UNFINISHED_AFTER, Entry, Plan, Stored, plan
from creditrisk.settings import RetentionLimits
from creditrisk.snapshots import SnapshotId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = RetentionLimits(decisions_days=1000, snapshots_days=100, quarantine_days=10, versions_days=100)
OLD, YOUNG = "2020-12-30-aaaaaaaaaaaa", "2020-12-31-bbbbbbbbbbbb"


def snapshot(name: str, days_ago: float, *, is_finished: bool = True) -> Stored:
    return Stored(Kind.SNAPSHOT, name, NOW - timedelta(days=days_ago), is_finished)


def going(made: Plan) -> list[tuple[Kind, str]]:
    return [(entry.kind, entry.name) for entry in made.going]


def test_what_is_old_and_named_by_nothing_goes_and_the_young_stay() -> None:
    made = plan([snapshot(OLD, 100), snapshot(YOUNG, 99.9)], {}, {}, LIMITS, NOW)
    why = "built on 2025-09-23, kept for 100 days, named by nothing that stays"
    assert made.going == [Entry(Kind.SNAPSHOT, OLD, why)]
    assert made.staying == []
    assert made.young == {Kind.SNAPSHOT: 1}


def test_each_kind_has_its_own_days() -> None:
    stored = [Stored(kind, f"{kind} of {days}", NOW - timedelta(days=days)) for kind in (
        Kind.DECISIONS, Kind.QUARANTINE, Kind.REPORTS, Kind.VERSION
    ) for days in (9, 10, 99, 100, 999, 1000)]  # fmt: skip
    gone = {
        kind: {name for found, name in going(plan(stored, {}, {}, LIMITS, NOW)) if found is kind}
        for kind in Kind
    }
    assert gone[Kind.DECISIONS] == {"decisions of 1000"}
    assert len(gone[Kind.QUARANTINE]) == len(gone[Kind.REPORTS]) == 5
    assert gone[Kind.VERSION] == {"version of 100", "version of 999", "version of 1000"}


def test_what_is_named_stays_and_says_by_what() -> None:
    named = {(Kind.SNAPSHOT, OLD): "being served", (Kind.QUARANTINE, YOUNG): "of another kind"}
    made = plan([snapshot(OLD, 500), snapshot(YOUNG, 500)], named, {}, LIMITS, NOW)
    assert going(made) == [(Kind.SNAPSHOT, YOUNG)]
    assert made.staying == [Entry(Kind.SNAPSHOT, OLD, "being served")]


def test_no_days_is_for_ever() -> None:
    forever = RetentionLimits(decisions_days=0, snapshots_days=0, quarantine_days=0, versions_days=0)
    stored = [
        Stored(kind, "x", datetime(1990, 1, 1, tzinfo=UTC)) for kind in Kind if kind is not Kind.SNAPSHOT
    ]
    made = plan(
        [*stored, snapshot(OLD, 9999), snapshot(YOUNG, 9999, is_finished=False)], {}, {}, forever, NOW
    )
    assert (made.going, made.staying) == ([], [])
    assert sum(made.young.values()) == 6


def test_a_build_under_way_is_left_alone_and_a_leaving_goes() -> None:
    hours = UNFINISHED_AFTER / timedelta(days=1)
    under_way, leaving = (
        snapshot(YOUNG, hours - 0.01, is_finished=False),
        snapshot(OLD, hours, is_finished=False),
    )
    made = plan([under_way, leaving], {}, {}, LIMITS, NOW)
    assert going(made) == [(Kind.SNAPSHOT, OLD)]
    assert made.going[0].why == "unfinished: without a manifest, last written on 2025-12-30"


def test_a_snapshot_in_force_stays_while_another_of_its_date_does() -> None:
    replaced, current = "2020-12-31-aaaaaaaaaaaa", "2020-12-31-bbbbbbbbbbbb"
    in_force = {date(2020, 12, 31): SnapshotId.parse(current)}
    stored = [
        snapshot(replaced, 500),
        snapshot(current, 500),
        Stored(Kind.QUARANTINE, current, NOW - timedelta(days=500)),
    ]
    made = plan(stored, {(Kind.SNAPSHOT, replaced): "3 kept decisions"}, in_force, LIMITS, NOW)
    assert going(made) == [(Kind.QUARANTINE, current)]
    assert made.staying[-1] == Entry(
        Kind.SNAPSHOT, current, f"in force for its date, of which {replaced} stays"
    )
    assert len(going(plan(stored, {}, in_force, LIMITS, NOW))) == 3
    kept_current = plan(stored, {(Kind.SNAPSHOT, current): "being served"}, in_force, LIMITS, NOW)
    assert (Kind.SNAPSHOT, replaced) in going(kept_current)


def test_an_operator_reads_what_goes_what_stays_and_how_much_is_young() -> None:
    made = plan(
        [snapshot(OLD, 100), snapshot(YOUNG, 3)], {(Kind.SNAPSHOT, OLD): "being served"}, {}, LIMITS, NOW
    )
    assert made.lines(LIMITS) == [
        f"stays  snapshot {OLD}: being served",
        "decisions: 0 younger than 1000 days",
        "snapshot: 1 younger than 100 days",
        "quarantine: 0 younger than 10 days",
        "reports: 0 younger than 10 days",
        "version: 0 younger than 100 days",
    ]
