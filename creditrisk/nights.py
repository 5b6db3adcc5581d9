"""The table of nights: how each run of the nightly refresh went, at a glance, written by its own tasks.

A row is what people and alerts read instead of asking Airflow, the lake and the store. It follows from them and
decides nothing: whoever cannot write it goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from psycopg2 import errors, extensions, sql

from creditrisk.errors import StoreError
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage
from creditrisk.store_schema import StoreSchema

_WAIT_MILLISECONDS = 5_000
"""How long a night waits for its row, which nobody else should hold."""

_LONGEST = timedelta(hours=6)
"""What a run may take, as ``dags/refresh_features.py`` says."""

_ENDED_UNTOLD = "nobody said how it ended: it was marked by hand, or what ran it went away"

_FACTS = ("snapshot", "rows_in", "kept", "quarantined", "later", "verdict")
"""Columns of what a run has built."""

_WORDS = 2_000
"""Characters of a reason that are kept: the log has the rest."""


class Outcome(StrEnum):
    """How a night stands."""

    RUNNING = "running"
    PUBLISHED = "published"
    SKIPPED = "skipped"  # built and judged, but a newer snapshot is being served
    FAILED = "failed"


class Night(NamedTuple):
    """A row: one run of the refresh for one date."""

    as_of: date
    run_id: str
    started_at: datetime
    ended_at: datetime | None
    snapshot: str | None
    rows_in: int | None
    kept: int | None
    quarantined: int | None
    later: int | None
    seconds: float | None
    """From the first task's beginning to the last one's end."""
    verdict: str | None
    """The quality gate's."""
    outcome: Outcome
    why: str | None


def begin_night(settings: Settings, as_of: date, run_id: str, *, builds: bool = True) -> None:
    """Say that a run has begun, or begins anew because somebody cleared it; one that goes on keeps its beginning.

    A run that builds anew has no snapshot and no verdict until it has got them: what fails meanwhile is not the quality gate.

    Rows of runs that nobody ended within the time that one may take are ended too: a run that is marked as failed by hand
    is told of by nobody.

    Args:
        settings: of the market.
        as_of: the run's date.
        run_id: Airflow's.
        builds: False where a later task begins, on the snapshot that there is.

    Raises:
        StoreUnavailable: Postgres cannot be reached.
        StoreError: it has no table of nights yet, or somebody holds the row.
    """
    forgotten = ("ended_at", "seconds", "why", *(_FACTS if builds else ()))
    with _writing(settings) as (cursor, table):
        cursor.execute(
            sql.SQL(
                "INSERT INTO {table} AS night (as_of, run_id, outcome) VALUES (%s, %s, 'running') "
                "ON CONFLICT (as_of, run_id) DO UPDATE SET outcome = 'running', {forgotten}, "
                "started_at = CASE night.outcome WHEN 'running' THEN night.started_at ELSE excluded.started_at END"
            ).format(
                table=table,
                forgotten=sql.SQL(", ").join(
                    sql.SQL("{} = NULL").format(sql.Identifier(name)) for name in forgotten
                ),
            ),
            (as_of, run_id),
        )
        cursor.execute(
            sql.SQL(
                "UPDATE {} SET outcome = 'failed', why = %s "
                "WHERE outcome = 'running' AND run_id <> %s AND started_at < now() - %s"
            ).format(table),
            (_ENDED_UNTOLD, run_id, _LONGEST),
        )


def judge_night(settings: Settings, snapshot: str, run_id: str) -> None:
    """Say what a run's snapshot holds and what the quality gate says of it; raises what :func:`begin_night` does."""
    _write(settings, SnapshotId.parse(snapshot).as_of, run_id, _facts(settings, snapshot))


def end_night(
    settings: Settings, as_of: date, run_id: str, outcome: Outcome, why: str, snapshot: str | None = None
) -> None:
    """Say how a run ended.

    Args:
        settings: of the market.
        as_of: the run's date.
        run_id: Airflow's.
        outcome: any but running.
        why: for an operator.
        snapshot: what it built, if it got so far; its facts are written again, for the first note of a market
            comes before its tables do.

    Raises what :func:`begin_night` does.
    """
    facts = _facts(settings, snapshot) if snapshot else {}
    _write(settings, as_of, run_id, {**facts, "outcome": str(outcome), "why": why[:_WORDS]})


