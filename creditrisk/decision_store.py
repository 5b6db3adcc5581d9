"""All SQL on the decision log: the service adds records and finds one of them."""

import asyncio
import re
from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from creditrisk.connections import FAILURES, quoted
from creditrisk.decisions import DecisionRecord, record_of
from creditrisk.errors import DecisionUnknown, RecordsRefused, StoreUnavailable

CONNECT_SECONDS = 5.0
ADD_SECONDS = 20.0

COLUMNS = {
    "decision_id": "uuid",
    "decided_at": "timestamptz",
    "customer": "bigint",
    "loan": "text",
    "as_of": "date",
    "given": "jsonb",
    "snapshot": "text",
    "age": "smallint",
    "years_on_the_job": "smallint",
    "nb_previous_loans": "integer",
    "avg_amount_loans_previous": "double precision",
    "flag_own_car": "smallint",
    "release": "integer",
    "champion": "text",
    "model_version": "text",
    "arm": "text",
    "probability": "double precision",
    "threshold": "double precision",
    "decision": "smallint",
    "challenger": "text",
    "champion_probability": "double precision",
    "champion_threshold": "double precision",
    "champion_microseconds": "integer",
    "challenger_probability": "double precision",
    "challenger_threshold": "double precision",
    "challenger_microseconds": "integer",
    "challenger_problem": "text",
    "reasons": "jsonb",
    "latency_microseconds": "integer",
    "key_name": "text",
}
"""The table's columns, which are the fields of a record's JSON, and their types."""

_COPIED_INTO = "CREATE TEMPORARY TABLE IF NOT EXISTS shipped (body json NOT NULL) ON COMMIT DELETE ROWS"

_DAY = re.compile(rb'"decided_at":"(\d{4})-(\d\d)-(\d\d)T')

_REFUSALS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What Postgres raises because of a record, and would raise again."""


class DecisionStore:
    """The decision log of one market in Postgres, over one connection that is opened when needed."""

    def __init__(self, database_url: str | None, schema: str) -> None:
        """Nothing is opened yet.

        Args:
            database_url: of the service's role; None answers every question with StoreUnavailable.
            schema: the market's.
        """
        self._database_url = database_url
        self._connection: Any = None
        self._free = asyncio.Lock()
        self._can_copy = False
        self._days: set[date] = set()
        """Days that have their partition."""
        market = quoted(schema)
        names = ", ".join(COLUMNS)
        types = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        self._add_day = f"SELECT {market}.add_decision_day($1)"
        self._add = (
            f"INSERT INTO {market}.decisions ({names}) "  # noqa: S608  names of our own, the schema quoted
            f"SELECT {names} FROM pg_temp.shipped, json_to_record(body) AS record({types}) ON CONFLICT DO NOTHING"
        )
        self._find = _find(schema)

    async def add(self, records: Sequence[bytes]) -> None:
        """Add records, all or none; one that is in the log already is left as it is.

        Args:
            records: the JSON of each, as in its line.

        Raises:
            RecordsRefused: Postgres does not take one of them, and would not take it again.
            StoreUnavailable: it cannot be reached, or refuses for another reason; nothing was added.
        """
        days = {date(*map(int, found.groups())) for found in map(_DAY.search, records) if found}
        try:
            await self._add_with_days(records, days - self._days)
        except RecordsRefused:
            if not days & self._days:
                raise
            await self._add_with_days(records, days)  # retention may have removed a day that was there
        self._days |= days

    async def _add_with_days(self, records: Sequence[bytes], new_days: set[date]) -> None:
        try:
            async with self._free, asyncio.timeout(ADD_SECONDS):
                connection = await self._connected()
                async with connection.transaction():
                    if not self._can_copy:
                        await connection.execute(_COPIED_INTO)
                    await connection.copy_to_table("shipped", source=_Copied(records), schema_name="pg_temp")
                    for day in new_days:
                        await connection.execute(self._add_day, day)
                    await connection.execute(self._add)
        except _REFUSALS as error:
            raise RecordsRefused(f"{type(error).__name__}: {_first_line(error)}") from error
        except FAILURES as error:
            self._drop()
            raise _unavailable(error) from error
        except BaseException:
            self._drop()
            raise
        self._can_copy = True

    async def find(self, decision_id: str, timeout_seconds: float) -> DecisionRecord | None:
        """The record of a decision, or None.

        Raises:
            StoreUnavailable: there is no answer within the time limit.
        """
        try:
            async with asyncio.timeout(timeout_seconds), self._free:
                try:
                    row = await (await self._connected()).fetchval(self._find, decision_id)
                except BaseException:
                    self._drop()  # an answer may still come, and must not be taken for another question's
                    raise
        except FAILURES as error:
            raise _unavailable(error) from error
        return record_of(row) if row else None

    def close(self) -> None:
        """Close the connection, without waiting for the server."""
        self._drop()

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._drop()
            self._connection = await _connect(self._database_url)
        return self._connection

    def _drop(self) -> None:
        self._days.clear()
        self._can_copy = False
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def decision_of(database_url: str | None, schema: str, decision_id: str) -> DecisionRecord:
    """The record of a decision, over a connection of its own.

    Args:
        database_url: of a role that may read decisions.
        schema: the market's.
        decision_id: in any case.

    Raises:
        DecisionUnknown: there is none of that id, or it is no id.
        StoreUnavailable: Postgres does not answer.
    """
    try:
        wanted = UUID(decision_id)
    except ValueError:
        raise DecisionUnknown(f"decision {decision_id}: not the id of a decision") from None
    try:
        async with asyncio.timeout(ADD_SECONDS):
            connection = await _connect(database_url)
            try:
                row = await connection.fetchval(_find(schema), wanted)
            finally:
                connection.terminate()
    except FAILURES as error:
        raise _unavailable(error) from error
    if row is None:
        raise DecisionUnknown(f"decision {wanted}: not in the log")
    return record_of(row)


async def _connect(database_url: str | None) -> Any:
    if database_url is None:
        raise StoreUnavailable(
            "decision log: no database URL is set, such as CREDITRISK_SERVICE_DATABASE_URL"
        )
    return await asyncpg.connect(
        database_url,
        timeout=CONNECT_SECONDS,
        server_settings={"application_name": "creditrisk-decision-log"},
    )


def _find(schema: str) -> str:
    return f"SELECT row_to_json(d)::text FROM {quoted(schema)}.decisions d WHERE decision_id = $1"  # noqa: S608  quoted


class _Copied:
    """Records in COPY's text format, a chunk at a time: JSON has no tab and no line feed, only backslashes."""

    CHUNK = 50

    def __init__(self, records: Sequence[bytes]) -> None:
        self._records = records
        self._next = 0

    def __aiter__(self) -> "_Copied":
        return self

    async def __anext__(self) -> bytes:
        chunk = self._records[self._next : self._next + self.CHUNK]
        if not chunk:
            raise StopAsyncIteration
        self._next += self.CHUNK
        await asyncio.sleep(0)  # whoever waits for the event loop has a turn
        return b"\n".join(chunk).replace(b"\\", b"\\\\") + b"\n"


def _unavailable(error: Exception) -> StoreUnavailable:
    if isinstance(error, TimeoutError):
        return StoreUnavailable("Postgres (decision log): no answer in time")
    return StoreUnavailable(f"Postgres (decision log): {type(error).__name__}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """What Postgres says, without the detail, which quotes what people sent."""
    return next(iter(str(error).splitlines()), "")
