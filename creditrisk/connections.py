"""A few asynchronous Postgres connections: opened when needed, kept while they work, dropped when they do not.

asyncpg's own pool makes two tasks, a future and a proxy for every query it lends a connection to, which costs
more than a lookup by primary key does. This one lends nothing out: it runs one statement at a time.
"""

import asyncio
from typing import Any

import asyncpg

CONNECTION_SETTINGS = {"application_name": "creditrisk-serving", "default_transaction_read_only": "on"}

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg raises when there is no answer to rely on; a time-out is an OSError."""


def quoted(identifier: str) -> str:
    """An SQL identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


class Connections:
    """At most ``size`` connections to one database. None is open at first, so that it may be down."""

    def __init__(self, database_url: str, size: int) -> None:
        self._database_url = database_url
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Any] = []

    async def fetch_row(self, statement: str, *arguments: object, deadline: float) -> Any:
        """The first row of a statement's result as an asyncpg record, or None.

        A connection that has not answered by the deadline is dropped, and the idle ones with it, which are
        likely to be as dead.

        Args:
            statement: prepared once a connection.
            arguments: of the statement.
            deadline: on the event loop's clock, waiting for a connection included.

        Raises:
            TimeoutError: the deadline has passed.
            asyncpg.PostgresError: what the server said.
            asyncpg.InterfaceError: the connection broke.
            OSError: there is no connection to be had.
        """
        connection = await self._taken(deadline)
        return await self._answered(connection, connection.fetchrow, statement, arguments, deadline)

    async def fetch_rows(self, statement: str, *arguments: object, deadline: float) -> list[Any]:
        """All rows of a statement's result; otherwise as :meth:`fetch_row`."""
        connection = await self._taken(deadline)
        rows: list[Any] = await self._answered(connection, connection.fetch, statement, arguments, deadline)
        return rows

    async def _answered(
        self, connection: Any, ask: Any, statement: str, arguments: tuple[object, ...], deadline: float
    ) -> Any:
        """What a connection that was taken answers; its slot is free again."""
        try:
            left = max(deadline - asyncio.get_running_loop().time(), 0.001)
            answer = await ask(statement, *arguments, timeout=left)
        except asyncpg.PostgresError as error:
            if getattr(error, "severity_en", None) == "ERROR":
                self._idle.append(connection)  # the server refused the statement: the connection works
            else:
                connection.terminate()  # the server ends the connection, though asyncpg may not know it yet
                self.drop_idle()
            raise
        except BaseException:
            connection.terminate()
            self.drop_idle()
            raise
        else:
            self._idle.append(connection)
            return answer
        finally:
            self._slots.release()

    def drop_idle(self) -> None:
        """Close the connections that nobody is using, without waiting for the server."""
        while self._idle:
            self._idle.pop().terminate()

    async def _taken(self, deadline: float) -> Any:
        """A connection of the caller's own, for which it holds a slot."""
        if not self._slots.locked():
            await self._slots.acquire()  # at once, and without the cost of a time limit
        else:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        while self._idle:
            connection = self._idle.pop()  # the one used last
            if not connection.is_closed():
                return connection
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncpg.connect(self._database_url, server_settings=CONNECTION_SETTINGS)
        except BaseException:
            self._slots.release()
            raise
