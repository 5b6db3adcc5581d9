"""A few connections: lent to one statement at a time, never lost, dropped when they do not answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import pytest

from creditrisk.connections import Connections
from local import postgres as embedded

Answer = TypeVar("Answer")


def use(
    urls: embedded.Urls, size: int, scenario: Callable[[Connections], Awaitable[Answer]]
) -> tuple[Answer, int, int]:
    """What a scenario gives, and the free slots and idle connections after it."""

    async def used() -> tuple[Answer, int, int]:
        connections = Connections(urls.service, size)
        try:
            answer = await scenario(connections)
            return answer, connections._slots._value, len(connections._idle)
        finally:
            connections.drop_idle()

    return asyncio.run(used())


def in_time(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def answer_of(connections: Connections, statement: str, seconds: float = 5.0) -> object:
    return (await connections.fetch_row(statement, deadline=in_time(seconds)))[0]


def test_a_connection_is_opened_when_needed_and_used_again(postgres: embedded.Urls) -> None:
    async def twice(connections: Connections) -> tuple[int, object, object]:
        opened_at_first = len(connections._idle)
        first = await answer_of(connections, "SELECT pg_backend_pid()")
        return opened_at_first, first, await answer_of(connections, "SELECT pg_backend_pid()")

    (opened_at_first, first, second), slots, idle = use(postgres, 2, twice)
    assert opened_at_first == 0
    assert first == second
    assert (slots, idle) == (2, 1)


def test_all_rows_of_a_statement_come_at_once_and_the_connection_is_kept(postgres: embedded.Urls) -> None:
    async def many(connections: Connections) -> list[int]:
        statement = "SELECT number FROM unnest($1::bigint[]) AS number WHERE number > 1"
        with pytest.raises(asyncpg.UndefinedTableError):
            await connections.fetch_rows("SELECT * FROM no_such_table", deadline=in_time())
        return [row[0] for row in await connections.fetch_rows(statement, [3, 1, 2], deadline=in_time())]

    assert use(postgres, 2, many) == ([3, 2], 2, 1)


def test_no_more_are_open_than_allowed(postgres: embedded.Urls) -> None:
    async def crowd(connections: Connections) -> set[object]:
        statements = ["SELECT pg_backend_pid() FROM pg_sleep(0.01)"] * 20
        return set(await asyncio.gather(*[answer_of(connections, each) for each in statements]))

    processes, slots, idle = use(postgres, 3, crowd)
    assert len(processes) == 3
    assert (slots, idle) == (3, 3)


@pytest.mark.alone
def test_a_late_answer_costs_the_connection_and_the_idle_ones_but_no_slot(postgres: embedded.Urls) -> None:
    async def late(connections: Connections) -> float:
        await asyncio.gather(*[answer_of(connections, "SELECT 1 FROM pg_sleep(0.05)") for _ in range(3)])
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await answer_of(connections, "SELECT pg_sleep(30)", seconds=0.2)
        took = time.monotonic() - began
        assert connections._idle == []
        assert await answer_of(connections, "SELECT 7") == 7
        return took

    took, slots, idle = use(postgres, 3, late)
    assert took < 1
    assert (slots, idle) == (3, 1)


def test_waiting_for_a_connection_ends_at_the_deadline_too(postgres: embedded.Urls) -> None:
    async def queue(connections: Connections) -> object:
        slow = asyncio.create_task(answer_of(connections, "SELECT 5 FROM pg_sleep(1)"))
        await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            await answer_of(connections, "SELECT 1", seconds=0.2)
        return await slow

    assert use(postgres, 1, queue) == (5, 1, 1)


def test_a_caller_that_is_cancelled_leaves_its_slot(postgres: embedded.Urls) -> None:
    async def cancel(connections: Connections) -> object:
        running = asyncio.create_task(answer_of(connections, "SELECT pg_sleep(30)"))
        waiting = asyncio.create_task(answer_of(connections, "SELECT 1"))
        await asyncio.sleep(0.2)
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        return await answer_of(connections, "SELECT 9")

    assert use(postgres, 1, cancel) == (9, 1, 1)


def test_a_refused_statement_costs_no_connection(postgres: embedded.Urls) -> None:
    async def refuse(connections: Connections) -> object:
        before = await answer_of(connections, "SELECT pg_backend_pid()")
        with pytest.raises(asyncpg.UndefinedTableError):
            await answer_of(connections, "SELECT * FROM no_such_table")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await answer_of(connections, "CREATE TEMP TABLE t (n int)")
        return before == await answer_of(connections, "SELECT pg_backend_pid()")

    assert use(postgres, 2, refuse) == (True, 2, 1)


def test_an_idle_connection_that_the_server_closed_is_not_used(postgres: embedded.Urls) -> None:
    async def close_behind_its_back(connections: Connections) -> object:
        process = await answer_of(connections, "SELECT pg_backend_pid()")
        killer = await asyncpg.connect(postgres.service)
        try:
            await killer.execute(f"SELECT pg_terminate_backend({process})")
        finally:
            await killer.close()
        await asyncio.sleep(0.2)
        return process != await answer_of(connections, "SELECT pg_backend_pid()")

    assert use(postgres, 2, close_behind_its_back) == (True, 2, 1)


def test_a_connection_that_the_server_ends_in_the_middle_is_dropped(postgres: embedded.Urls) -> None:
    async def end(connections: Connections) -> object:
        process = await answer_of(connections, "SELECT pg_backend_pid()")
        running = asyncio.create_task(answer_of(connections, "SELECT pg_sleep(30)"))
        killer = await asyncpg.connect(postgres.service)
        try:
            await killer.execute(f"SELECT pg_terminate_backend({process})")
        finally:
            await killer.close()
        with pytest.raises(asyncpg.PostgresError):
            await running
        assert connections._idle == []
        return await answer_of(connections, "SELECT 7")

    assert use(postgres, 2, end) == (7, 2, 1)


def test_a_server_that_is_not_there_costs_no_slot() -> None:
    async def knock() -> int:
        nowhere = Connections("postgresql://nobody@127.0.0.1:1/nothing", 1)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await nowhere.fetch_row("SELECT 1", deadline=in_time())
        return nowhere._slots._value

    assert asyncio.run(knock()) == 1
