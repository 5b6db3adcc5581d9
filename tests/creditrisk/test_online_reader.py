"""Reading the online store: answers, moves of the pointer, and a Postgres that is slow, down, and back."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

import asyncpg
import psutil
import pytest

from creditrisk.errors import CustomerUnknown, NothingPublished, StoreUnavailable
from creditrisk.features import CustomerHistory
from creditrisk.online_reader import (
    OnlineReader,
    PublishedCustomer,
    PublishedFeatures,
    PublishedFeaturesOfMany,
)
from creditrisk.settings import Settings
from local import postgres as embedded
from tests.conftest import free_port
from tests.online_tables import ADA, BIRTHDAY, FIRST, JOB_START, NEWEST_LOAN, SECOND, OnlineTables

Answer = TypeVar("Answer")


@pytest.fixture
def store(market_settings: Settings) -> OnlineTables:
    store = OnlineTables(market_settings)
    store.prepare()
    return store


@pytest.fixture
def published(store: OnlineTables) -> OnlineTables:
    store.load(FIRST[1], age=32)
    store.point(FIRST)
    return store


def reader_of(settings: Settings, timeout_seconds: float = 5.0, pool_size: int = 4) -> OnlineReader:
    url = settings.service_database_url
    return OnlineReader(
        url.get_secret_value() if url else None,
        settings.database_schema,
        timeout_seconds=timeout_seconds,
        pool_size=pool_size,
    )


def ask(reader: OnlineReader, question: Callable[[OnlineReader], Awaitable[Answer]]) -> Answer:
    """One question in an event loop of its own."""

    async def asked() -> Answer:
        try:
            return await question(reader)
        finally:
            reader.close()

    return asyncio.run(asked())


class TestAnswers:
    @pytest.mark.usefixtures("published")
    def test_gives_the_published_features_with_their_snapshot(self, market_settings: Settings) -> None:
        answer = ask(reader_of(market_settings), lambda reader: reader.features(ADA))
        assert answer == PublishedFeatures("2020-12-31-aaaaaaaaaaaa", (32, 5, 3, 233.5, 1))

    @pytest.mark.usefixtures("published")
    def test_gives_missing_features_as_none(self, market_settings: Settings) -> None:
        answer = ask(reader_of(market_settings), lambda reader: reader.features(-7))
        assert answer.features == (50, None, 0, None, 0)

    @pytest.mark.usefixtures("published")
    def test_gives_several_customers_at_once_and_leaves_out_the_unknown(
        self, market_settings: Settings
    ) -> None:
        answer = ask(reader_of(market_settings), lambda reader: reader.features_of_many([42, ADA, -7, ADA]))
        assert answer == PublishedFeaturesOfMany(
            "2020-12-31-aaaaaaaaaaaa", {ADA: (32, 5, 3, 233.5, 1), -7: (50, None, 0, None, 0)}
        )

    @pytest.mark.usefixtures("published")
    def test_gives_several_histories_with_the_snapshots_date(self, market_settings: Settings) -> None:
        answer = ask(reader_of(market_settings), lambda reader: reader.histories([ADA, 42]))
        history = CustomerHistory(BIRTHDAY, JOB_START, 1, NEWEST_LOAN, 4, 934_000_000, 3, 700_500_000)
        assert (answer.snapshot, answer.as_of) == ("2020-12-31-aaaaaaaaaaaa", date(2020, 12, 31))
        assert (answer.history_of(ADA), answer.history_of(42)) == (history, None)

    def test_a_pointer_to_what_is_not_a_snapshot_is_not_followed(
        self, published: OnlineTables, market_settings: Settings
    ) -> None:
        published.point(("yesterday", FIRST[1]))
        with pytest.raises(StoreUnavailable, match=r"current_snapshot.snapshot: snapshot 'yesterday'"):
            ask(reader_of(market_settings), lambda reader: reader.features(ADA))

    @pytest.mark.usefixtures("published")
    def test_gives_all_that_is_published_of_a_customer(self, market_settings: Settings) -> None:
        answer = ask(reader_of(market_settings), lambda reader: reader.customer(ADA))
        history = CustomerHistory(BIRTHDAY, JOB_START, 1, NEWEST_LOAN, 4, 934_000_000, 3, 700_500_000)
        assert answer == PublishedCustomer("2020-12-31-aaaaaaaaaaaa", ADA, 900, (32, 5, 3, 233.5, 1), history)

    @pytest.mark.usefixtures("published")
    def test_does_not_know_a_customer_that_is_not_there(self, market_settings: Settings) -> None:
        with pytest.raises(
            CustomerUnknown, match="customer 42: not in the published snapshot 2020-12-31-aaaa"
        ):
            ask(reader_of(market_settings), lambda reader: reader.features(42))

    @pytest.mark.usefixtures("store")
    def test_says_that_nothing_is_published(self, market_settings: Settings) -> None:
        with pytest.raises(NothingPublished, match="run refresh_features first"):
            ask(reader_of(market_settings), lambda reader: reader.features(ADA))

    @pytest.mark.usefixtures("postgres")
    def test_says_that_nothing_is_published_where_not_even_the_schema_is(
        self, market_settings: Settings
    ) -> None:
        with pytest.raises(NothingPublished):
            ask(reader_of(market_settings), lambda reader: reader.snapshot())

    def test_refuses_a_pointer_to_another_kind_of_table(
        self, published: OnlineTables, market_settings: Settings
    ) -> None:
        published.point((FIRST[0], 'features"; DROP TABLE x; --'))
        with pytest.raises(StoreUnavailable, match=r"current_snapshot.table_name: .* is not a feature table"):
            ask(reader_of(market_settings), lambda reader: reader.features(ADA))

    def test_says_which_setting_is_missing(self, market_settings: Settings) -> None:
        unset = market_settings.model_copy(update={"service_database_url": None})
        with pytest.raises(StoreUnavailable, match="CREDITRISK_SERVICE_DATABASE_URL is not set"):
            ask(reader_of(unset), lambda reader: reader.features(ADA))

    @pytest.mark.usefixtures("published")
    def test_may_read_and_nothing_else(self, market_settings: Settings) -> None:
        async def write(reader: OnlineReader) -> object:
            assert reader._connections
            statement = f"DELETE FROM {market_settings.database_schema}.{FIRST[1]}"
            return await reader._connections.fetch_row(statement, deadline=reader._deadline())

        with pytest.raises((asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError)):
            ask(reader_of(market_settings), write)


class TestPointer:
    def test_is_followed_within_a_second(self, published: OnlineTables, market_settings: Settings) -> None:
        async def switch(reader: OnlineReader) -> tuple[str, int | None, str, int | None]:
            before = await reader.features(ADA)
            await asyncio.to_thread(published.load, SECOND[1], 33)
            await asyncio.to_thread(published.point, SECOND)
            await asyncio.sleep(1.05)
            after = await reader.features(ADA)
            return before.snapshot, before.features[0], after.snapshot, after.features[0]

        assert ask(reader_of(market_settings), switch) == (FIRST[0], 32, SECOND[0], 33)

    def test_is_not_read_again_within_the_second(
        self, published: OnlineTables, market_settings: Settings
    ) -> None:
        async def switch(reader: OnlineReader) -> str:
            await reader.features(ADA)
            published.load(SECOND[1], 33)
            published.point(SECOND)
            reader._pointer = reader._pointer and reader._pointer._replace(good_until=time.monotonic() + 60)
            return (await reader.features(ADA)).snapshot

        assert ask(reader_of(market_settings), switch) == FIRST[0]

    def test_is_read_again_when_its_table_is_gone(
        self, published: OnlineTables, market_settings: Settings
    ) -> None:
        async def drop(reader: OnlineReader) -> tuple[str, str]:
            await reader.features(ADA)
            published.load(SECOND[1], 33)
            published.point(SECOND)
            published.run("DROP TABLE {}." + FIRST[1])
            reader._pointer = reader._pointer and reader._pointer._replace(good_until=time.monotonic() + 60)
            return (await reader.features(ADA)).snapshot, (await reader.customer(ADA)).snapshot

        assert ask(reader_of(market_settings), drop) == (SECOND[0], SECOND[0])

    def test_is_tried_once_more_and_not_for_ever(
        self, published: OnlineTables, market_settings: Settings
    ) -> None:
        published.run("DROP TABLE {}." + FIRST[1])
        with pytest.raises(StoreUnavailable, match="UndefinedTable"):
            ask(reader_of(market_settings), lambda reader: reader.features(ADA))

    def test_can_be_lifted_from_nothing_while_the_reader_runs(
        self, store: OnlineTables, market_settings: Settings
    ) -> None:
        async def publish(reader: OnlineReader) -> str:
            with pytest.raises(NothingPublished):
                await reader.features(ADA)
            store.load(FIRST[1], 32)
            store.point(FIRST)
            return (await reader.features(ADA)).snapshot

        assert ask(reader_of(market_settings), publish) == FIRST[0]


class TestConcurrency:
    @pytest.mark.usefixtures("published")
    def test_hundreds_at_once_share_a_few_connections(self, market_settings: Settings) -> None:
        async def crowd(reader: OnlineReader) -> tuple[int, int]:
            answers = await asyncio.gather(*[reader.features(ADA) for _ in range(300)])
            assert reader._connections
            return len({answer.features for answer in answers}), len(reader._connections._idle)

        distinct, connections = ask(reader_of(market_settings, pool_size=3), crowd)
        assert (distinct, connections) == (1, 3)


@dataclass
class OwnServer:
    """A server that a test may stop and freeze, with one market published."""

    settings: Settings

    def processes(self) -> list[psutil.Process]:
        pid_file = self.settings.var_dir / "postgres" / "data" / "postmaster.pid"
        postmaster = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        return [postmaster, *postmaster.children(recursive=True)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of the server stopped: connections are taken, and nobody answers."""
        frozen = self.processes()
        for process in frozen:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in frozen:
                os.kill(process.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    var_dir: Path = tmp_path_factory.mktemp("own") / "var"
    settings = Settings(_env_file=None, var_dir=var_dir, postgres_port=free_port())
    urls = embedded.start(settings)
    named = Settings(_env_file=None, publisher_database_url=urls.publisher, service_database_url=urls.service)
    settings = settings.model_copy(
        update={
            "publisher_database_url": named.publisher_database_url,
            "service_database_url": named.service_database_url,
        }
    )
    store = OnlineTables(settings)
    store.prepare()
    store.load(FIRST[1], age=32)
    store.point(FIRST)
    try:
        yield OwnServer(settings)
    finally:
        embedded.stop(settings)


class TestOutages:
    @pytest.mark.alone
    def test_a_frozen_server_is_reported_inside_the_limit_and_comes_back(self, own_server: OwnServer) -> None:
        async def freeze(reader: OnlineReader) -> list[float]:
            await reader.features(ADA)
            waits = []
            with own_server.frozen():
                for _ in range(3):  # with a connection that was open, then with none
                    began = time.monotonic()
                    with pytest.raises(StoreUnavailable, match=r"did not answer within 0.3 s"):
                        await reader.features(ADA)
                    waits.append(time.monotonic() - began)
            for _ in range(50):
                try:
                    assert (await reader.features(ADA)).snapshot == FIRST[0]
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.1)
            else:
                pytest.fail("the reader did not recover")
            return waits

        waits = ask(reader_of(own_server.settings, timeout_seconds=0.3), freeze)
        assert all(0.25 < wait < 1.0 for wait in waits)

    @pytest.mark.alone
    def test_many_waiting_for_a_frozen_server_all_hear_in_time(self, own_server: OwnServer) -> None:
        async def freeze(reader: OnlineReader) -> float:
            await reader.features(ADA)
            with own_server.frozen():
                began = time.monotonic()
                answers = await asyncio.gather(
                    *[reader.features(ADA) for _ in range(40)], return_exceptions=True
                )
                assert {type(answer) for answer in answers} == {StoreUnavailable}
                return time.monotonic() - began

        assert ask(reader_of(own_server.settings, timeout_seconds=0.3, pool_size=2), freeze) < 1.5

    def test_a_stopped_server_is_reported_and_comes_back(self, own_server: OwnServer) -> None:
        async def restart(reader: OnlineReader) -> str:
            await asyncio.gather(*[reader.features(ADA) for _ in range(4)])
            await asyncio.to_thread(embedded.stop, own_server.settings)
            try:
                for _ in range(5):
                    with pytest.raises(StoreUnavailable, match="Postgres cannot be read"):
                        await reader.features(ADA)
            finally:
                await asyncio.to_thread(embedded.start, own_server.settings)
            return (await reader.features(ADA)).snapshot

        assert ask(reader_of(own_server.settings, timeout_seconds=2), restart) == FIRST[0]

    def test_a_server_that_is_down_at_first_does_not_matter_later(self, own_server: OwnServer) -> None:
        embedded.stop(own_server.settings)

        async def start_late(reader: OnlineReader) -> str:
            try:
                with pytest.raises(StoreUnavailable, match="Postgres cannot be read"):
                    await reader.snapshot()
            finally:
                await asyncio.to_thread(embedded.start, own_server.settings)
            return await reader.snapshot()

        assert ask(reader_of(own_server.settings, timeout_seconds=2), start_late) == FIRST[0]
