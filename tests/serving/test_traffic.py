"""Answers by minute in a real Postgres: each counted once, whatever is down, late or gone meanwhile."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from creditrisk.errors import StoreUnavailable
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.store_reader import StoreReader
from creditrisk.store_schema import StoreSchema
from creditrisk.traffic import Answers, TrafficSum, answers_between, remove_traffic_before, sum_of
from creditrisk.traffic_store import MinuteCount, TrafficStore
from serving import traffic as traffic_module
from serving.figures import Figures
from serving.traffic import Traffic
from tests.conftest import free_port
from tests.creditrisk.published_market import ask
from tests.online_tables import ADA
from tests.serving.conftest import Market, open_client
from tests.serving.service_process import wait_until

NOON = datetime(2021, 1, 10, 12, tzinfo=UTC)
ROUTE = "POST /predict"


@pytest.fixture
def settings(market_settings: Settings) -> Settings:
    OnlineStore(market_settings).migrate()
    return market_settings


def store_of(settings: Settings, url: str | None = None) -> TrafficStore:
    assert settings.service_database_url
    return TrafficStore(url or settings.service_database_url.get_secret_value(), settings.database_schema)


def read(settings: Settings, begin: datetime, end: datetime) -> list[Answers]:
    """As the operators' page reads them."""
    with StoreReader.of(settings).reading() as cursor:
        return answers_between(cursor, StoreReader.of(settings).table("traffic"), begin, end)


def by_minute(settings: Settings) -> dict[tuple[str, int], int]:
    rows = ask(
        settings,
        "SELECT to_char(minute AT TIME ZONE 'UTC', 'HH24:MI'), status, sum(requests)::int "
        "FROM {schema}.traffic GROUP BY minute, status",
        "reader",
    )
    return {(minute, status): requests for minute, status, requests in rows}


def at(seconds: float) -> float:
    return NOON.timestamp() + seconds


class Worker:
    """A worker's place in figures that several share, and its way into Postgres, at a clock of the test's."""

    def __init__(self, figures: Figures, place: int, store: TrafficStore) -> None:
        self.figures, self.place, self.store = figures, place, store
        figures.take(place)
        self.traffic = Traffic(figures, store)
        self.traffic.look(at(0))

    def answer(self, times: int, status: int = 200) -> None:
        self.figures.take(self.place)
        for _ in range(times):
            self.figures.answered(self.figures.route(ROUTE), status, 0.25)

    def look(self, seconds: float) -> None:
        self.figures.take(self.place)
        self.traffic.look(at(seconds))

    def ship(self) -> None:
        async def ship_and_close() -> None:
            try:
                await self.traffic.ship()
            finally:
                self.store.close()

        asyncio.run(ship_and_close())


def test_what_is_answered_between_two_looks_belongs_to_the_minute_of_the_first(settings: Settings) -> None:
    worker = Worker(Figures(), 0, store_of(settings))
    worker.answer(3)
    worker.look(10)
    worker.ship()
    assert by_minute(settings) == {("12:00", 200): 3}
    worker.answer(4)
    worker.answer(1, status=503)
    worker.answer(2, status=418)
    worker.look(60)  # the look at a minute's end
    worker.answer(5)
    worker.look(70)
    worker.ship()
    worker.ship()
    assert by_minute(settings) == {("12:00", 200): 7, ("12:00", 503): 1, ("12:00", 0): 2, ("12:01", 200): 5}
    assert read(settings, NOON + timedelta(seconds=30), NOON + timedelta(minutes=1)) == [
        Answers(ROUTE, 0, 2, 0.5),
        Answers(ROUTE, 200, 7, 1.75),
        Answers(ROUTE, 503, 1, 0.25),
    ]


def test_workers_add_up_and_one_in_a_dead_ones_place_counts_only_its_own(settings: Settings) -> None:
    figures = Figures(workers=2)
    first, second = (Worker(figures, place, store_of(settings)) for place in range(2))
    first.answer(10)
    second.answer(1)
    for worker in (first, second):
        worker.look(10)
        worker.ship()
    first.answer(100)  # and it is killed before it looks again: these are lost
    third = Worker(figures, 0, store_of(settings))
    third.answer(3)
    third.look(20)
    third.ship()
    assert by_minute(settings) == {("12:00", 200): 14}


