"""The service's way of adding its answers by minute to Postgres."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from creditrisk.connections import FAILURES, quoted
from creditrisk.errors import StoreUnavailable

ADD_SECONDS = 5.0


class MinuteCount(NamedTuple):
    """How often a worker answered so in one minute, as far as it has counted."""

    minute: datetime
    worker: str
    route: str
    status: int
    """0: one that is not told apart."""
    requests: int
    seconds: float
    """That the requests took together."""


class TrafficStore:
    """The counts of one market in Postgres, over one connection that is opened when needed."""

    def __init__(self, database_url: str | None, schema: str) -> None:
        """Nothing is opened yet.

        Args:
            database_url: of the service's role; None answers every addition with StoreUnavailable.
            schema: the market's.
        """
        self._database_url = database_url
        self._connection: Any = None
        self._add = (
            f"INSERT INTO {quoted(schema)}.traffic AS known (minute, worker, route, status, requests, seconds_sum) "  # noqa: S608  quoted
            "SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::float8[]) "
            "ON CONFLICT (minute, worker, route, status) DO UPDATE SET "
            "requests = greatest(known.requests, excluded.requests), "
            "seconds_sum = greatest(known.seconds_sum, excluded.seconds_sum)"
        )

    async def add(self, counts: Sequence[MinuteCount]) -> None:
        """Say how far counts have come, all or none.

        A count stands for its whole minute and is no addition to what was said before; what is said twice, or late,
        therefore counts once.

        Raises:
            StoreUnavailable: Postgres cannot be reached, or refuses.
        """
        columns = zip(*counts, strict=True)
        try:
            async with asyncio.timeout(ADD_SECONDS):
                connection = await self._connected()
                await connection.execute(self._add, *map(list, columns))
        except FAILURES as error:
            self.close()
            words = next(iter(str(error).splitlines()), "")
            raise StoreUnavailable(f"Postgres (traffic): {type(error).__name__}: {words}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, without waiting for the server."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            if self._database_url is None:
                raise StoreUnavailable("traffic: CREDITRISK_SERVICE_DATABASE_URL is not set")
            self._connection = await asyncpg.connect(
                self._database_url, server_settings={"application_name": "creditrisk-traffic"}
            )
        return self._connection
