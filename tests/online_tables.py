"""Two customers in online tables of the publisher's own layout, few enough to know by heart."""

from contextlib import closing
from dataclasses import dataclass
from datetime import date

import psycopg2
from psycopg2 import sql

from creditrisk.contract import CUSTOMER_COLUMNS
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.store_schema import StoreSchema

FIRST = ("2020-12-31-aaaaaaaaaaaa", "features_20201231_aaaaaaaaaaaa")
SECOND = ("2021-01-01-bbbbbbbbbbbb", "features_20210101_bbbbbbbbbbbb")
ADA = 5008827
BIRTHDAY, JOB_START, NEWEST_LOAN = date(1988, 2, 1), date(2015, 3, 4), date(2020, 12, 1)


@dataclass
class OnlineTables:
    """A market's tables."""

    settings: Settings

    @property
    def schema(self) -> str:
        return self.settings.database_schema

    @property
    def publisher_url(self) -> str:
        assert self.settings.publisher_database_url
        return self.settings.publisher_database_url.get_secret_value()

    def run(self, statement: str, *values: object) -> None:
        """One statement as the publisher, ``{}`` standing for the schema."""
        with (
            closing(psycopg2.connect(self.publisher_url)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            schemas = [sql.Identifier(self.schema)] * statement.count("{}")
            cursor.execute(sql.SQL(statement).format(*schemas), values or None)

    def prepare(self) -> None:
        """The schema without a published snapshot."""
        OnlineStore(self.settings).migrate()

    def load(self, table: str, age: int) -> None:
        """A snapshot's table, in which Ada is of that age."""
        ada = (ADA, 900, NEWEST_LOAN, age, 5, 3, 233.5, 1, BIRTHDAY, JOB_START)
        ada += (4, 934_000_000, 3, 700_500_000)
        other = (-7, 1, NEWEST_LOAN, 50, None, 0, None, 0, BIRTHDAY, None, 1, 5, 0, 0)
        self.run("CREATE TABLE {}." + table + " (LIKE {}.features_layout, PRIMARY KEY (id))")
        places = ", ".join(["%s"] * len(CUSTOMER_COLUMNS))
        for row in (ada, other):
            self.run("INSERT INTO {}." + table + f" VALUES ({places})", *row)
        schema = StoreSchema.of(self.settings)
        with schema.connected() as connection, connection, connection.cursor() as cursor:
            schema.grant_features(cursor, table)

    def point(self, snapshot: tuple[str, str]) -> None:
        """Move the pointer."""
        self.run(
            "INSERT INTO {}.current_snapshot (snapshot, table_name) VALUES (%s, %s) "
            "ON CONFLICT (only_row) DO UPDATE SET snapshot = excluded.snapshot, table_name = excluded.table_name",
            *snapshot,
        )
