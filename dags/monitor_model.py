"""
### Monitor the model

Measures one day: what was decided, on what, how old it all is. Every number is kept with its limit, a verdict and a
sentence. A number beyond its limit fails no task: it becomes an alert once it lasts.

| task | what it measures | when it fails |
|---|---|---|
| `service_level` | the age of snapshot and model, and whether as many ask as usual | tried again; the day's earlier numbers stay |
| `drift` | features and scores of the day's and the week's decisions, against what the deciding version was judged on | as above |
| `incoming` | raw columns of the loans that came in, against the month before | as above |
| `sample_decisions` | names some of the day's decisions; *skipped* where there are none | tried again |
| `recompute` | Spark: the feature job works out their customers again, from the landed files that the snapshot was made of | tried again; only `skew` waits for it |
| `skew` | the decisions' features against what came of that, value by value | as above |
| `results` | how loans turned out whose labels have arrived, by month of decision | as above |
| `report` | Evidently's drift report, into the lake | as above; the numbers do not need it |

**The day.** A run is for the day before its logical date, in the market's time zone. *Trigger* takes any day in the
form, and *backfill* each slot's own. Measuring a day again replaces its numbers.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, task

from creditrisk.settings import load_settings
from plugins.defaults import WATCHED_ARGS, WATCHED_RUN
from plugins.spark_operator import RecomputeCustomers

settings = load_settings()

with DAG(
    dag_id="monitor_model",
    description="A day's drift, skew, ages, volume and results",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(settings.monitoring_schedule, timezone=settings.time_zone)
    if settings.monitoring_schedule
    else None,
    catchup=False,
    max_active_runs=1,
    # Each is a process of its own, and they share the machine with what serves.
    max_active_tasks=2,
    dagrun_timeout=timedelta(hours=4),
    default_args={**WATCHED_ARGS, "execution_timeout": timedelta(hours=1)},
    **WATCHED_RUN,
    tags=["monitoring", "daily"],
    params={
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description="Measure this day; empty: the day before the run's logical date.",
        ),
    },
):

    @task
    def service_level(*, params: Any = None, dag_run: Any = None) -> int:
        from plugins.monitor_tasks import measure

        return measure("service_level", params, dag_run)

    @task
    def drift(*, params: Any = None, dag_run: Any = None) -> int:
        from plugins.monitor_tasks import measure

        return measure("drift", params, dag_run)

    @task
    def incoming(*, params: Any = None, dag_run: Any = None) -> int:
        from plugins.monitor_tasks import measure

        return measure("incoming", params, dag_run)

    @task
    def sample_decisions(*, params: Any = None, dag_run: Any = None) -> str:
        from plugins.monitor_tasks import sample_decisions

        return sample_decisions(params, dag_run)

    @task
    def skew(*, params: Any = None, dag_run: Any = None) -> int:
        from plugins.monitor_tasks import measure

        return measure("skew", params, dag_run)

    @task
    def report(*, params: Any = None, dag_run: Any = None) -> str | None:
        from plugins.monitor_tasks import report

        return report(params, dag_run)

    @task
    def results(*, params: Any = None, dag_run: Any = None) -> int:
        from plugins.monitor_tasks import measure_results

        return measure_results(params, dag_run)

    # Nobody waits for another subject: a day that cannot be measured in one way is measured in the others.
    [service_level(), drift(), incoming(), results(), report()]
    RecomputeCustomers(task_id="recompute", sample=sample_decisions()) >> skew()
