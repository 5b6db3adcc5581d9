"""
### Watch everything, and tell people

Looks every few minutes at each part of the system, at the nights, at what monitoring measured and at the release
records; holds them against the rules; and tells people once when something starts and once when it is over.

| task | what it does | when it fails |
|---|---|---|
| `watch` | looks, writes down what changed, sends what is due; its log names every open alert | tried again: what was written down is told once, what was not sent is sent later |

Each message says what is wrong, since when, what is still served, what to do, and where to read on: each rule has its
section in `docs/runbook.md`. Messages that did not get out are on the operators' page. Channels, the schedule and what is
late are settings (`CREDITRISK_ALERTS__…`). While Postgres is away that alone is told, and kept in the lake until it is back.
A nightly run that was marked by hand is ended in the table of nights, too.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task

from creditrisk.settings import load_settings
from plugins.defaults import DEFAULT_ARGS

settings = load_settings()

with DAG(
    dag_id="watch",
    description="Alerts: once when it starts, once when it is over",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(settings.alerts.watch_schedule, timezone=settings.time_zone)
    if settings.alerts.watch_schedule
    else None,
    catchup=False,
    max_active_runs=1,
    # Whoever has to switch the watch on has not been told of what happened before.
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(minutes=15),
    default_args=DEFAULT_ARGS,
    tags=["alerts"],
):

    @task(retries=1, retry_delay=timedelta(seconds=30), execution_timeout=timedelta(minutes=5))
    def watch(*, ti: Any = None) -> dict[str, int]:
        from plugins.watch_tasks import look_and_send

        return look_and_send(ti.get_dr_count)

    watch()
