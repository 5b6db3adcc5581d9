"""How long a year of decisions takes to be joined to their outcomes: ``python -m tests.benchmarks.bench_results [DECISIONS]``.

An embedded PostgreSQL of its own, by default with ten million decisions of twelve months, a fifth of them scored by a
challenger too, half of them about the newest loan of 36,457 customers, from 52 snapshots, and half applications; outcomes
of 777,715 loans are known. Prints the seconds, the measuring process's peak memory, and what was measured.
"""

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psycopg2
from psycopg2 import sql

from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.vintage_store import Vintage
from local import postgres
from monitoring.results import measure_results
from tests.conftest import free_port
from tests.monitoring.outcome_world import Loan, write_snapshot, write_training_set

DECISIONS = 10_000_000
CUSTOMERS, LOANS, SNAPSHOTS = 36_457, 777_715, 52
FIRST, LAST = date(2020, 1, 1), date(2020, 12, 30)
CHAMPION, CHALLENGER = "2019-12-31-aaaaaaaaaa", "2019-12-31-bbbbbbbbbb"

_FILL = sql.SQL("""
    INSERT INTO {decisions} (decision_id, decided_at, customer, loan, as_of, snapshot, age, nb_previous_loans,
        flag_own_car, release, champion, model_version, arm, probability, threshold, decision, challenger,
        champion_probability, challenger_probability, latency_microseconds)
    SELECT gen_random_uuid(), at, customer, loan, CASE WHEN loan = 'next' THEN at::date END, snapshot, 42, 0, 1, 1,
        %(champion)s, %(champion)s, 'champion', score, 0.04, (score >= 0.04)::int,
        CASE WHEN paired THEN %(challenger)s END, CASE WHEN paired THEN score END, CASE WHEN paired THEN score * 0.9 END, 900
    FROM (
        SELECT %(day)s::timestamptz + number * interval '1 ms' AS at, 1 + number * 48271::bigint %% %(customers)s AS customer,
            CASE WHEN number %% 2 = 0 THEN 'newest' ELSE 'next' END AS loan, %(snapshot)s AS snapshot,
            number %% 5 = 0 AS paired, 0.002 + random() * random() * 0.06 AS score
        FROM generate_series(1, %(count)s) AS number
    ) AS asked
""")


def main() -> None:
    """Fill, measure, print."""
    decisions = int(sys.argv[1]) if len(sys.argv) > 1 else DECISIONS
    with tempfile.TemporaryDirectory(prefix="bench results ") as folder:
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
            fill(settings, decisions)
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                seconds, megabytes, vintages = process.submit(measured, settings).result()
            print(
                f"{decisions:,} decisions: {seconds:.1f} s, peak {megabytes:,} MB, {len(vintages)} vintages"
            )
            for vintage in vintages[-4:]:
                print(vintage)
        finally:
            postgres.stop(server)


def measured(settings: Settings) -> tuple[float, int, list[Vintage]]:
    """Measure in a process of its own: seconds, its peak resident memory in MB, and the vintages."""
    began = time.perf_counter()
    results = measure_results(settings, LAST)
    seconds = time.perf_counter() - began
    # Not getrusage, which begins with what the parent had.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return seconds, int(peak.split()[1]) // 1024, results.vintages


def fill(settings: Settings, decisions: int) -> None:
    """Snapshots of every week, and decisions of every day."""
    chance = np.random.default_rng(1)
    customers = 1 + chance.integers(0, CUSTOMERS, LOANS)
    days = chance.integers(-300, (LAST - FIRST).days, LOANS)
    late = chance.random(LOANS) < 0.015
    loans = [
        Loan(number, int(customer), FIRST + timedelta(days=int(day)), int(is_late))
        for number, (customer, day, is_late) in enumerate(zip(customers, days, late, strict=True), start=1)
    ]
    span = (LAST - FIRST).days
    dates = [FIRST + timedelta(days=span * (number + 1) // SNAPSHOTS) for number in range(SNAPSHOTS)]
    names = [write_snapshot(settings, day, loans) for day in dates]
    for version in (CHAMPION, CHALLENGER):
        write_training_set(settings, version, loans[: LOANS // 4])
    assert settings.publisher_database_url is not None
    table = sql.Identifier(settings.database_schema, "decisions")
    add_day = sql.Identifier(settings.database_schema, "add_decision_day")
    with closing(psycopg2.connect(settings.publisher_database_url.get_secret_value())) as connection:
        for number in range(span):
            day = FIRST + timedelta(days=number)
            with connection, connection.cursor() as cursor:
                cursor.execute(sql.SQL("SELECT {}(%s)").format(add_day), (day,))
                cursor.execute(
                    _FILL.format(decisions=table),
                    {
                        "day": datetime(day.year, day.month, day.day, tzinfo=UTC),
                        "champion": CHAMPION,
                        "challenger": CHALLENGER,
                        "customers": CUSTOMERS,
                        "snapshot": names[min(number * SNAPSHOTS // span, SNAPSHOTS - 1)],
                        "count": decisions // span,
                    },
                )
        with connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("ANALYZE {}").format(table))


if __name__ == "__main__":
    main()
