"""The published features in Postgres, as the publisher sees them: load, check, switch, keep, drop.

A snapshot is loaded into a table of its own beside the served one and checked; then a one-row pointer is
moved. A table exists only when it was loaded whole, because it is made, filled and checked in one
transaction. So whatever interrupts a publisher, readers see the old snapshot or the new one, each whole.
The table served before is kept, to be pointed back to; the next switch drops it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import psycopg2
from psycopg2 import extensions, sql

from creditrisk.errors import OlderThanServed, SnapshotMissing
from creditrisk.published_table import PublishedTable, loaded_tables, snapshot_of
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId, SnapshotManifest
from creditrisk.store_schema import StoreSchema

logger = logging.getLogger(__name__)

_DROP_WAIT = "2s"
"""How long a drop waits for readers of a table before it is left to the next publish."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publish or a pointing back ended in."""

    snapshot: SnapshotId
    served_before: SnapshotId | None
    customers: int
    """Rows of the table now served."""
    changed: bool
    """False where the snapshot was being served already."""

    @property
    def sentence(self) -> str:
        """What happened, for an operator; it is kept, so it says nothing that another publication makes untrue."""
        if not self.changed:
            return f"Snapshot {self.snapshot} was being served already: nothing changed."
        before = f" It replaced {self.served_before}." if self.served_before else ""
        return f"Snapshot {self.snapshot} was published: {self.customers:,} customers.{before}"


@dataclass(frozen=True, slots=True)
class Switch:
    """One move of the pointer, as the ledger has it."""

    snapshot: SnapshotId
    customers: int
    action: str
    """``publish`` or ``point back``."""
    by: str
    at: datetime


