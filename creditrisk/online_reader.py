"""What the service reads of the online store: the published features of customers, by primary key.

The pointer to the published snapshot is read at most once a second. Where its table has been dropped since,
the pointer is read again and the question asked once more.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import Any, NamedTuple

import asyncpg

from creditrisk.connections import FAILURES, Connections, quoted
from creditrisk.contract import CUSTOMER_COLUMNS, FEATURE_NAMES
from creditrisk.errors import CustomerUnknown, NothingPublished, SnapshotMissing, StoreUnavailable
from creditrisk.features import HISTORY_COLUMNS, CustomerHistory, FeatureRow
from creditrisk.snapshots import SnapshotId

logger = logging.getLogger(__name__)

POINTER_AGE_SECONDS = 1.0
"""How long a pointer is believed."""

WARNING_SECONDS = 10.0
"""How often an outage is logged."""

_TABLE = re.compile(r"features_\d{8}_[0-9a-f]{12}")


class PublishedFeatures(NamedTuple):
    """A customer's features as of the date of the snapshot they were published with."""

    snapshot: str
    features: FeatureRow


class PublishedCustomer(NamedTuple):
    """All that is published of a customer."""

    snapshot: str
    customer: int
    newest_loan: int
    features: FeatureRow
    history: CustomerHistory


class PublishedFeaturesOfMany(NamedTuple):
    """Several customers' published features; those whom the snapshot does not know are not in it."""

    snapshot: str
    features: dict[int, FeatureRow]


class PublishedHistories(NamedTuple):
    """What questions about new loans need of several customers."""

    snapshot: str
    as_of: date
    """The snapshot's date."""
    rows: dict[int, Any]

    def history_of(self, customer: int) -> CustomerHistory | None:
        """A customer's history; None of an unknown one. Made when asked for: a thousand at once take long."""
        row = self.rows.get(customer)
        return None if row is None else CustomerHistory(*tuple(row)[1:])


class _Pointer(NamedTuple):
    snapshot: str
    as_of: date
    features_statement: str
    customer_statement: str
    features_of_many_statement: str
    histories_statement: str
    good_until: float


