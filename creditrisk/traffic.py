"""Reading and removing the service's answers by minute, which its workers ship (``serving/traffic.py``)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from psycopg2 import errors, extensions, sql

from creditrisk.store_schema import StoreSchema

OPERATION = (
    "GET /health/live",
    "HEAD /health/live",
    "GET /health/ready",
    "HEAD /health/ready",
    "GET /metrics",
)
"""Routes that machines ask without end: they say nothing of the service's clients."""


class Answers(NamedTuple):
    """How often a route answered with a status in some time."""

    route: str
    status: int
    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TrafficSum:
    """What the service's clients asked and got in some time, without what only looks whether it lives."""

    requests: int
    refused: int
    """Answered with 4xx: the client's fault."""
    failed: int
    """Answered with 5xx: ours."""
    seconds: float
    """That the requests took together."""

    @property
    def error_share(self) -> float | None:
        """Share of requests that failed; None without a request."""
        return self.failed / self.requests if self.requests else None

    @property
    def mean_milliseconds(self) -> float | None:
        """None without a request."""
        return 1000 * self.seconds / self.requests if self.requests else None


def sum_of(answers: Iterable[Answers]) -> TrafficSum:
    """All answers to clients together."""
    clients = [one for one in answers if one.route not in OPERATION]
    return TrafficSum(
        requests=sum(one.requests for one in clients),
        refused=sum(one.requests for one in clients if 400 <= one.status < 500),
        failed=sum(one.requests for one in clients if one.status >= 500),
        seconds=sum(one.seconds for one in clients),
    )


def answers_between(
    cursor: extensions.cursor, table: sql.Composable, begin: datetime, end: datetime
) -> list[Answers]:
    """What all workers answered, by route and status; nothing where there is no table yet.

    Args:
        cursor: of a role that may read the table.
        table: the market's table of traffic.
        begin: aware; the first minute counts whole.
        end: aware; minutes from here on do not count.
    """
    try:
        cursor.execute(
            sql.SQL(
                "SELECT route, status, sum(requests)::bigint, sum(seconds_sum) FROM {} "
                "WHERE minute >= date_trunc('minute', %s::timestamptz) AND minute < %s "
                "GROUP BY route, status ORDER BY route, status"
            ).format(table),
            (begin, end),
        )
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return []
    return [Answers(*row) for row in cursor.fetchall()]


def remove_traffic_before(connection: extensions.connection, schema: StoreSchema, moment: datetime) -> int:
    """Remove the minutes before a moment; how many rows went, of a table that may not be there yet."""
    return schema.remove_before(connection, "traffic", "minute", moment)
