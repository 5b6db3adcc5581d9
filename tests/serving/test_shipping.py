"""From the spool into a real Postgres: each record once, whatever is torn, refused, or down meanwhile."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from creditrisk.decision_store import DecisionStore
from creditrisk.decisions import DecisionRecord, to_line
from creditrisk.errors import DecisionUnknown, StoreUnavailable
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from serving import shipping as shipping_module
from serving.segments import Segment, segment_files
from serving.shipping import REJECTED_FILE, TORN_FILE, Shipping
from serving.spool import Spool
from tests.conftest import free_port
from tests.creditrisk.published_market import ask
from tests.serving.service_process import wait_until
from tests.serving.test_spool import record

Work = Callable[[Shipping, Spool], Awaitable[Any]]


@pytest.fixture
def settings(market_settings: Settings) -> Settings:
    """Of a market whose schema is made."""
    OnlineStore(market_settings).migrate()
    return market_settings


def with_shipping(settings: Settings, work: Work, url: str | None = None) -> Any:
    """Do something with a started spool and its shipping."""

    async def run() -> Any:
        assert settings.service_database_url
        spool = Spool(settings.spool_folder)
        store = DecisionStore(
            url or settings.service_database_url.get_secret_value(), settings.database_schema
        )
        spool.start()
        try:
            return await work(Shipping(spool, store), spool)
        finally:
            spool.close()
            store.close()
            await asyncio.sleep(0)

    return asyncio.run(run())


def logged(settings: Settings) -> list[int]:
    """Customers of the records in Postgres, each as often as it is there."""
    return sorted(number for (number,) in ask(settings, "SELECT customer FROM {schema}.decisions"))


def left_by_a_dead_worker(settings: Settings, content: bytes) -> Path:
    """A segment that nobody owns."""
    settings.spool_folder.mkdir(parents=True, exist_ok=True)
    path = settings.spool_folder / f"1700000000000-{uuid4().hex[:12]}.segment"
    path.write_bytes(content)
    return path


def lines_of(settings: Settings, name: str) -> list[dict[str, Any]]:
    """What was set aside."""
    return [json.loads(line) for line in (settings.spool_folder / name).read_text().splitlines()]


def spoilt(one: DecisionRecord) -> DecisionRecord:
    """One that no column takes."""
    return one._replace(features=(40_000, *one.features[1:]))


async def until(condition: Callable[[], bool]) -> None:
    """Return when it has come true, which takes a thread, so that the loop goes on."""
    await asyncio.to_thread(wait_until, condition)


class TestShip:
    def test_adds_each_record_once_in_many_batches(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shipping_module, "BATCH_BYTES", 5000)

        async def work(shipping: Shipping, spool: Spool) -> None:
            for number in range(100):
                spool.append(record(number))
            await shipping.ship()
            assert spool.pending_bytes() == 0
            for number in range(100, 110):
                spool.append(record(number))
            await shipping.ship()
            await shipping.ship()

        with_shipping(settings, work)
        assert logged(settings) == list(range(110))

    def test_adopts_what_dead_workers_left_and_removes_it(self, settings: Settings) -> None:
        left_by_a_dead_worker(settings, to_line(record(1)) + to_line(record(2)))
        left_by_a_dead_worker(settings, b"")

        async def work(shipping: Shipping, spool: Spool) -> None:
            spool.append(record(3))
            await shipping.ship()
            assert len(segment_files(spool.folder)) == 1  # its own, which is being written

        with_shipping(settings, work)
        assert logged(settings) == [1, 2, 3]

    def test_ships_again_what_it_did_not_know_to_be_shipped(self, settings: Settings) -> None:
        content = b"".join(to_line(record(number)) for number in range(5))
        for _ in range(2):
            left_by_a_dead_worker(settings, content)
            with_shipping(settings, lambda shipping, _: shipping.ship())
        assert logged(settings) == list(range(5))

    def test_a_torn_last_line_is_set_aside_and_holds_up_nothing(self, settings: Settings) -> None:
        torn = to_line(record(2))[:-30]
        path = left_by_a_dead_worker(settings, to_line(record(1)) + torn)

        async def work(shipping: Shipping, spool: Spool) -> None:
            spool.append(record(3))
            await shipping.ship()
            assert shipping.health().shipping_problem is None

        with_shipping(settings, work)
        assert logged(settings) == [1, 3]
        assert not path.exists()
        (kept,) = lines_of(settings, TORN_FILE)
        assert (kept["segment"], kept["line"]) == (path.name, torn.decode())

    def test_a_changed_line_is_set_aside_and_shown(self, settings: Settings) -> None:
        changed = to_line(record(2)).replace(b'"customer":2', b'"customer":9')
        left_by_a_dead_worker(settings, to_line(record(1)) + changed + bytes(100))

        async def work(shipping: Shipping, _: Spool) -> None:
            await shipping.ship()
            health = shipping.health()
            assert health.rejected == 1
            assert health.shipping_problem is not None
            assert "1 records could not be shipped: rejected.jsonl" in health.shipping_problem

        with_shipping(settings, work)
        assert logged(settings) == [1]
        (kept,) = lines_of(settings, REJECTED_FILE)
        assert (kept["line"].encode() + b"\n", "changed since" in kept["reason"]) == (changed, True)

    def test_a_record_that_postgres_refuses_is_set_aside_with_its_reason(self, settings: Settings) -> None:
        records = [record(number) for number in range(20)]
        records[7], records[13] = spoilt(records[7]), spoilt(records[13])

        async def work(shipping: Shipping, spool: Spool) -> None:
            spool.append_all(records)
            await shipping.ship()
            spool.append(record(20))
            await shipping.ship()
            assert shipping.health().rejected == 2

        with_shipping(settings, work)
        assert logged(settings) == [number for number in range(21) if number not in (7, 13)]
        kept = lines_of(settings, REJECTED_FILE)
        assert [orjson.loads(one["line"])["customer"] for one in kept] == [7, 13]
        assert all("out of range for type smallint" in one["reason"] for one in kept)

        async def later(shipping: Shipping, _: Spool) -> None:
            await shipping.ship()
            assert shipping.health().rejected == 2  # another worker, after a restart, shows them too

        with_shipping(settings, later)

    def test_a_segment_that_cannot_be_read_does_not_hold_up_the_others(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad = left_by_a_dead_worker(settings, to_line(record(1)))
        left_by_a_dead_worker(settings, to_line(record(2)))
        read = Segment.read

        def read_or_fail(segment: Segment, most: int) -> bytes:
            if segment.path == bad:
                raise OSError(5, "Input/output error")
            return read(segment, most)

        monkeypatch.setattr(Segment, "read", read_or_fail)

        async def work(shipping: Shipping, spool: Spool) -> None:
            spool.append(record(3))
            with pytest.raises(OSError, match="Input/output error"):
                await shipping.ship()

        with_shipping(settings, work)
        assert logged(settings) == [2, 3]
        assert bad.exists()

    def test_nothing_is_lost_or_removed_while_postgres_is_down(self, settings: Settings) -> None:
        async def down(shipping: Shipping, spool: Spool) -> None:
            for number in range(3):
                spool.append(record(number))
            with pytest.raises(StoreUnavailable):
                await shipping.ship()
            await shipping.finish()
            assert spool.problem == "the service is stopping"

        with_shipping(settings, down, f"postgresql://nobody@127.0.0.1:{free_port()}/none")
        assert len(segment_files(settings.spool_folder)) == 1
        with_shipping(settings, lambda shipping, _: shipping.finish())
        assert logged(settings) == [0, 1, 2]
        assert list(settings.spool_folder.iterdir()) == []

    def test_goes_on_by_itself_when_postgres_is_back(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(shipping_module, "SHIP_SECONDS", 0.05)
        schema = settings.database_schema

        async def work(shipping: Shipping, spool: Spool) -> None:
            running = asyncio.create_task(shipping.run())
            spool.append(record(1))
            await asyncio.to_thread(ask, settings, f"ALTER SCHEMA {schema} RENAME TO {schema}_x", "publisher")
            spool.append(record(2))
            await until(lambda: shipping.health().shipping_problem is not None)
            await asyncio.sleep(0.6)
            await asyncio.to_thread(ask, settings, f"ALTER SCHEMA {schema}_x RENAME TO {schema}", "publisher")
            await until(lambda: spool.pending_bytes() == 0 and shipping.health().shipping_problem is None)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        with_shipping(settings, work)
        assert logged(settings) == [1, 2]
        said = [one.message for one in caplog.records if "stays on this machine" in one.message]
        assert said  # in other words by the open connection, which remembers the schema, than by a new one
        assert len(said) == len(set(said))  # and not at every attempt


class TestFind:
    def test_in_the_spool_then_in_postgres(self, settings: Settings) -> None:
        one, two = record(1), record(2)

        async def work(shipping: Shipping, spool: Spool) -> None:
            spool.append(one)
            assert await shipping.find(one.decision_id, 5) == one
            await shipping.finish()
            spool_of_now = list(segment_files(settings.spool_folder))
            assert spool_of_now == []
            assert await shipping.find(one.decision_id, 5) == one
            with pytest.raises(DecisionUnknown, match=f"decision {two.decision_id}: not in the log"):
                await shipping.find(two.decision_id, 5)

        with_shipping(settings, work)

    def test_with_postgres_down_the_spool_answers_and_the_rest_is_not_said_to_be_unknown(
        self, settings: Settings
    ) -> None:
        one = record(1)

        async def work(shipping: Shipping, spool: Spool) -> None:
            spool.append(one)
            assert await shipping.find(one.decision_id, 0.5) == one
            with pytest.raises(StoreUnavailable):
                await shipping.find(record(2).decision_id, 0.5)

        with_shipping(settings, work, f"postgresql://nobody@127.0.0.1:{free_port()}/none")
