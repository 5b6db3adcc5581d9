"""How long each view of the operators' page takes with a year behind it: ``python -m tests.benchmarks.bench_operators_page``.

A year of nights and measures, and decisions in a partition a day, the newest day busy; an embedded PostgreSQL of its own,
Airflow's app anew for each view, in a process of its own. The times are those of whole requests of a logged-in viewer: the
first one asks a second after the app has started. BENCH_LARGE=1: ten million decisions.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from tests.airflow_environment import prepare

prepare()

from creditrisk import release_ledger  # noqa: E402
from creditrisk.settings import Settings  # noqa: E402
from creditrisk.storage import Storage  # noqa: E402
from local import postgres  # noqa: E402
from tests.conftest import free_port  # noqa: E402
from tests.creditrisk.published_market import publish  # noqa: E402
from tests.creditrisk.snapshot_factory import SnapshotFactory  # noqa: E402
from tests.logged_decisions import CHALLENGER, CHAMPION  # noqa: E402
from tests.planted_versions import plant  # noqa: E402

DECISIONS = 10_000_000 if os.environ.get("BENCH_LARGE") else 1_000_000
BUSY = DECISIONS // 30
"""Decisions of the last day."""
DAYS, ROUNDS, LIMIT_MILLISECONDS = 365, 7, 300
UNTIL_FIRST = 1.0
"""Seconds from the app's start to its first request: a person logs in in between."""

_DECISIONS = sql.SQL("""
    INSERT INTO {decisions} (
        decision_id, decided_at, customer, loan, snapshot, age, years_on_the_job, nb_previous_loans,
        avg_amount_loans_previous, flag_own_car, release, champion, model_version, arm, probability, threshold, decision,
        latency_microseconds, key_name
    )
    SELECT uuidv7(at - now()), at, number * 48271 %% 36457, 'newest',
        '2021-01-09-ab12cd34ef56', 20 + number %% 50, number %% 30, number %% 40, number * 1.5, number %% 2, 1, 'v', 'v',
        'champion', 0.02, 0.05, (number %% 10 = 0)::int, 900, 'front'
    FROM generate_series(0::bigint, %(count)s - 1) AS number,
        LATERAL (SELECT %(begin)s + number / %(count)s::float8 * (%(end)s - %(begin)s) AS at) AS spread
""")
_TABLES = """
    INSERT INTO {schema}.nights SELECT current_date - n, 'scheduled ' || n, now(), now(), NULL, 777000 + n, 776000, 1000 + n,
        0, 60 + n %% 20, 'pass', 'published', 'Snapshot is being served.' FROM generate_series(1, {days}) n;
    INSERT INTO {schema}.metrics SELECT current_date - n, metric, w || '/' || a || '/' || f, random() / 20, 0.1, 'pass',
        'The distribution has a population stability index of 0.01, surely at least 0.001, by 3,000 rows.', '{{}}'
        FROM generate_series(0, {days}) n, unnest('{{day,week}}'::text[]) w, unnest('{{all,champion,challenger}}'::text[]) a,
        unnest('{{age,years_on_the_job,nb_previous_loans,avg_amount_loans_previous,flag_own_car}}'::text[]) f,
        unnest('{{population_stability_index,drift_test,missing_share,out_of_bounds_share}}'::text[]) metric;
    INSERT INTO {schema}.traffic SELECT date_trunc('minute', now()) - n * interval '1 minute', w, r, 200, 100, 0.1
        FROM generate_series(0, 20160) n, unnest('{{a,b,c,d}}'::text[]) w, unnest('{{/predict,/health}}'::text[]) r;
    INSERT INTO {schema}.vintages (month, version, arm, decisions, labelled, late)
        SELECT date_trunc('month', now()) - n * interval '1 month', 'v', a, 800000, 500000, 9000
        FROM generate_series(0, 24) n, unnest('{{champion,challenger}}'::text[]) a;
    INSERT INTO {schema}.alerts (rule, subject, severity, started_at, ended_at, words, since, serving, advice, link)
        SELECT 'drift', n::text, 'warning', now() - n * interval '1 hour', now(), 'w', current_date, 's', 'a', 'l'
        FROM generate_series(1, 500) n;
    INSERT INTO {schema}.looks SELECT 2, now() - n * interval '5 minutes', 'wait', jsonb_build_object('step',
        jsonb_build_object('release', 2, 'judged_at', now()), 'finding', 'wait', 'reasons', '[]'::jsonb, 'decisions', n,
        'customers', n, 'filled_up', 0, 'checks', (SELECT jsonb_agg(jsonb_build_object('name', c, 'value', 0.01, 'low', 0.0,
        'high', 0.02, 'limit', 0.1, 'finding', 'wait', 'sentence', repeat('w', 200)))
        FROM unnest('{{approval_shift,flips,problems,slow,customers,score_shift,a,b,c,d,e,f}}'::text[]) c))
        FROM generate_series(1, 3000) n;
    ANALYZE;
"""


