"""One published table: the customers of a snapshot, loaded by COPY and held against the manifest."""

import io
import logging
import re
from collections.abc import Iterator
from datetime import date

import psycopg2.errors
from psycopg2 import extensions, sql

from creditrisk.contract import AMOUNT_UNIT, CUSTOMER_COLUMNS, CUSTOMER_DIGEST_COLUMNS
from creditrisk.errors import SnapshotDamaged
from creditrisk.snapshots import SnapshotId, SnapshotManifest
from creditrisk.store_schema import StoreSchema

logger = logging.getLogger(__name__)

_DATES = ("loan_date", "birthday", "job_start_date")
_TABLE_NAME = re.compile(r"features_\d{8}_[0-9a-f]{12}")


def snapshot_of(table_name: str) -> SnapshotId:
    """The snapshot whose table has this name."""
    _, day, hash12 = table_name.split("_")
    return SnapshotId(date(int(day[:4]), int(day[4:6]), int(day[6:])), hash12)


def loaded_tables(cursor: extensions.cursor, schema: StoreSchema) -> set[str]:
    """Names of the tables in the store, the served one among them."""
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema.schema,))
    return {name for (name,) in cursor.fetchall() if _TABLE_NAME.fullmatch(name)}


class PublishedTable:
    """The table of one snapshot; every method works within the transaction of its cursor."""

    def __init__(self, schema: StoreSchema, manifest: SnapshotManifest) -> None:
        self.snapshot = SnapshotId.parse(manifest.snapshot)
        self.name = self.snapshot.table_name
        self.customers = manifest.counts.customers
        self._schema = schema
        self._digest = manifest.customers_digest
        self._table = schema.table(self.name)

    def is_loaded(self, cursor: extensions.cursor) -> bool:
        """Whether the snapshot's table is there and right; one that is not right is dropped."""
        if self.name not in loaded_tables(cursor, self._schema):
            return False
        try:
            self.check(cursor)
        except SnapshotDamaged as damage:
            logger.warning("%s: loaded again", damage)
            cursor.execute(sql.SQL("DROP TABLE {}").format(self._table))
            return False
        return True

    def load(self, cursor: extensions.cursor, rows: Iterator[bytes]) -> None:
        """Make, fill, key and check the snapshot's table, all in the caller's transaction."""
        cursor.execute(
            sql.SQL("CREATE TABLE {} (LIKE {})").format(self._table, self._schema.table("features_layout"))
        )
        columns = sql.SQL(", ").join(sql.Identifier(name) for name in CUSTOMER_COLUMNS)
        copy = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT csv, FREEZE)").format(self._table, columns)
        statement = copy.as_string(cursor)
        try:
            for chunk in rows:
                cursor.copy_expert(statement, io.BytesIO(chunk), size=1 << 20)
            cursor.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (id)").format(self._table))
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            # Other details would show a customer's row.
            detail = error.diag.message_detail if isinstance(error, psycopg2.errors.UniqueViolation) else None
            raise SnapshotDamaged(
                f"snapshot {self.snapshot}: its customers do not fit the online table: "
                f"{error.diag.message_primary}{f' ({detail})' if detail else ''}"
            ) from None
        self.check(cursor)
        self._schema.grant_features(cursor, self.name)
        cursor.execute(sql.SQL("ANALYZE {}").format(self._table))

    def check(self, cursor: extensions.cursor) -> None:
        """Hold a table against the manifest, by one pass in Postgres.

        Raises:
            SnapshotDamaged: the digest, the count, or a mean is not what it should be.
        """
        cursor.execute(
            sql.SQL(
                "SELECT count(*), count(*) || ':' || coalesce(sum(('x' || left(md5({line}), 15))::bit(60)::bigint), 0), "
                "count(*) FILTER (WHERE avg_amount_loans_previous IS DISTINCT FROM "
                "amount_sum_micros_before_newest_day::float8 / "
                "nullif(loan_count_before_newest_day::bigint * %s, 0)::float8) FROM {table}"
            ).format(line=_digest_line(), table=self._table),
            (AMOUNT_UNIT,),
        )
        found = cursor.fetchone()
        assert found is not None  # noqa: S101 - an aggregate has one row
        customers, digest, wrong_means = found
        if customers != self.customers or digest != self._digest:
            raise SnapshotDamaged(
                f"snapshot {self.snapshot}: Postgres has {customers} customers with digest {digest}, the manifest "
                f"says {self.customers} with {self._digest}"
            )
        if wrong_means:
            raise SnapshotDamaged(
                f"snapshot {self.snapshot}: avg_amount_loans_previous of {wrong_means} customers is not their "
                "amount sum divided by their loan count"
            )


def _digest_line() -> sql.Composed:
    """A row as the text that its digest is taken of."""
    texts = [
        sql.SQL(
            "coalesce(to_char({}, 'YYYY-MM-DD'), '')" if name in _DATES else "coalesce({}::text, '')"
        ).format(sql.Identifier(name))
        for name in CUSTOMER_DIGEST_COLUMNS
    ]
    return sql.SQL(" || '|' || ").join(texts)
