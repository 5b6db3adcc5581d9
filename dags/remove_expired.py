"""
### Remove what need not be kept

Removes decisions, snapshots, quarantined rows, reports and never-released model versions that are older than the
settings keep them (`CREDITRISK_RETENTION__…`). What a release record, a kept decision or the online store names stays,
whatever its age, and so do the newest snapshots.

| task | what it does | when it fails |
|---|---|---|
| `list_expired` | says in its log what will go, and what stays although it is old enough, and why | tried again; nothing has gone |
| `remove` | removes it, and leaves a small record of each snapshot and version that went | tried again: it can be interrupted anywhere |

*Only list* in the form ends the run after the first task. The same by hand: `python -m creditrisk retain --dry-run`.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, task

from creditrisk.settings import load_settings
from plugins.defaults import WATCHED_ARGS, WATCHED_RUN

settings = load_settings()

with DAG(
    dag_id="remove_expired",
    description="What need not be kept any longer goes",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(settings.retention_schedule, timezone=settings.time_zone)
    if settings.retention_schedule
    else None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=WATCHED_ARGS,
    **WATCHED_RUN,
    tags=["retention", "weekly"],
    params={
        "only_list": Param(
            False,
            type="boolean",
            title="Only list",
            description="Say what would go, and remove nothing.",
        ),
    },
):

    @task(execution_timeout=timedelta(hours=1))
    def list_expired() -> int:
        from plugins.retention_tasks import list_expired

        return list_expired()

    # Where only the list was asked for, what failed to be removed before is still there.
    @task(execution_timeout=timedelta(hours=2), on_skipped_callback=None)
    def remove(*, params: Any = None) -> int:
        from plugins.retention_tasks import remove

        return remove(only_list=params["only_list"])

    list_expired() >> remove()
