"""The decision log by whole days, as the publisher sees it: which days there are, what they name, and dropping one."""

import logging
import re
import time
from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

import psycopg2.errors
from psycopg2 import extensions, sql

from creditrisk.errors import StoreUnavailable
from creditrisk.store_schema import StoreSchema

logger = logging.getLogger(__name__)

_PARTITION = re.compile(r"decisions_(\d{8})")
_LOCK_WAIT = "2s"
"""How long a drop waits for whoever uses the log: additions wait behind it."""
_TRIES, _PAUSE_SECONDS = 5, 1.0


class NamedByDay(NamedTuple):
    """What some decisions of one day rest on."""

    day: date
    snapshot: str
    versions: frozenset[str]
    decisions: int


def decision_days(connection: extensions.connection, schema: StoreSchema) -> list[date]:
    """The days, in UTC, that have a partition, oldest first; none where there is no log yet."""
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid "
            "JOIN pg_class parent ON parent.oid = inhparent JOIN pg_namespace ON pg_namespace.oid = parent.relnamespace "
            "WHERE nspname = %s AND parent.relname = 'decisions' ORDER BY child.relname",
            (schema.schema,),
        )
        matches = (_PARTITION.fullmatch(name) for (name,) in cursor.fetchall())
        return [datetime.strptime(match[1], "%Y%m%d").date() for match in matches if match]  # noqa: DTZ007


def named_by_days(
    connection: extensions.connection, schema: StoreSchema, days: list[date]
) -> Iterator[NamedByDay]:
    """What the decisions of each day rest on: one pass over each day's rows."""
    for day in days:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "SELECT snapshot, champion, model_version, challenger, count(*) FROM {} GROUP BY 1, 2, 3, 4"
                ).format(schema.table(_partition(day)))
            )
            found = cursor.fetchall()
        for snapshot, *versions, decisions in found:
            yield NamedByDay(day, snapshot, frozenset(name for name in versions if name), decisions)


def drop_day(connection: extensions.connection, schema: StoreSchema, day: date) -> None:
    """Drop a day's decisions, whole.

    Raises:
        StoreUnavailable: somebody was using the log each time it was tried.
    """
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_WAIT,))
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(schema.table(_partition(day))))
        except psycopg2.errors.LockNotAvailable:
            logger.warning("decisions of %s: being used, tried again", day)
        else:
            return
    raise StoreUnavailable(f"decisions of {day}: somebody uses the log all the time: run it again later")


def _partition(day: date) -> str:
    return f"decisions_{day:%Y%m%d}"