def end_untold(settings: Settings, run_id: str, why: str, outcome: Outcome = Outcome.FAILED) -> int:
    """Say how a run ended whose tasks did not: it was killed, its time was up, or it was marked by hand.

    Returns how many rows that changed, 0 or 1; raises what :func:`begin_night` does.
    """
    with _writing(settings) as (cursor, table):
        cursor.execute(
            sql.SQL(
                "UPDATE {} SET outcome = %s, why = %s, ended_at = now(), "
                "seconds = extract(epoch FROM now() - started_at) WHERE run_id = %s AND outcome = 'running'"
            ).format(table),
            (str(outcome), why[:_WORDS], run_id),
        )
        return int(cursor.rowcount)


def running_runs(settings: Settings) -> list[str]:
    """Airflow's ids of the runs that have not ended, as far as their tasks have said; raises what :func:`begin_night` does."""
    with _writing(settings) as (cursor, table):
        cursor.execute(
            sql.SQL("SELECT DISTINCT run_id FROM {} WHERE outcome = 'running' ORDER BY run_id").format(table)
        )
        return [run_id for (run_id,) in cursor.fetchall()]


def recent_nights(connection: extensions.connection, schema: str, limit: int = 60) -> list[Night]:
    """The runs that began last, newest first; none where there is no table yet.

    Args:
        connection: of a role that may read the table.
        schema: the market's.
        limit: how many at most.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, Night._fields))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("SELECT {} FROM {}.nights ORDER BY started_at DESC, as_of DESC LIMIT %s").format(
                    columns, sql.Identifier(schema)
                ),
                (limit,),
            )
            rows = [Night(*row) for row in cursor.fetchall()]
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return []
    return [row._replace(outcome=Outcome(row.outcome)) for row in rows]


def _facts(settings: Settings, snapshot: str) -> dict[str, Any]:
    """What the lake knows of a snapshot, by column."""
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    identity = SnapshotId.parse(snapshot)
    counts, report = catalog.manifest(identity).counts, catalog.quality(identity)
    return {
        "snapshot": snapshot,
        "rows_in": counts.rows_in,
        "kept": counts.kept,
        "quarantined": counts.quarantined,
        "later": counts.later,
        "verdict": str(report.verdict) if report else None,
    }


def _write(settings: Settings, as_of: date, run_id: str, facts: dict[str, Any]) -> None:
    """Write columns of a run's row, which is made where it is missing."""
    values = {"outcome": str(Outcome.RUNNING), **facts}
    names = [sql.Identifier(name) for name in values]
    changes: list[sql.Composable] = [
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in facts
    ]
    if "outcome" in facts:
        changes += [
            sql.SQL("ended_at = now()"),
            sql.SQL("seconds = extract(epoch FROM now() - night.started_at)"),
        ]
    with _writing(settings) as (cursor, table):
        cursor.execute(
            sql.SQL(
                "INSERT INTO {table} AS night (as_of, run_id, {names}, ended_at) VALUES (%s, %s, {places}, {ended}) "
                "ON CONFLICT (as_of, run_id) DO UPDATE SET {changes}"
            ).format(
                table=table,
                names=sql.SQL(", ").join(names),
                places=sql.SQL(", ").join([sql.Placeholder()] * len(names)),
                ended=sql.SQL("now()" if "outcome" in facts else "NULL"),
                changes=sql.SQL(", ").join(changes),
            ),
            (as_of, run_id, *values.values()),
        )


@contextmanager
def _writing(settings: Settings) -> Iterator[tuple[extensions.cursor, sql.Composed]]:
    """A cursor in a transaction of the publisher's that waits for nobody long, and the table."""
    schema = StoreSchema.of(settings)
    with schema.connected() as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(_WAIT_MILLISECONDS),))
        try:
            yield cursor, schema.table("nights")
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            raise StoreError(
                f"schema {schema.schema}: no table of nights yet: run python -m creditrisk migrate"
            ) from None
