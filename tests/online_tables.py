"""Online tables as the publisher makes them, of two customers, small enough to know by heart."""

from contextlib import closing
from dataclasses import dataclass
from datetime import date

import psycopg2
from psycopg2 import sql

FIRST = ("2020-12-31-aaaaaaaaaaaa", "features_20201231_aaaaaaaaaaaa")
SECOND = ("2021-01-01-bbbbbbbbbbbb", "features_20210101_bbbbbbbbbbbb")
ADA = 5008827
BIRTHDAY, JOB_START, NEWEST_LOAN = date(1988, 2, 1), date(2015, 3, 4), date(2020, 12, 1)


@dataclass
class Store:
    """The tables as the publisher makes them."""

    publisher_url: str
    schema: str

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
        self.run("CREATE SCHEMA {}")
        self.run("GRANT USAGE ON SCHEMA {} TO creditrisk_service")
        self.run(
            "CREATE TABLE {}.current_snapshot (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), "
            "snapshot text NOT NULL, table_name text NOT NULL, switched_at timestamptz DEFAULT now())"
        )
        self.run("GRANT SELECT ON {}.current_snapshot TO creditrisk_service")

    def load(self, table: str, age: int) -> None:
        self.run(
            "CREATE TABLE {}."
            + table
            + " (id bigint PRIMARY KEY, loan_id bigint, loan_date date, age smallint, "
            "years_on_the_job smallint, nb_previous_loans int, avg_amount_loans_previous float8, "
            "flag_own_car smallint, birthday date, job_start_date date, loan_count int, amount_sum_micros bigint, "
            "loan_count_before_newest_day int, amount_sum_micros_before_newest_day bigint)"
        )
        self.run("GRANT SELECT ON {}." + table + " TO creditrisk_service")
        insert = "INSERT INTO {}." + table + " VALUES (" + ", ".join(["%s"] * 14) + ")"
        self.run(
            insert,
            ADA,
            900,
            NEWEST_LOAN,
            age,
            5,
            3,
            233.5,
            1,
            BIRTHDAY,
            JOB_START,
            4,
            934_000_000,
            3,
            700_500_000,
        )
        self.run(insert, -7, 1, NEWEST_LOAN, 50, None, 0, None, 0, BIRTHDAY, None, 1, 5, 0, 0)

    def point(self, snapshot: tuple[str, str]) -> None:
        self.run(
            "INSERT INTO {}.current_snapshot (snapshot, table_name) VALUES (%s, %s) "
            "ON CONFLICT (only_row) DO UPDATE SET snapshot = excluded.snapshot, table_name = excluded.table_name",
            *snapshot,
        )
