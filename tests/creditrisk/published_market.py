"""Publishing to a market, and asking Postgres what is served."""

from contextlib import closing
from datetime import date
from typing import Any

import psycopg2
from psycopg2 import sql

from creditrisk.customer_rows import customer_rows
from creditrisk.online_store import OnlineStore, Publication
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId, SnapshotManifest
from tests.creditrisk.snapshot_factory import SnapshotFactory

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2020, 12, day) for day in (28, 29, 30, 31))


def publish(snapshots: SnapshotFactory, manifest: SnapshotManifest, **how: Any) -> Publication:
    rows = customer_rows(snapshots.catalog.lake, manifest)
    return OnlineStore(snapshots.settings).publish(manifest, rows, **how)


def the_id(manifest: SnapshotManifest) -> SnapshotId:
    return SnapshotId.parse(manifest.snapshot)


def table_of(manifest: SnapshotManifest) -> str:
    return f"features_{manifest.as_of:%Y%m%d}_{the_id(manifest).hash12}"


def ask(settings: Settings, question: str, role: str = "service") -> list[tuple[Any, ...]]:
    """Ask as a role; ``{schema}`` in the question is the market's."""
    url = getattr(settings, f"{role}_database_url").get_secret_value()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(question).format(schema=sql.Identifier(settings.database_schema)))
        return cursor.fetchall() if cursor.description else []


def tables(settings: Settings) -> set[str]:
    rows = ask(settings, "SELECT tablename, schemaname FROM pg_tables WHERE tablename ~ '^features_[0-9]'")
    return {name for name, schema in rows if schema == settings.database_schema}


def served_rows(settings: Settings) -> list[tuple[Any, ...]]:
    ((table,),) = ask(settings, "SELECT table_name FROM {schema}.current_snapshot")
    return ask(settings, f"SELECT * FROM {{schema}}.{table} ORDER BY id")
