"""How long the judge reads for one step with two million decisions in the log: ``python -m tests.benchmarks.bench_judge``.

An embedded PostgreSQL of its own; all decisions are of one step, the worst case, once of as many customers as the
real file has and once of ten times as many. The time is that of the whole verdict, connecting and the genders
included.
"""

import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
from psycopg2 import sql

from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from local import postgres
from monitoring.canary import Step, judge
from monitoring.decision_reads import DecisionReads
from tests.conftest import free_port
from tests.logged_decisions import CHALLENGER, CHAMPION

DECISIONS = 2_000_000
CUSTOMERS = (36_457, 364_570)
ROUNDS = 3
BEGAN = datetime(2021, 1, 10, 0, tzinfo=UTC)

_FILL = sql.SQL("""
    INSERT INTO {decisions} (
        decision_id, decided_at, customer, loan, snapshot, age, years_on_the_job, nb_previous_loans,
        avg_amount_loans_previous, flag_own_car, release, champion, model_version, arm, probability, threshold, decision,
        challenger, champion_probability, champion_threshold, champion_microseconds,
        challenger_probability, challenger_threshold, challenger_microseconds, latency_microseconds, key_name
    )
    SELECT gen_random_uuid(), %(began)s + number * interval '40 ms', customer, 'newest', '2021-01-09-ab12cd34ef56',
        20 + customer %% 50, customer %% 30, customer %% 40, customer * 1.5, customer %% 2, %(release)s,
        %(champion)s, %(champion)s, 'champion', champion, 0.05, (champion >= 0.05)::int,
        %(challenger)s, champion, 0.05, 60 + random() * 40, challenger, 0.05, 65 + random() * 40, 900, 'front'
    FROM (
        SELECT number, customer, 0.02 + customer * 7919 %% 1000 * 0.000034 AS champion,
            0.02 + (customer * 7919 + customer %% 17) %% 1000 * 0.000034 AS challenger
        FROM (
            SELECT number, number * 48271::bigint %% %(customers)s AS customer
            FROM generate_series(1, %(count)s) AS number
        ) AS asked
    ) AS scored
""")


def main() -> None:
    """Fill the log and judge it a few times for each number of customers; a line for each."""
    with tempfile.TemporaryDirectory(prefix="bench judge ") as folder:
        server = Settings(_env_file=None, var_dir=Path(folder), postgres_port=free_port())
        urls = postgres.start(server)
        try:
            settings = Settings(
                _env_file=None,
                var_dir=Path(folder),
                publisher_database_url=urls.publisher,
                service_database_url=urls.service,
                reader_database_url=urls.reader,
            )
            OnlineStore(settings).migrate()
            for release, customers in enumerate(CUSTOMERS, start=2):
                fill(settings, release, customers)
                seconds = [judged(settings, release, customers) for _ in range(ROUNDS)]
                print(
                    f"judge {DECISIONS:,} decisions of {customers:,} customers:"
                    f" {', '.join(f'{each:.2f}' for each in seconds)} s",
                    flush=True,
                )
        finally:
            postgres.stop(server)


def fill(settings: Settings, release: int, customers: int) -> None:
    """Put one step's decisions into the log, all on one day, and let Postgres count them."""
    assert settings.publisher_database_url is not None
    table = sql.Identifier(settings.database_schema, "decisions")
    add_day = sql.Identifier(settings.database_schema, "add_decision_day")
    with (
        closing(psycopg2.connect(settings.publisher_database_url.get_secret_value())) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        began = BEGAN + timedelta(days=release)
        cursor.execute(sql.SQL("SELECT {}(%s)").format(add_day), (began.date(),))
        cursor.execute(
            _FILL.format(decisions=table),
            {
                "began": began,
                "release": release,
                "champion": CHAMPION,
                "challenger": CHALLENGER,
                "customers": customers,
                "count": DECISIONS,
            },
        )
        cursor.execute(sql.SQL("ANALYZE {}").format(table))


def judged(settings: Settings, release: int, customers: int) -> float:
    """Judge the step; seconds."""
    genders = {customer: "FM"[customer % 2] for customer in range(customers)}
    since = BEGAN + timedelta(days=release)
    step = Step(
        release=release,
        champion=CHAMPION,
        challenger=CHALLENGER,
        share=0.05,
        since=since,
        judged_at=since + timedelta(days=1),
    )
    began = time.perf_counter()
    verdict = judge(
        step, DecisionReads(settings).evidence(release, CHALLENGER, since, genders), settings.canary
    )
    seconds = time.perf_counter() - began
    assert (verdict.decisions, verdict.customers) == (DECISIONS, customers)
    return seconds


if __name__ == "__main__":
    main()
