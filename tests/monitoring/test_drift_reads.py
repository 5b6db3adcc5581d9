"""What drift reads, on a real Postgres: the same counts as numpy's of the rows, and the same samples each time."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decisions import Arm, DecisionRecord
from creditrisk.errors import StoreError
from creditrisk.settings import Settings
from monitoring.drift_reads import DriftReads
from monitoring.histograms import Histogram, feature_grid, probability_grid
from monitoring.windows import Window, day_window, week_window
from tests.logged_decisions import CHALLENGER, CHAMPION, decision, log

DAY = date(2021, 1, 10)
NOON = datetime(2021, 1, 10, 12, tzinfo=UTC)


def window(name: str = "day") -> Window:
    return Window(name, NOON - timedelta(hours=12), NOON + timedelta(hours=12))


def some(count: int, seed: int = 1) -> list[DecisionRecord]:
    """Decisions on customers of every kind, values on edges and beyond bounds among them."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(count):
        features = (
            int(rng.choice([17, 18, 20, 34, 35, 70, 100, 101])),
            None if rng.random() < 0.2 else int(rng.integers(0, 60)),
            int(rng.choice([0, 1, 2, 61, 999, 1000, 1001])),
            None if rng.random() < 0.1 else float(rng.choice([0.5, 1.0, 100.25, 133.4, 1e8, 2e10])),
            int(rng.integers(0, 2)),
        )
        probability = float(rng.choice([0.0, 1e-9, 0.003, 0.2, 0.7, 1.0]))
        records.append(
            decision(
                number,
                features=features,
                probability=probability,
                decision=int(probability >= 0.2),
                decided_at=NOON + timedelta(seconds=number),
                model_version=CHALLENGER if number % 5 == 0 else CHAMPION,
                arm=Arm.CHALLENGER if number % 5 == 0 else Arm.CHAMPION,
            )
        )
    return records


def histograms_of(records: Sequence[DecisionRecord]) -> dict[str, Histogram]:
    rows = np.array([record.features for record in records], dtype=float)
    found = {
        name: Histogram.of(feature_grid(name), rows[:, place]) for place, name in enumerate(FEATURE_NAMES)
    }
    scores = np.array([record.probability for record in records])
    return found | {"probability": Histogram.of(probability_grid(), scores)}


def test_postgres_counts_by_bucket_as_numpy_does(market_settings: Settings) -> None:
    records = some(400)
    log(market_settings, records)
    challenger, champion = sorted(DriftReads(market_settings).counts(window()), key=lambda each: each.arm)
    for counts, arm, version in (
        (challenger, Arm.CHALLENGER, CHALLENGER),
        (champion, Arm.CHAMPION, CHAMPION),
    ):
        own = [record for record in records if record.arm is arm]
        assert (counts.version, counts.arm, counts.decisions) == (version, arm, len(own))
        assert counts.customers == len(own)
        assert counts.approved == sum(record.decision == 0 for record in own)
        for name, expected in histograms_of(own).items():
            found = counts.histograms[name]
            assert found.counts.tolist() == expected.counts.tolist(), name
            assert (found.missing, found.out_of_bounds) == (expected.missing, expected.out_of_bounds), name
    assert champion.histograms["age"].out_of_bounds > 0
    assert champion.histograms["years_on_the_job"].missing > 0


def test_a_customer_counts_once_with_the_last_decision_of_the_window(market_settings: Settings) -> None:
    young, old = (25, 1, 0, None, 0), (60, 9, 4, 200.0, 1)
    log(
        market_settings,
        [
            decision(1, features=young, decided_at=NOON),
            decision(1, features=young, decided_at=NOON + timedelta(hours=1)),
            decision(1, features=old, decided_at=NOON + timedelta(hours=2), arm=Arm.FALLBACK),
            decision(1, features=young, decided_at=NOON + timedelta(days=1)),
            decision(2, features=young, decided_at=NOON),
        ],
    )
    champion, fallback = DriftReads(market_settings).counts(window())
    assert (champion.arm, champion.decisions, champion.customers) == ("champion", 3, 1)
    assert (fallback.arm, fallback.decisions, fallback.customers) == ("fallback", 1, 1)
    age = feature_grid("age")
    assert fallback.histograms["age"].counts.tolist() == Histogram.of(age, np.array([60.0])).counts.tolist()
    assert champion.histograms["age"].counts.tolist() == Histogram.of(age, np.array([25.0])).counts.tolist()


def test_a_day_is_the_markets_and_ends_before_the_next_begins(market_settings: Settings) -> None:
    mexico = market_settings.model_copy(update={"time_zone": "America/Mexico_City"}).zone
    midnight = datetime(2021, 1, 10, 6, tzinfo=UTC)
    moments = [midnight - timedelta(seconds=1), midnight, midnight + timedelta(hours=24, seconds=-1)]
    log(
        market_settings,
        [
            decision(number, decided_at=moment)
            for number, moment in enumerate([*moments, midnight + timedelta(days=1)])
        ],
    )
    reads = DriftReads(market_settings)
    assert reads.numbers([day_window(DAY, mexico), week_window(DAY, mexico)]) == [2, 3]
    assert sum(each.decisions for each in reads.counts(day_window(DAY, mexico))) == 2


def test_samples_are_the_same_each_time_and_of_everybody_where_there_are_few(
    market_settings: Settings,
) -> None:
    records = some(60)
    log(market_settings, records)
    reads = DriftReads(market_settings)
    once = reads.sample(window(), 20)
    assert len(once) == 20
    assert reads.sample(window(), 20) == once
    assert sorted(reads.sample(window(), 1000)) == sorted(records)
    customers = reads.customers(window(), 15)
    assert customers == reads.customers(window(), 15)
    assert len(customers) == 15
    assert {each.customer for each in reads.customers(window(), 1000)} == set(range(60))


def test_a_time_without_decisions_has_no_counts_and_a_market_without_a_log_says_so(
    market_settings: Settings,
) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        DriftReads(market_settings).counts(window())
    log(market_settings, [decision(1, decided_at=NOON - timedelta(days=9))])
    assert DriftReads(market_settings).counts(window()) == []
    assert DriftReads(market_settings).sample(window(), 5) == []
