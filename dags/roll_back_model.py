"""
### Roll back to an earlier model

Puts a version that has served before back into service: one new release record, with your name and your
reason. Leave *Version* empty for the champion before the present one. The prediction service takes it up within
seconds, without a restart; nothing is deleted, so a rollback can itself be undone by `promote_model`.

| task | what it does |
|---|---|
| `find_target` | the version asked for, or the champion before; refuses one that cannot serve |
| `roll_back` | writes the release record; if somebody else was faster, it says so |
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from plugins.assets import RELEASES
from plugins.defaults import WATCHED_ARGS, WATCHED_RUN
from plugins.release_form import VERSION_PATTERN, reason

with DAG(
    dag_id="roll_back_model",
    description="Put an earlier model version back into service",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=WATCHED_ARGS,
    **WATCHED_RUN,
    tags=["model", "release"],
    params={
        "to": Param(
            None,
            type=["null", "string"],
            pattern=VERSION_PATTERN,
            title="Version",
            description="The version to go back to; empty: the champion before the present one.",
        ),
        "reason": reason(),
    },
):

    @task
    def find_target(*, params: Any = None) -> str:
        from plugins.model_tasks import rollback_target

        return rollback_target((params["to"] or "").strip() or None)

    @task(outlets=[RELEASES])
    def roll_back(version: str, *, params: Any = None, dag_run: Any = None, outlet_events: Any = None) -> int:
        from plugins.model_tasks import roll_back

        release = roll_back(version, by=dag_run.triggering_user_name, reason=params["reason"])
        outlet_events[RELEASES].extra = {"number": release.number, "champion": release.champion}
        return int(release.number)

    roll_back(find_target())
