"""The table of probes: the state of each part of the system, as it was when it was last looked at."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from psycopg2 import extensions, sql

from creditrisk.snapshots import Verdict
from creditrisk.store_schema import StoreSchema


class Look(NamedTuple):
    """What a look at one part of the system found."""

    name: str
    verdict: Verdict
    """Not judged: it could not be looked at, or there is nothing to look at."""
    words: str
    is_gone: bool = False
    """There is no such part, or nobody uses it any more: what was wrong with it is over."""


class Probe(NamedTuple):
    """The newest look at a part, and since when its verdict has been what it is."""

    name: str
    verdict: Verdict
    words: str
    seen_at: datetime
    since: datetime


def keep_looks(
    cursor: extensions.cursor, schema: StoreSchema, looks: Iterable[Look], now: datetime
) -> list[Probe]:
    """Put looks in place of those before, in the caller's transaction; all probes that there are then."""
    for look in looks:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} AS probe (name, verdict, words, seen_at, since) VALUES (%s, %s, %s, %s, %s) "
                "ON CONFLICT (name) DO UPDATE SET verdict = excluded.verdict, words = excluded.words, "
                "seen_at = excluded.seen_at, "
                "since = CASE probe.verdict WHEN excluded.verdict THEN probe.since ELSE excluded.since END"
            ).format(schema.table("probes")),
            (look.name, look.verdict.value, look.words, now, now),
        )
    return probes(cursor, schema.table("probes"))


def probes(cursor: extensions.cursor, table: sql.Composable) -> list[Probe]:
    """The newest look at each part, by name.

    Args:
        cursor: of a role that may read the table.
        table: the market's table of probes.
    """
    cursor.execute(_ALL.format(table))
    return [
        Probe(name, Verdict(verdict), words, seen_at, since)
        for name, verdict, words, seen_at, since in cursor.fetchall()
    ]


_ALL = sql.SQL("SELECT name, verdict, words, seen_at, since FROM {} ORDER BY name")