def main() -> None:
    """Fill a market and ask for each view a few times; a line for each."""
    with tempfile.TemporaryDirectory(prefix="bench page ") as folder:
        server = Settings(_env_file=None, var_dir=Path(folder), postgres_port=free_port())
        urls = postgres.start(server)
        try:
            roles = {
                f"{role}_database_url": getattr(urls, role) for role in ("publisher", "service", "reader")
            }
            settings = Settings(_env_file=None, var_dir=Path(folder), **roles)
            os.environ["CREDITRISK_VAR_DIR"] = folder
            os.environ.update({f"CREDITRISK_{name.upper()}": url for name, url in roles.items()})
            fill(settings)
            customer, decision = known(settings)
            for view in (
                *("now", "nights", "models", f"models?version={CHALLENGER}", "release", "drift"),
                *(f"decision?id={decision}", f"decision?id={customer}", "what-now"),
            ):
                command = [sys.executable, "-m", "tests.benchmarks.bench_operators_page", view]
                ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                print(ran.stdout.splitlines()[-1], flush=True)
        finally:
            postgres.stop(server)


def fill(settings: Settings) -> None:
    """A published snapshot, a release with a challenger, and a year of everything else."""
    snapshots = SnapshotFactory(settings)
    publish(snapshots, snapshots.write(datetime.now(UTC).date() - timedelta(days=1)))
    for version in (CHAMPION, CHALLENGER):
        plant(Storage(settings.registry_root), version)
    release_ledger.promote(settings, CHAMPION, by="ana", reason="the first")
    release_ledger.challenge(settings, CHALLENGER, 0.0, by="ana", reason="a better one")
    now = datetime.now(UTC)
    assert settings.publisher_database_url is not None
    schema = settings.database_schema
    with (
        closing(psycopg2.connect(settings.publisher_database_url.get_secret_value())) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        for number in range(DAYS + 1):
            cursor.execute(
                f'SELECT "{schema}".add_decision_day(%s)', ((now - timedelta(days=number)).date(),)
            )
        fill_in = _DECISIONS.format(decisions=sql.Identifier(schema, "decisions"))
        begin = now - timedelta(days=DAYS - 1)
        cursor.execute(fill_in, {"begin": begin, "end": now, "count": DECISIONS - BUSY})
        cursor.execute(fill_in, {"begin": now - timedelta(days=1), "end": now, "count": BUSY})
        cursor.execute(_TABLES.format(schema=f'"{schema}"', days=DAYS).replace("%%", "%"))
    _vacuum(settings)


def _vacuum(settings: Settings) -> None:
    """What Postgres does by itself within minutes, and has not yet done to rows that were all written just now."""
    assert settings.publisher_database_url is not None
    with closing(psycopg2.connect(settings.publisher_database_url.get_secret_value())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(settings.database_schema, "decisions"))
            )


def known(settings: Settings) -> tuple[int, str]:
    """A customer and a decision of the log."""
    assert settings.reader_database_url is not None
    with (
        closing(psycopg2.connect(settings.reader_database_url.get_secret_value())) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f'SELECT customer, decision_id FROM "{settings.database_schema}".decisions LIMIT 1')
        row: Any = cursor.fetchone()
        return row[0], str(row[1])


def measure(view: str) -> None:
    """Start Airflow's app, and ask it for a view a few times; prints the first request's time and the others' median."""
    warnings.simplefilter("ignore")
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient

    initdb()
    app = create_app(apps="core")
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="viewer", role="viewer"))
    milliseconds = []
    with TestClient(app, headers={"Authorization": f"Bearer {token}"}) as viewer:
        time.sleep(UNTIL_FIRST)
        for _ in range(ROUNDS):
            began = time.perf_counter()
            answer = viewer.get(f"/operators/{view}")
            milliseconds.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, answer.text[:500]
    usual = statistics.median(milliseconds[1:])
    late = "" if max(milliseconds[0], usual) < LIMIT_MILLISECONDS else f"  OVER {LIMIT_MILLISECONDS} ms"
    print(f"page {view.split('=')[0]:20} first {milliseconds[0]:6.0f} ms, then {usual:6.0f} ms{late}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
