"""
### Nightly feature refresh

Builds the feature snapshot of one date from the loans that have landed, judges it, and publishes it
to the online store.

| task | what it does | when it fails |
|---|---|---|
| `build_features` | Spark: row rules, features, statistics; writes a snapshot, and the refused rows to quarantine | **at once** where somebody must mend what landed, else tried again; nothing is served from it |
| `quality_gate` | holds the snapshot against the limits and the one published before | **at once**: what is served stays; read the verdict in the log |
| `publish` | loads it beside what is served, checks it, switches | tried again; readers see the old snapshot whole |

**The date.** A nightly run is for the day before its logical date, in the market's time zone. *Trigger* takes any
date in the form; a *backfill* takes each slot's own. Running a date again changes nothing. A snapshot older
than the one being served is built and judged, and `publish` ends as *skipped*; `publish_older` overrides.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, task

from creditrisk.settings import load_settings
from plugins.assets import PUBLISHED_FEATURES
from plugins.defaults import DEFAULT_ARGS
from plugins.night_notes import note_run_failed, note_task_failed
from plugins.spark_operator import BuildFeatures

settings = load_settings()

with DAG(
    dag_id="refresh_features",
    description="Loans in, features judged and served",
    doc_md=__doc__,
    # The first run is the next slot: unpausing it starts nothing by surprise.
    schedule=CronTriggerTimetable(settings.nightly_schedule, timezone=settings.time_zone)
    if settings.nightly_schedule
    else None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=DEFAULT_ARGS | {"on_failure_callback": note_task_failed},
    on_failure_callback=note_run_failed,
    tags=["features", "nightly"],
    params={
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Date",
            description="Build the snapshot of this date; empty: the day before the run's logical date.",
        ),
        "landed_until": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Landed until",
            description="Read folders that landed up to this day; empty: up to the date itself.",
        ),
        "publish_older": Param(
            False,
            type="boolean",
            title="Publish even if older",
            description="Serve this snapshot even though a newer one is being served.",
        ),
    },
):

    @task(retries=2)
    def quality_gate(snapshot: str, *, run_id: Any = None) -> str:
        from plugins.feature_tasks import judge

        return judge(snapshot, run_id=run_id)

    @task(retries=3, execution_timeout=timedelta(minutes=30), outlets=[PUBLISHED_FEATURES])
    def publish(snapshot: str, *, run_id: Any = None, params: Any = None, outlet_events: Any = None) -> str:
        from plugins.feature_tasks import publish

        outlet_events[PUBLISHED_FEATURES].extra = {"snapshot": snapshot, "as_of": snapshot[:10]}
        return publish(snapshot, run_id=run_id, publish_older=params["publish_older"])

    build_features = BuildFeatures(
        task_id="build_features",
        retries=1,
        retry_delay=timedelta(minutes=5),
        execution_timeout=timedelta(hours=2),
    )
    publish(quality_gate(build_features.output))
