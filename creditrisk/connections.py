"""A few asynchronous Postgres connections: opened when needed, kept while they work, dropped when they do not.

asyncpg's own pool makes two tasks, a future and a proxy for every query it lends a connection to, which costs
more than a lookup by primary key does. This one lends nothing out: it runs one statement at a time.
"""

import asyncio
from typing import Any

import asyncpg

CONNECTION_SETTINGS = {"application_name": "creditrisk-serving", "default_transaction_read_only": "on"}


class Connections:
    """At most ``size`` connections to one database. None is open at first, so that it may be down."""

    def __init__(self, database_url: str, size: int) -> None:
        self._database_url = database_url
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Any] = []

    async def fetch_row(self, statement: str, *arguments: object) -> Any:
        """The first row of a statement's result as an asyncpg record, or None.

        Waits for a connection and an answer as long as the caller lets it: cancelled by a time limit, it
        drops the connection, and the idle ones with it, which are likely to be as dead.

        Raises:
            asyncpg.PostgresError: what the server said.
            asyncpg.InterfaceError: the connection broke.
            OSError: there is no connection to be had.
        """
        async with self._slots:
            connection = self._taken() or await self._opened()
            try:
                row = await connection.fetchrow(statement, *arguments)
            except asyncpg.PostgresError:
                self._idle.append(connection)  # the server answered: the connection works
                raise
            except BaseException:
                connection.terminate()
                self.drop_idle()
                raise
            self._idle.append(connection)
            return row

    def drop_idle(self) -> None:
        """Close the connections that nobody is using, without waiting for the server."""
        while self._idle:
            self._idle.pop().terminate()

    def _taken(self) -> Any:
        """The connection used last that is still open, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _opened(self) -> Any:
        return await asyncpg.connect(self._database_url, server_settings=CONNECTION_SETTINGS)
