"""
### Abort a release

Ends a version's challenge: one new release record without the challenger, with your name and your reason. The champion
decides on everybody again within seconds, without a restart. A run of `release_model` that is under way for the version
notices at its next look, and ends as failed; nothing else is undone. Aborting a challenge that has ended already changes nothing.

| task | what it does |
|---|---|
| `abort` | writes the release record; if somebody else was faster, it says so |
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from plugins.assets import RELEASES
from plugins.defaults import WATCHED_ARGS, WATCHED_RUN
from plugins.release_form import model_version, reason

with DAG(
    dag_id="abort_release",
    description="End a challenge; the champion goes on",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    # Nothing starts by itself, and whoever needs it needs it at once.
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(hours=1),
    default_args=WATCHED_ARGS,
    **WATCHED_RUN,
    tags=["model", "release"],
    params={
        "version": model_version(),
        "reason": reason(),
    },
):

    @task(outlets=[RELEASES])
    def abort(*, params: Any = None, dag_run: Any = None, outlet_events: Any = None) -> int:
        from plugins.model_tasks import abort

        release = abort(params["version"].strip(), by=dag_run.triggering_user_name, reason=params["reason"])
        outlet_events[RELEASES].extra = {"number": release.number, "champion": release.champion}
        return int(release.number)

    abort()
