"""Which loan a decision is about, and what is known of it: small cases on a real Postgres, lake and registry."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from creditrisk.decisions import Arm, DecisionRecord, LoanAsked
from creditrisk.settings import Settings
from creditrisk.store_schema import StoreSchema
from monitoring.outcome_reads import Counted, OutcomeReads, RestsOn
from tests.logged_decisions import APPROVED, CHALLENGER, CHAMPION, DECLINED, decision, log, paired

NOVEMBER, DECEMBER = date(2020, 11, 1), date(2020, 12, 1)
ASKED = date(2020, 11, 10)
SNAPSHOT = "2020-11-09-ab12cd34ef56"
MONDAY = datetime(2020, 11, 10, 12, tzinfo=UTC)


@dataclass
class Lake:
    """What is copied from the lake."""

    outcomes: Sequence[tuple[int, int, date, int | None]] = ()
    """Loan, customer, date, status."""
    newest: dict[int, int] = field(default_factory=dict)
    """The newest loan of each customer in the snapshot."""
    made_with: Sequence[tuple[str, int]] = ()
    unreadable: Sequence[str] = ()


def read(
    settings: Settings, records: Sequence[DecisionRecord], lake: Lake, zone: str = "UTC"
) -> list[Counted]:
    log(settings, records)
    schema = StoreSchema.of(settings)
    with schema.connected() as connection, connection, connection.cursor() as cursor:
        reads = OutcomeReads(cursor, schema, NOVEMBER, date(2020, 12, 31), ZoneInfo(zone))
        reads.copy("named_snapshots", [f"{SNAPSHOT},0\n".encode()])
        reads.copy(
            "newest_loans", [f"0,{customer},{loan}\n".encode() for customer, loan in lake.newest.items()]
        )
        reads.copy(
            "outcomes",
            [
                f"{loan},{who},{day},{'' if late is None else late}\n".encode()
                for loan, who, day, late in lake.outcomes
            ],
        )
        reads.copy("made_with", [f"{version},{loan}\n".encode() for version, loan in lake.made_with])
        return list(reads.counted(30, lake.unreadable))


def states(counted: Counted) -> dict[str, int]:
    return {state: sum(row.loans for row in rows) for state, rows in counted.states.items()}


def newest(customer: int, **changes: Any) -> DecisionRecord:
    return decision(customer, **{"decided_at": MONDAY, "snapshot": SNAPSHOT, **changes})


def applied(
    customer: int, as_of: date = ASKED, probability: float = APPROVED, **changes: Any
) -> DecisionRecord:
    return newest(
        customer,
        **{
            "loan": LoanAsked.NEXT,
            "as_of": as_of,
            "probability": probability,
            "decision": int(probability == DECLINED),
            **changes,
        },
    )


def test_the_newest_loan_is_the_one_that_was_published_with_the_snapshot(market_settings: Settings) -> None:
    old, later = date(2020, 10, 1), date(2020, 11, 11)
    lake = Lake(
        outcomes=[(11, 1, old, 1), (12, 1, later, 0), (21, 2, old, 0), (31, 3, old, None), (41, 4, old, 1)],
        newest={1: 11, 2: 21, 3: 31},
    )
    records = [newest(1), newest(2, decision=1, probability=DECLINED), newest(3), newest(4)]
    (found,) = read(market_settings, records, lake)
    assert found.scorer == (NOVEMBER, CHAMPION, "champion", None)
    # A loan that was there already has an outcome whatever was decided; of customer 4 the snapshot says nothing.
    assert states(found) == {"late": 1, "in time": 1, "open": 1, "unlinked": 1}


def test_an_application_is_about_the_first_loan_that_follows_within_the_horizon(
    market_settings: Settings,
) -> None:
    day = timedelta(days=1)
    lake = Lake(
        outcomes=[
            (10, 1, ASKED - day, 0), (11, 1, ASKED + 2 * day, 1), (12, 1, ASKED + 3 * day, 0),
            (22, 2, ASKED, 1), (21, 2, ASKED, 0),
            (31, 3, ASKED + 31 * day, 1),
            (41, 4, ASKED + 30 * day, None),
        ],
    )  # fmt: skip
    (found,) = read(market_settings, [applied(customer) for customer in range(1, 6)], lake)
    assert states(found) == {"late": 1, "in time": 1, "open": 1, "no loan": 2}


def test_a_declined_application_has_no_outcome_whatever_loan_follows(market_settings: Settings) -> None:
    lake = Lake(outcomes=[(11, 1, ASKED, 0), (21, 2, ASKED, 0)])
    (found,) = read(market_settings, [applied(1, probability=DECLINED), applied(2)], lake)
    assert states(found) == {"declined": 1, "in time": 1}


def test_an_outcome_that_a_version_was_made_with_says_nothing_of_it(market_settings: Settings) -> None:
    lake = Lake(
        outcomes=[(11, 1, date(2020, 10, 1), 1), (21, 2, ASKED, 0), (31, 3, ASKED, 0)],
        newest={1: 11},
        made_with=[(CHAMPION, 11), (CHAMPION, 21), ("2020-11-01-cccccccccc", 31)],
    )
    records = [newest(1), applied(2), applied(3)]
    (found,) = read(market_settings, records, lake)
    assert states(found) == {"made with": 2, "in time": 1}
    lake.unreadable = [CHAMPION]
    (found,) = read(market_settings, [], lake)
    assert states(found) == {"made with": 3}


def test_a_question_that_is_asked_again_counts_once_and_with_its_first_answer(
    market_settings: Settings,
) -> None:
    lake = Lake(
        outcomes=[(11, 1, date(2020, 10, 1), 1), (21, 2, ASKED + timedelta(days=2), 0)], newest={1: 11}
    )
    hour = timedelta(hours=1)
    records = [
        newest(1, decided_at=MONDAY + hour, probability=0.15),
        newest(1),
        newest(1, decided_at=MONDAY + 24 * hour, probability=0.12),
        applied(2),
        applied(2, decided_at=MONDAY + hour),
        applied(2, ASKED + timedelta(days=1), decided_at=MONDAY + 24 * hour),
        applied(1),
        newest(1, decided_at=MONDAY + timedelta(days=30)),
    ]
    november, december = read(market_settings, records, lake)
    assert states(november) == {"late": 1, "in time": 2, "no loan": 1}
    (late,) = november.states["late"]
    assert late.total == APPROVED
    assert late.squares == APPROVED * APPROVED
    assert december.scorer.month == DECEMBER
    assert states(december) == {"late": 1}


def test_both_versions_are_counted_where_both_scored_and_over_the_same_decisions(
    market_settings: Settings,
) -> None:
    days = date(2020, 10, 1)
    lake = Lake(
        outcomes=[(loan, loan - 10, days, int(loan == 11)) for loan in range(11, 16)],
        newest={customer: customer + 10 for customer in range(1, 6)},
        made_with=[(CHALLENGER, 14)],
    )
    records = [
        newest(1, scores=paired(APPROVED, DECLINED)),
        newest(2, scores=paired(APPROVED, DECLINED), arm=Arm.CHALLENGER, model_version=CHALLENGER),
        newest(3, scores=paired(DECLINED, None), arm=Arm.FALLBACK),
        newest(4, scores=paired(APPROVED, APPROVED)),
        newest(5),
    ]
    alone, beside, challenger = read(market_settings, records, lake)
    assert alone.scorer == (NOVEMBER, CHAMPION, "champion", None)
    assert states(alone) == {"late": 1, "in time": 4}
    assert beside.scorer == (NOVEMBER, CHAMPION, "champion", CHALLENGER)
    assert challenger.scorer == (NOVEMBER, CHALLENGER, "challenger", CHAMPION)
    assert states(beside) == states(challenger) == {"late": 1, "in time": 1, "made with": 1}
    assert challenger.states["late"][0].total == DECLINED
    assert beside.states["late"][0].total == APPROVED


def test_what_decisions_rest_on_is_told_of_the_days_asked_for(market_settings: Settings) -> None:
    records = [
        newest(1, scores=paired()),
        applied(2, snapshot="2020-11-08-000000000000"),
        applied(3, ASKED + timedelta(days=1)),
        newest(4, decided_at=datetime(2020, 10, 31, 23, 59, tzinfo=UTC), snapshot="2020-10-30-000000000000"),
        newest(5, decided_at=datetime(2021, 1, 1, tzinfo=UTC), snapshot="2020-12-31-000000000000"),
    ]
    log(market_settings, records)
    schema = StoreSchema.of(market_settings)
    with schema.connected() as connection, connection, connection.cursor() as cursor:
        reads = OutcomeReads(cursor, schema, NOVEMBER, date(2020, 12, 31), ZoneInfo("UTC"))
        assert reads.rests_on() == RestsOn(frozenset({CHAMPION, CHALLENGER}), frozenset({SNAPSHOT}), ASKED)


def test_months_and_days_are_those_of_the_market_s_time_zone(market_settings: Settings) -> None:
    first_of_december, last_of_year = (
        datetime(2020, 12, 1, 5, tzinfo=UTC), datetime(2021, 1, 1, 5, tzinfo=UTC),
    )  # fmt: skip
    records = [newest(1, decided_at=first_of_december), newest(2, decided_at=last_of_year)]
    assert [each.scorer.month for each in read(market_settings, records, Lake())] == [DECEMBER]
    there = read(market_settings, [], Lake(), "America/Mexico_City")
    assert [each.scorer.month for each in there] == [NOVEMBER, DECEMBER]


@pytest.mark.parametrize("probability", [0.0, 1e-9, 0.5, 1.0])
def test_scores_at_the_very_ends_have_a_bin(market_settings: Settings, probability: float) -> None:
    lake = Lake(outcomes=[(11, 1, ASKED, 1)], newest={1: 11})
    (found,) = read(market_settings, [newest(1, probability=probability)], lake)
    (row,) = found.states["late"]
    assert abs(row.bin) <= 1000
    assert row.total == probability