def test_a_commit_whose_answer_was_lost_is_not_counted_twice(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(settings)
    add = store.add

    async def add_and_lose_the_answer(counts: Sequence[MinuteCount]) -> None:
        await add(counts)
        raise StoreUnavailable("the connection broke")

    worker = Worker(Figures(), 0, store)
    worker.answer(5)
    worker.look(10)
    with monkeypatch.context() as patched:
        patched.setattr(store, "add", add_and_lose_the_answer)
        with pytest.raises(StoreUnavailable):
            worker.ship()
    assert by_minute(settings) == {("12:00", 200): 5}
    worker.answer(1)
    worker.look(60)
    worker.ship()
    assert by_minute(settings) == {("12:00", 200): 6}


def test_a_late_statement_does_not_take_a_count_back(settings: Settings) -> None:
    def count(requests: int) -> MinuteCount:
        return MinuteCount(NOON, "a worker", ROUTE, 200, requests, requests * 0.5)

    async def add() -> None:
        store = store_of(settings)
        await store.add([count(7)])
        await store.add([count(4)])
        store.close()

    asyncio.run(add())
    assert read(settings, NOON, NOON + timedelta(minutes=1)) == [Answers(ROUTE, 200, 7, 3.5)]


def test_counts_wait_while_postgres_is_down_and_the_oldest_are_forgotten_in_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic_module, "KEPT_MINUTES", 2)
    worker = Worker(Figures(), 0, store_of(settings, f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    for minute in range(4):
        worker.answer(minute + 1)
        worker.look(60 * (minute + 1))
        with pytest.raises(StoreUnavailable, match=r"Postgres \(traffic\)"):
            worker.ship()
    worker.traffic._store = worker.store = store_of(settings)
    worker.ship()
    assert by_minute(settings) == {("12:02", 200): 3, ("12:03", 200): 4}


def test_a_service_ships_what_it_answered_by_itself_and_when_it_stops(
    market: Market, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(traffic_module, "LOOK_SECONDS", 0.2)
    settings = market.settings
    begin, end = datetime.now(UTC) - timedelta(minutes=2), datetime.now(UTC) + timedelta(minutes=2)

    def requests() -> dict[tuple[str, int], int]:
        return {(one.route, one.status): one.requests for one in read(settings, begin, end)}

    with open_client(settings) as client, caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert client.post("/predict", json={"id": ADA}).status_code == 200
        wait_until(lambda: requests().get((ROUTE, 200)) == 3)
        monkeypatch.setattr(traffic_module, "LOOK_SECONDS", 1000)
        client.post("/predict", json={"id": 42})
        client.get("/nowhere")
    assert requests()[ROUTE, 200] == 3
    assert requests()[ROUTE, 404] == 1
    assert requests()["other", 404] == 1
    assert "traffic" not in caplog.text


def test_the_sum_is_of_clients_and_not_of_what_looks_whether_the_service_lives() -> None:
    answers = [
        Answers(ROUTE, 200, 80, 0.8),
        Answers(ROUTE, 503, 10, 0.1),
        Answers("GET /model", 401, 10, 0.1),
        Answers("GET /health/ready", 503, 1000, 1.0),
        Answers("GET /metrics", 200, 1000, 1.0),
    ]
    total = sum_of(answers)
    assert total == TrafficSum(requests=100, refused=10, failed=10, seconds=pytest.approx(1.0))
    assert (total.error_share, total.mean_milliseconds) == (0.1, pytest.approx(10.0))
    assert (sum_of([]).error_share, sum_of([]).mean_milliseconds) == (None, None)


def test_old_minutes_are_removed_and_a_market_without_the_table_has_none(market_settings: Settings) -> None:
    schema = StoreSchema.of(market_settings)
    with schema.connected() as connection:
        assert remove_traffic_before(connection, schema, NOON) == 0
    assert read(market_settings, NOON, NOON + timedelta(days=1)) == []
    OnlineStore(market_settings).migrate()
    ask(
        market_settings,
        "INSERT INTO {schema}.traffic SELECT minute, 'w', 'POST /predict', 200, 1, 0.1 FROM "
        "generate_series('2021-01-10 11:58Z'::timestamptz, '2021-01-10 12:01Z', '1 minute') AS minute",
        "publisher",
    )
    with schema.connected() as connection:
        assert remove_traffic_before(connection, schema, NOON) == 2
    assert by_minute(market_settings) == {("12:00", 200): 1, ("12:01", 200): 1}
