"""
### Train a model

Fits one model on a feature snapshot, judges it, and registers it. Nothing that serves changes: that is
`promote_model`'s doing.

| task | what it does |
|---|---|
| `train` | fits the spec on the snapshot's training set, evaluates it on rows it has not seen, writes the files |
| `gate` | holds the evaluation against the limits, the champion and the baseline; its verdict is in the log and the return value |
| `register` | makes the version exist, with the verdict |

A **refused** model is registered as refused, with its reasons, and can never be promoted; the run then ends as
*failed*, because nobody got a model they can use. Read the reasons in `register`'s last lines. The same snapshot, spec
and seed give the same predictions, and while code, limits and champion stay as they are, the same version.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, task

from creditrisk.settings import load_settings
from plugins.assets import MODEL_VERSIONS
from plugins.defaults import WATCHED_ARGS, WATCHED_RUN

settings = load_settings()

with DAG(
    dag_id="train_model",
    description="A snapshot in, a judged model version out",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(settings.training_schedule, timezone=settings.time_zone)
    if settings.training_schedule
    else None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    default_args=WATCHED_ARGS,
    **WATCHED_RUN,
    tags=["model", "monthly"],
    params={
        "snapshot": Param(
            None,
            type=["null", "string"],
            pattern=r"^\d{4}-\d{2}-\d{2}-[0-9a-f]{12}$",
            title="Snapshot",
            description="Id of a snapshot that passed its quality gate; empty: the newest of them.",
        ),
        "spec": Param(
            "forest",
            type="string",
            enum=["forest", "boosting"],
            title="Model spec",
            description="Estimator and parameters; forest: 100 trees, boosting: histogram boosting.",
        ),
        "seed": Param(
            7,
            type="integer",
            minimum=0,
            maximum=2**31 - 1,
            title="Seed",
            description="Of everything that is drawn; the same seed gives the same model.",
        ),
    },
):

    @task(execution_timeout=timedelta(hours=2), retries=1)
    def train(*, params: Any = None) -> str:
        from plugins.model_tasks import train

        return train(snapshot=params["snapshot"], spec=params["spec"], seed=params["seed"])

    @task
    def gate(version: str) -> dict[str, Any]:
        from plugins.model_tasks import judge

        return judge(version)

    @task(outlets=[MODEL_VERSIONS])
    def register(version: str, *, outlet_events: Any = None) -> str:
        from plugins.model_tasks import register

        snapshot = register(version)
        outlet_events[MODEL_VERSIONS].extra = {"version": version, "snapshot": snapshot}
        return version

    version = train()
    gate(version) >> register(version)
