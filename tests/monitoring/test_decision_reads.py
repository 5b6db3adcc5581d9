"""What the judge reads, on a real Postgres, from decisions that the service's own code added."""

from collections import Counter
from datetime import timedelta

import pytest

from creditrisk.decisions import Arm
from creditrisk.errors import DecisionLogError, SettingsError, StoreUnavailable
from creditrisk.settings import Settings
from monitoring.decision_reads import LOADING, DecisionReads, LoggedRequest
from monitoring.fill_up import score_bin
from monitoring.step_evidence import Approvals, StepEvidence
from serving.challenger import Challenger
from tests.logged_decisions import APPROVED, BEGAN, CHALLENGER, DECLINED, decision, log, paired

LATER = BEGAN + timedelta(minutes=1)


def read(settings: Settings, genders: dict[int, str] | None = None) -> StepEvidence:
    return DecisionReads(settings).evidence(2, CHALLENGER, BEGAN, genders or {})


def test_every_request_counts_for_problems_and_time_and_each_customer_once_for_decisions(
    market_settings: Settings,
) -> None:
    log(
        market_settings,
        [
            decision(1, paired(APPROVED, DECLINED)),
            decision(1, paired(APPROVED, APPROVED), decided_at=LATER),  # their first request counts
            decision(2, paired(DECLINED, APPROVED, challenger_microseconds=2500), arm=Arm.CHALLENGER),
            decision(3, paired(DECLINED, DECLINED)),
            decision(4, paired(APPROVED, APPROVED)),
            decision(5, paired(APPROVED, None), arm=Arm.FALLBACK),
            decision(5, paired(APPROVED, None), arm=Arm.FALLBACK),
            decision(6, paired(APPROVED, None, challenger_problem=f"challenger {CHALLENGER}: {LOADING}")),
            decision(7, paired(APPROVED, DECLINED), release=3),
            decision(8, paired(APPROVED, DECLINED), decided_at=BEGAN - timedelta(days=2)),
            decision(9),
        ],
    )
    found = read(market_settings)
    assert (found.decisions, found.loading) == (7, 1)
    assert (found.challengers_customers, found.fallbacks) == (3, 2)
    assert found.problems == Counter({"IndexError: out of bounds": 2})
    assert found.timings == Counter({(60, 70): 4, (60, 2500): 1})
    assert found.approvals == Approvals(both=1, only_champion=1, only_challenger=1, neither=1)
    assert found.champion_scores == Counter({score_bin(APPROVED): 2, score_bin(DECLINED): 2})
    assert found.challenger_scores == found.champion_scores


def test_groups_are_the_age_band_the_car_and_the_known_gender(market_settings: Settings) -> None:
    ages = {1: 17, 2: 29, 3: 30, 4: 59, 5: 60, 6: 101}
    log(
        market_settings,
        [
            decision(customer, paired(APPROVED, DECLINED), features=(age, 2, 0, None, customer % 2))
            for customer, age in ages.items()
        ],
    )
    found = read(market_settings, {1: "F", 2: "M", 3: "F", 99: "M"})
    assert {group: approvals.customers for group, approvals in found.groups.items()} == {
        ("age", "18 to 29"): 2,
        ("age", "30 to 39"): 1,
        ("age", "50 to 59"): 1,
        ("age", "60 to 100"): 2,
        ("own car", "yes"): 3,
        ("own car", "no"): 3,
        ("gender", "F"): 2,
        ("gender", "M"): 1,
    }
    assert found.groups["gender", "F"] == Approvals(only_champion=2)


def test_postgres_bins_scores_as_python_does(market_settings: Settings) -> None:
    probabilities = [0.0, 1e-9, 4e-5, 6e-5, *(number / 97 for number in range(1, 97)), 1 - 1e-9, 1.0]
    log(
        market_settings,
        [decision(number, paired(p, 1 - p)) for number, p in enumerate(probabilities)],
    )
    found = read(market_settings)
    assert found.champion_scores == Counter(map(score_bin, probabilities))
    assert found.challenger_scores == Counter(score_bin(1 - p) for p in probabilities)
    assert {score_bin(0.0), score_bin(1.0)} <= set(range(400))


def test_the_day_before_gives_each_customer_s_first_request_but_not_of_those_seen_since(
    market_settings: Settings,
) -> None:
    hours = {number: BEGAN - timedelta(hours=number) for number in (1, 2, 23, 25)}
    log(
        market_settings,
        [
            decision(1, decided_at=hours[2], release=1, features=(20, 1, 0, None, 0)),
            decision(1, decided_at=hours[1], release=1, features=(21, 1, 1, 5.0, 0)),
            decision(2, decided_at=hours[23], release=1),
            decision(3, decided_at=hours[25], release=1),
            decision(4, decided_at=hours[1], release=1),
            decision(4, paired()),
        ],
    )
    reads = DecisionReads(market_settings)
    assert sorted(reads.requests_before(2, CHALLENGER, BEGAN, most=10)) == [
        LoggedRequest(1, (20, 1, 0, None, 0)),
        LoggedRequest(2, (42, None, 3, 100.5, 1)),
    ]
    assert len(reads.requests_before(2, CHALLENGER, BEGAN, most=1)) == 1


def test_a_challenger_that_is_being_loaded_says_so_in_the_words_that_are_left_out() -> None:
    problem = Challenger(CHALLENGER, 1000.0).score((42, None, 3, 100.5, 1)).problem
    assert problem
    assert problem.endswith(LOADING)


def test_what_cannot_be_read_is_told_apart(market_settings: Settings) -> None:
    with pytest.raises(DecisionLogError, match="does not exist"):
        read(market_settings)
    unset = market_settings.model_copy(update={"reader_database_url": None})
    with pytest.raises(SettingsError, match="CREDITRISK_READER_DATABASE_URL"):
        DecisionReads(unset)
    url = market_settings.reader_database_url
    assert url
    elsewhere = type(url)("postgresql://creditrisk_reader:x@127.0.0.1:1/creditrisk")
    with pytest.raises(StoreUnavailable, match="Postgres \\(reader\\)"):
        read(market_settings.model_copy(update={"reader_database_url": elsewhere}))