class OnlineReader:
    """Answers about customers, each inside a time limit."""

    def __init__(
        self, database_url: str | None, schema: str, *, timeout_seconds: float, pool_size: int
    ) -> None:
        """Nothing is opened yet: the database may be down, or its URL not be known.

        Args:
            database_url: of the role that may read; None answers every question with StoreUnavailable.
            schema: the market's.
            timeout_seconds: for a whole answer, waiting for a connection included.
            pool_size: the most connections to hold.
        """
        self._connections = Connections(database_url, pool_size) if database_url else None
        self._schema = schema
        self._pointer_statement = _select(("snapshot", "table_name"), (schema, "current_snapshot"))
        self._timeout_seconds = timeout_seconds
        self._pointer: _Pointer | None = None
        self._warned_at = -WARNING_SECONDS

    async def features(self, customer: int) -> PublishedFeatures:
        """A customer's published features.

        Raises:
            CustomerUnknown: the published snapshot has no such customer.
            NothingPublished: no snapshot has been published.
            StoreUnavailable: Postgres is down, or slower than the time limit.
        """
        pointer, row = await self._looked_up("features_statement", customer)
        return PublishedFeatures(pointer.snapshot, tuple(row))

    async def customer(self, customer: int) -> PublishedCustomer:
        """All that is published of a customer; raises what :meth:`features` raises."""
        pointer, row = await self._looked_up("customer_statement", customer)
        return PublishedCustomer(
            snapshot=pointer.snapshot,
            customer=row["id"],
            newest_loan=row["loan_id"],
            features=tuple(row[name] for name in FEATURE_NAMES),
            history=CustomerHistory.of_row(row),
        )

    async def features_of_many(self, customers: Sequence[int]) -> PublishedFeaturesOfMany:
        """Published features of several customers, by one statement; raises what :meth:`snapshot` raises."""
        pointer, rows = await self._asked(self._fetch_rows, "features_of_many_statement", customers)
        return PublishedFeaturesOfMany(pointer.snapshot, {row[0]: tuple(row)[1:] for row in rows})

    async def histories(self, customers: Sequence[int]) -> PublishedHistories:
        """Histories of several customers, by one statement; raises what :meth:`snapshot` raises."""
        pointer, rows = await self._asked(self._fetch_rows, "histories_statement", customers)
        return PublishedHistories(pointer.snapshot, pointer.as_of, {row[0]: row for row in rows})

    async def snapshot(self) -> str:
        """The id of the published snapshot, asked for now.

        Raises:
            NothingPublished: no snapshot has been published.
            StoreUnavailable: Postgres is down, or slower than the time limit.
        """
        try:
            return (await self._read_pointer(self._deadline())).snapshot
        except FAILURES as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the connections."""
        if self._connections:
            self._connections.drop_idle()

    async def _looked_up(self, statement: str, customer: int) -> tuple[_Pointer, Any]:
        pointer, row = await self._asked(self._fetch_row, statement, customer)
        if row is None:
            raise CustomerUnknown(f"customer {customer}: not in the published snapshot {pointer.snapshot}")
        return pointer, row

    async def _asked(
        self, fetch: Callable[..., Awaitable[Any]], statement: str, argument: object
    ) -> tuple[_Pointer, Any]:
        """What a statement of the pointer's gives, and the pointer that it is of."""
        deadline = self._deadline()
        try:
            pointer = self._pointer
            if pointer is None or pointer.good_until < time.monotonic():
                pointer = await self._read_pointer(deadline)
            try:
                return pointer, await fetch(getattr(pointer, statement), argument, deadline=deadline)
            except asyncpg.UndefinedTableError:
                pointer = await self._read_pointer(deadline)
                return pointer, await fetch(getattr(pointer, statement), argument, deadline=deadline)
        except FAILURES as error:
            raise self._unavailable(error) from error

    async def _read_pointer(self, deadline: float) -> _Pointer:
        read_at = time.monotonic()
        try:
            row = await self._fetch_row(self._pointer_statement, deadline=deadline)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            row = None
        if row is None:
            raise NothingPublished("no feature snapshot has been published yet: run refresh_features first")
        if not _TABLE.fullmatch(row["table_name"]):
            raise StoreUnavailable(
                f"current_snapshot.table_name: {row['table_name']!r} is not a feature table"
            )
        try:
            as_of = SnapshotId.parse(row["snapshot"]).as_of
        except SnapshotMissing as error:
            raise StoreUnavailable(f"current_snapshot.snapshot: {error}") from None
        source = (self._schema, row["table_name"])
        self._pointer = _Pointer(
            snapshot=row["snapshot"],
            as_of=as_of,
            features_statement=_select(FEATURE_NAMES, source) + " WHERE id = $1",
            customer_statement=_select(CUSTOMER_COLUMNS, source) + " WHERE id = $1",
            features_of_many_statement=_select(("id", *FEATURE_NAMES), source) + " WHERE id = ANY($1)",
            histories_statement=_select(("id", *HISTORY_COLUMNS), source) + " WHERE id = ANY($1)",
            good_until=read_at + POINTER_AGE_SECONDS,
        )
        return self._pointer

    def _fetch_row(self, statement: str, *arguments: object, deadline: float) -> Awaitable[Any]:
        return self._opened().fetch_row(statement, *arguments, deadline=deadline)

    def _fetch_rows(self, statement: str, *arguments: object, deadline: float) -> Awaitable[Any]:
        return self._opened().fetch_rows(statement, *arguments, deadline=deadline)

    def _opened(self) -> Connections:
        if self._connections is None:
            raise StoreUnavailable("service_database_url: CREDITRISK_SERVICE_DATABASE_URL is not set")
        return self._connections

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout_seconds

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        if isinstance(error, TimeoutError):
            words, detail = f"Postgres did not answer within {self._timeout_seconds} s", ""
        else:
            words = f"Postgres cannot be read ({type(error).__name__})"
            detail = ": " + next(iter(str(error).splitlines()), "")
        if time.monotonic() - self._warned_at > WARNING_SECONDS:  # every request of an outage comes here
            self._warned_at = time.monotonic()
            logger.warning("%s%s", words, detail)
        return StoreUnavailable(words)


def _select(columns: Sequence[str], source: tuple[str, str]) -> str:
    names = ", ".join(quoted(column) for column in columns)
    return f"SELECT {names} FROM {quoted(source[0])}.{quoted(source[1])}"  # noqa: S608  all quoted
