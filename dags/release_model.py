"""
### Release a model step by step

Lets a version challenge the champion: first as a shadow that decides on nobody, then for a growing share of the
customers, at last for everybody. Both versions score every request meanwhile, and at each step a judge compares them
by the decision log. It goes on, waits, or aborts; an abort is one release record, and the champion decides on everybody
again within seconds.

| task | what it does | when it fails |
|---|---|---|
| `start_shadow` | refuses what may not serve; starts the challenge at share 0 | nothing has changed, and an alert says why |
| `shadow`, `share_05`, … | gives the challenger its share and judges it at intervals, holding no worker slot; the log and the return value have every number and limit | the challenge is **aborted**, for the reason in the log |
| `approve` | asks an operator, under *Required Actions* | *Reject*, or nobody in time: the promotion is skipped |
| `promote` | looks a last time, then lets the version decide on everybody | as above |
| `settle` | always runs: aborts what was not promoted, and says what serves | **look at once**: the challenge may still be open |

**Failed, killed or cleared.** A run that is marked as failed still settles. A task that is killed is tried again and
goes on from the newest release record. Clearing `start_shadow` begins anew; clearing a later step after an abort fails,
because a challenge begins as a shadow. Steps, waits and limits are settings (`CREDITRISK_CANARY__…`).
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, chain, task

from creditrisk.settings import load_settings
from plugins.approval import ANSWER, Approval
from plugins.assets import RELEASES
from plugins.defaults import DEFAULT_ARGS
from plugins.judge_step import JudgeStep, percent
from plugins.release_form import model_version, reason
from plugins.watch_tasks import (
    note_failure,
    note_no_release,
    note_release_run_failure,
    note_success,
)

canary = load_settings().canary
step_timeout = timedelta(seconds=canary.step_longest_seconds + 2 * canary.judge_interval_seconds) + timedelta(
    hours=1
)
approval_timeout = timedelta(seconds=canary.approval_seconds)
percents = [percent(share) for share in canary.steps]

with DAG(
    dag_id="release_model",
    description="Shadow, growing share, approval, everybody",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    # More than all steps together: a run that timed out would be ended without settling.
    dagrun_timeout=(len(percents) + 2) * step_timeout + approval_timeout,
    default_args=DEFAULT_ARGS,
    on_failure_callback=note_release_run_failure,
    tags=["model", "release"],
    params={
        "version": model_version(),
        "reason": reason(),
        "steps": Param(
            percents,
            type="array",
            items={"type": "string", "enum": percents},
            uniqueItems=True,
            examples=percents,
            title="Steps",
            description="The challenger's shares between the shadow and everybody; those left out are passed over.",
        ),
    },
):

    @task(on_failure_callback=note_no_release)
    def start_shadow(*, params: Any = None, dag_run: Any = None) -> str:
        from plugins.release_tasks import start_shadow

        return start_shadow(params["version"].strip(), dag_run.triggering_user_name, params["reason"])

    @task(outlets=[RELEASES])
    def promote(
        version: str, *, params: Any = None, dag_run: Any = None, ti: Any = None, outlet_events: Any = None
    ) -> int:
        from plugins.release_tasks import promote

        release = promote(
            version,
            dag_run.triggering_user_name,
            ti.xcom_pull(task_ids="approve", key=ANSWER),
            params["reason"],
        )
        outlet_events[RELEASES].extra = {"number": release.number, "champion": release.champion}
        return int(release.number)

    # An abort fails a step too, and is told as what it is; a settling that fails is told as a failed task.
    @task(retries=3, on_failure_callback=note_failure, on_success_callback=note_success)
    def settle(version: str, *, dag_run: Any = None, ti: Any = None) -> str:
        from plugins.release_tasks import settle

        return settle(version, dag_run.triggering_user_name, ti.xcom_pull(task_ids="approve", key=ANSWER))

    version = start_shadow()
    steps = [
        JudgeStep(
            version=version,
            share=share,
            interval=timedelta(seconds=canary.judge_interval_seconds),
            timeout=step_timeout,
            retries=3,
        )
        for share in (0.0, *canary.steps)
    ]
    approval = [
        Approval(
            task_id="approve",
            subject="Let {{ params.version }} decide on everybody?",
            body="{{ params.reason }}\n\nThe verdict on each step is its task's return value. "
            "*Reject*, or no answer in time, aborts the release.",
            defaults="Reject",
            response_timeout=approval_timeout,
        )
        for _ in range(canary.requires_approval)
    ]
    # A teardown runs also when the run is marked as failed, and is skipped by no rejection.
    chain(version, *steps, *approval, promote(version), settle(version).as_teardown(setups=version))