class OnlineStore:
    """One market's published features."""

    def __init__(self, settings: Settings) -> None:
        """Name the store; nothing is opened yet.

        Raises:
            SettingsError: there is no URL to publish with.
        """
        self._schema = StoreSchema.of(settings)

    def migrate(self) -> list[str]:
        """Apply the schema changes that are missing; return the names of their files."""
        with self._schema.publishing() as connection:
            return self._schema.migrate(connection)

    def served(self) -> SnapshotId | None:
        """The snapshot being served, or None."""
        with self._reading() as cursor:
            return self._served(cursor) if cursor else None

    def kept(self) -> set[SnapshotId]:
        """Snapshots whose tables are in the store: the served one and those that can be pointed back to."""
        with self._reading() as cursor:
            return {snapshot_of(name) for name in loaded_tables(cursor, self._schema)} if cursor else set()

    def published_before(self, day: date) -> list[SnapshotId]:
        """The snapshots ever served whose date lies before ``day``, newest first; of one date, the one served last."""
        with self._reading() as cursor:
            if cursor is None:
                return []
            cursor.execute(
                sql.SQL(
                    "SELECT DISTINCT ON (as_of) snapshot FROM {} WHERE as_of < %s "
                    "ORDER BY as_of DESC, number DESC"
                ).format(self._schema.table("publications")),
                (day,),
            )
            return [SnapshotId.parse(snapshot) for (snapshot,) in cursor.fetchall()]

    def switches(self) -> list[Switch]:
        """Every move of the pointer, oldest first."""
        with self._reading() as cursor:
            if cursor is None:
                return []
            cursor.execute(
                sql.SQL(
                    "SELECT snapshot, customers, action, published_by, published_at FROM {} ORDER BY number"
                ).format(self._schema.table("publications"))
            )
            return [Switch(SnapshotId.parse(row[0]), *row[1:]) for row in cursor.fetchall()]

    def publish(
        self, manifest: SnapshotManifest, rows: Iterator[bytes], *, publish_older: bool = False
    ) -> Publication:
        """Load the snapshot's rows, check them, and serve them; publishers of a market take turns.

        Args:
            manifest: the snapshot's.
            rows: its customers as CSV, in the order of ``CUSTOMER_COLUMNS``; read only when needed.
            publish_older: serve it even though a newer one is being served.

        Raises:
            OlderThanServed: a snapshot of a later date is being served.
            SnapshotDamaged: the rows are not those the manifest was written for.
        """
        table = PublishedTable(self._schema, manifest)
        with self._publishing() as connection:
            with connection, connection.cursor() as cursor:
                before = self._served(cursor)
                if before and table.snapshot.as_of < before.as_of and not publish_older:
                    raise OlderThanServed(
                        f"snapshot {table.snapshot} is older than {before}, which is being served: "
                        "ask for publish_older to serve it all the same"
                    )
                if before != table.snapshot and not table.is_loaded(cursor):
                    table.load(cursor, rows)
            return self._switch(connection, table, before, "publish")

    def point_back(self, manifest: SnapshotManifest) -> Publication:
        """Serve a snapshot whose table is still in the store.

        Raises:
            SnapshotMissing: its table has been dropped.
            SnapshotDamaged: its table was changed since it was loaded.
        """
        table = PublishedTable(self._schema, manifest)
        with self._publishing() as connection:
            with connection, connection.cursor() as cursor:
                tables = loaded_tables(cursor, self._schema)
                if table.name not in tables:
                    kept = ", ".join(str(snapshot_of(name)) for name in sorted(tables)) or "none"
                    raise SnapshotMissing(
                        f"snapshot {table.snapshot} is no longer in the store (there: {kept}): "
                        f"python -m creditrisk publish {table.snapshot} --publish-older"
                    )
                table.check(cursor)
                before = self._served(cursor)
            return self._switch(connection, table, before, "point back")

    @contextmanager
    def _reading(self) -> Iterator[extensions.cursor | None]:
        """A cursor, or None where the market's schema has not been made yet."""
        with self._schema.connected() as connection, connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'publications'",
                (self._schema.schema,),
            )
            yield cursor if cursor.fetchone() else None

    @contextmanager
    def _publishing(self) -> Iterator[extensions.connection]:
        with self._schema.publishing() as connection:
            self._schema.migrate(connection)
            yield connection

    def _served(self, cursor: extensions.cursor) -> SnapshotId | None:
        """The snapshot the pointer names; None where its table is gone, for then nothing is served."""
        cursor.execute(
            sql.SQL(
                "SELECT snapshot FROM {} WHERE table_name IN (SELECT tablename FROM pg_tables WHERE schemaname = %s)"
            ).format(self._schema.table("current_snapshot")),
            (self._schema.schema,),
        )
        found = cursor.fetchone()
        return SnapshotId.parse(found[0]) if found else None

    def _switch(
        self,
        connection: extensions.connection,
        table: PublishedTable,
        before: SnapshotId | None,
        action: str,
    ) -> Publication:
        """Move the pointer to the snapshot's table in one transaction, then drop what is no longer kept."""
        snapshot = table.snapshot
        if before != snapshot:
            record = (str(snapshot), table.name)
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    sql.SQL(
                        "INSERT INTO {} (snapshot, table_name) VALUES (%s, %s) ON CONFLICT (only_row) DO UPDATE SET "
                        "snapshot = excluded.snapshot, table_name = excluded.table_name, switched_at = now()"
                    ).format(self._schema.table("current_snapshot")),
                    record,
                )
                cursor.execute(
                    sql.SQL(
                        "INSERT INTO {} (snapshot, table_name, as_of, customers, action) VALUES (%s, %s, %s, %s, %s)"
                    ).format(self._schema.table("publications")),
                    (*record, snapshot.as_of, table.customers, action),
                )
        self._drop_unkept(connection)
        return Publication(snapshot, before, table.customers, changed=before != snapshot)

    def _drop_unkept(self, connection: extensions.connection) -> None:
        """Drop every table but the served one and the one served before it, leavings of a killed publisher too."""
        with connection, connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "(SELECT table_name FROM {pointer}) UNION ALL (SELECT table_name FROM {ledger} "
                    "WHERE table_name NOT IN (SELECT table_name FROM {pointer}) ORDER BY number DESC LIMIT 1)"
                ).format(
                    pointer=self._schema.table("current_snapshot"), ledger=self._schema.table("publications")
                )
            )
            kept = {name for (name,) in cursor.fetchall()}
            unkept = sorted(loaded_tables(cursor, self._schema) - kept)
        for name in unkept:
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('lock_timeout', %s, true)", (_DROP_WAIT,))
                    cursor.execute(sql.SQL("DROP TABLE {}").format(self._schema.table(name)))
            except psycopg2.errors.LockNotAvailable:
                logger.warning("table %s is still being read: the next publish drops it", name)
