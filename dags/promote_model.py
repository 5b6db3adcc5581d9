"""
### Promote a model

Puts a registered version into service: one new release record, with your name and your reason. The prediction
service takes it up within seconds, without a restart. Promoting the version that serves already changes nothing.

| task | what it does |
|---|---|
| `check` | refuses a version that is missing, damaged, refused by its gate or made for other features |
| `promote` | writes the release record; if somebody else was faster, it says so |
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from plugins.assets import RELEASES
from plugins.defaults import DEFAULT_ARGS
from plugins.release_form import model_version, reason
from plugins.watch_tasks import note_no_promotion

with DAG(
    dag_id="promote_model",
    description="Put a model version into service",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULT_ARGS | {"on_failure_callback": note_no_promotion},
    on_failure_callback=note_no_promotion,
    tags=["model", "release"],
    params={
        "version": model_version(),
        "reason": reason(),
    },
):

    @task
    def check(*, params: Any = None) -> str:
        from plugins.model_tasks import require_promotable

        return require_promotable(params["version"].strip())

    @task(outlets=[RELEASES])
    def promote(version: str, *, params: Any = None, dag_run: Any = None, outlet_events: Any = None) -> int:
        from plugins.model_tasks import promote

        release = promote(version, by=dag_run.triggering_user_name, reason=params["reason"])
        outlet_events[RELEASES].extra = {"number": release.number, "champion": release.champion}
        return int(release.number)

    promote(check())
