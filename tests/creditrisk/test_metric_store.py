"""Measures kept in a real PostgreSQL: a day replaced as a whole, by whoever measured it, and nobody else's."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import psycopg2
import pytest

from creditrisk.errors import SettingsError, StoreError
from creditrisk.metric_store import Measure, MetricStore
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from tests.creditrisk.published_market import ask

DAY = date(2021, 1, 10)
INDEX, RATE = "population_stability_index", "approval_rate"


def measure(part: str, value: float | None = 0.02, metric: str = INDEX) -> Measure:
    verdict = Verdict.NOT_JUDGED if value is None else Verdict.PASS
    return Measure(metric, part, value, 0.1, verdict, f"{part} has {value}.", {"counts": [1, 2]})


@pytest.fixture
def store(market_settings: Settings) -> MetricStore:
    OnlineStore(market_settings).migrate()
    return MetricStore(market_settings)


def test_a_day_measured_again_is_replaced_and_other_days_and_metrics_stay(store: MetricStore) -> None:
    store.replace(DAY, [measure("day/all/age"), measure("day/all/flag_own_car")], metrics=[INDEX])
    store.replace(DAY, [measure("all", 0.9, RATE)], metrics=[RATE])
    store.replace(DAY - timedelta(days=1), [measure("day/all/age")], metrics=[INDEX])
    again = [measure("week/all/age", None)]
    store.replace(DAY, again, metrics=[INDEX])
    assert [each.measure for each in store.between(DAY, DAY)] == [measure("all", 0.9, RATE), *again]
    found = store.between(DAY - timedelta(days=7), DAY, metrics=[INDEX])
    assert [(each.day, each.measure.part) for each in found] == [
        (DAY - timedelta(days=1), "day/all/age"),
        (DAY, "week/all/age"),
    ]


def test_a_day_that_cannot_be_written_whole_stays_as_it_was(store: MetricStore) -> None:
    before = [measure("day/all/age")]
    store.replace(DAY, before, metrics=[INDEX])
    with pytest.raises(StoreError, match="duplicate key"):
        store.replace(DAY, [measure("twice"), measure("twice")], metrics=[INDEX])
    assert [each.measure for each in store.between(DAY, DAY)] == before


def test_those_who_measure_one_day_at_the_same_moment_take_turns(store: MetricStore) -> None:
    def write(number: int) -> None:
        parts = [measure(f"{part}/{number}") for part in range(50)]
        store.replace(DAY, parts, metrics=[INDEX])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    parts = [each.measure.part for each in store.between(DAY, DAY)]
    assert len(parts) == 50
    assert len({part.partition("/")[2] for part in parts}) == 1


def test_details_can_be_left_out(store: MetricStore) -> None:
    store.replace(DAY, [measure("all")], metrics=[INDEX])
    (found,) = store.between(DAY, DAY, with_detail=False)
    assert found.measure.detail == {}


def test_only_numbers_of_the_metrics_that_are_replaced_are_taken(store: MetricStore) -> None:
    with pytest.raises(ValueError, match="approval_rate: not among"):
        store.replace(DAY, [measure("all", 0.9, RATE)], metrics=[INDEX])
    with pytest.raises(ValueError, match="value of population_stability_index of all: nan is not finite"):
        measure("all", float("nan"))


def test_nothing_measured_is_no_error_and_no_table_is(store: MetricStore, market_settings: Settings) -> None:
    assert store.between(DAY, DAY) == []
    elsewhere = market_settings.model_copy(update={"market": "nowhere"})
    with pytest.raises(StoreError, match="does not exist"):
        MetricStore(elsewhere).between(DAY, DAY)
    unset = market_settings.model_copy(update={"reader_database_url": None})
    with pytest.raises(SettingsError, match="CREDITRISK_READER_DATABASE_URL"):
        MetricStore(unset).between(DAY, DAY)


def test_the_reader_reads_measures_and_changes_none(store: MetricStore, market_settings: Settings) -> None:
    store.replace(DAY, [measure("all")], metrics=[INDEX])
    assert ask(market_settings, "SELECT count(*) FROM {schema}.metrics", "reader") == [(1,)]
    for statement in ("DELETE FROM {schema}.metrics", "UPDATE {schema}.metrics SET verdict = 'pass'"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(market_settings, statement, "reader")
