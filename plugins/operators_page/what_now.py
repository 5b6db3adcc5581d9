"""What now, for a red task: what is wrong in words, what is still served, and what each way out would do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from creditrisk.errors import NothingToRollBackTo
from creditrisk.nights import Night
from creditrisk.release import ReleaseRecord, rollback_target
from creditrisk.snapshots import QualityReport, Verdict
from plugins.operators_page.access import NIGHTLY, may_read_logs, may_see
from plugins.operators_page.airflow_runs import OUR_DAGS, RedTask, Run, Task, red_tasks, run_of, tasks_of
from plugins.operators_page.formats import days
from plugins.operators_page.last_nights import broken_rules
from plugins.operators_page.now import Serving, Snapshot, serving_of
from plugins.operators_page.now import snapshot_of as served_snapshot
from plugins.operators_page.quarantine import examples_of
from plugins.operators_page.readings import ReadingsDep
from plugins.operators_page.registry_reads import quality_of, releases, snapshot_of
from plugins.operators_page.rendering import PageDep
from plugins.operators_page.task_log import last_words

router = APIRouter()

DAYS = 7
_RED = ("failed", "upstream_failed")


@dataclass(frozen=True, slots=True)
class WayOut:
    """Something that can be done, and what it would do."""

    name: str
    does: str
    action: str | None = None
    """The path of the page that asks for confirmation; None where it is done elsewhere."""
    query: dict[str, str] | None = None
    dag_id: str | None = None
    """Whose runs one must be allowed to trigger."""


_AGAIN = {
    "train_model": "Clear the task in Airflow: the same snapshot, spec and seed give the same version, so trying again is safe. What serves does not change.",
    "promote_model": "Trigger it again: promoting what serves already changes nothing, and two promotions cannot overtake each other.",
    "roll_back_model": "Trigger it again with the version to go back to: rolling back to what serves already changes nothing.",
    "release_model": "Trigger it anew with the version: it begins as a shadow again. Clearing a later step after an abort fails, because a challenge begins as a shadow.",
    "abort_release": "Trigger it again: aborting a challenge that has ended changes nothing.",
    "monitor_model": "Clear the task in Airflow, or trigger the day again: a day's measures are replaced as a whole.",
    "watch": "It runs again by itself within minutes, and tells nothing twice.",
    "remove_expired": "Clear the task in Airflow: what is removed already is passed over.",
}


def still_served(serving: Serving | None, snapshot: Snapshot | None) -> list[str]:
    """What goes on in spite of the red task, in sentences."""
    said = []
    if serving is None:
        said.append("No model serves.")
    elif serving.challenger:
        said.append(
            f"{serving.champion} serves, and {serving.challenger} challenges with a share of {serving.share:.0%}."
        )
    else:
        said.append(f"{serving.champion} serves everybody.")
    if snapshot is None:
        said.append("No snapshot is served: the service knows no customer.")
    else:
        limit = "" if snapshot.verdict == Verdict.PASS else f", {snapshot.words}"
        said.append(
            f"Snapshot {snapshot.snapshot} is served, {days(snapshot.age_days)} old{limit}. Every answer names it."
        )
    return said


def ways_out(run: Run, night: Night | None, history: Sequence[ReleaseRecord]) -> list[WayOut]:
    """What can be done about a red run, each with what it would do."""
    ways = []
    if run.dag_id == NIGHTLY:
        as_of = str(night.as_of) if night else str(run.conf.get("as_of") or "")
        ways.append(
            WayOut(
                "Run the night again",
                "Builds, judges and publishes the snapshot of the date once more from what had landed by then. The same input gives the same"
                " snapshot and the same verdict, so mend the input or change the limit first. What is served stays until a new snapshot has passed.",
                "rerun",
                {"as_of": as_of} if as_of else {},
                NIGHTLY,
            )
        )
        ways.append(
            WayOut(
                "Leave it",
                "The service goes on with the snapshot that is served, which grows older by a day each night.",
            )
        )
    elif run.dag_id in _AGAIN:
        ways.append(WayOut("Try again", _AGAIN[run.dag_id]))
    if history and history[-1].challenger:
        ways.append(
            WayOut(
                "Abort the challenge",
                f"One release record without the challenger: {history[-1].champion} decides on everybody within five seconds.",
                "abort",
                {},
                "abort_release",
            )
        )
    try:
        target = rollback_target(history)
        ways.append(
            WayOut(
                "Roll back the model",
                f"One release record: {target} serves instead of {history[-1].champion} within five seconds; it ends a challenge, and changes no features."
                " It helps where the model is at fault, and does nothing about a failed night.",
                "roll-back",
                {"to": target},
                "roll_back_model",
            )
        )
    except NothingToRollBackTo as nothing:
        ways.append(WayOut("Roll back the model", f"Cannot be done: {nothing}."))
    return ways


def failed_checks(report: QualityReport | None, told: str) -> list[str]:
    """The sentences of the checks that stopped a night, without those that the night's own words have."""
    failed = [check.sentence for check in report.checks if check.verdict is Verdict.FAIL] if report else []
    return [sentence for sentence in failed if sentence not in told]


def red_of(tasks: Sequence[Task], task_id: str | None) -> Task | None:
    """The task that somebody asks about, else the one that failed first by itself."""
    if task_id:
        return next((task for task in tasks if task.task_id == task_id), None)
    red = [task for task in tasks if task.state in _RED]
    return min(red, key=lambda task: _RED.index(str(task.state)), default=None)


@router.get("/what-now")
def show(
    page: PageDep,
    readings: ReadingsDep,
    session: SessionDep,
    dag_id: str | None = None,
    run_id: str | None = None,
    task_id: str | None = None,
) -> HTMLResponse:
    """The view: the red tasks of the last week, or one run's."""
    history = releases(page.settings)
    today = page.now.astimezone(page.settings.zone).date()
    served = still_served(serving_of(history), served_snapshot(readings.served(), today, page.settings))
    if not dag_id or not run_id:
        seen = [dag_id for dag_id in OUR_DAGS if may_see(page.user, dag_id)]
        red: list[RedTask] = red_tasks(session, page.now - timedelta(days=DAYS), seen)
        return page.render("what_now_list.html", view="what-now", red=red, served=served)
    run = run_of(session, dag_id, run_id) if dag_id in OUR_DAGS and may_see(page.user, dag_id) else None
    if run is None:
        raise HTTPException(404, f"run {run_id} of {dag_id}: Airflow knows no such run of ours")
    tasks = tasks_of(session, dag_id, run_id)
    task = red_of(tasks, task_id)
    night = readings.night_of_run(run_id) if dag_id == NIGHTLY else None
    snapshot = night.snapshot if night else None
    is_red = task is not None and task.state in _RED
    words = (
        last_words(session, dag_id, run_id, task.task_id)
        if task and is_red and may_read_logs(page.user, dag_id)
        else []
    )
    return page.render(
        "what_now.html",
        view="what-now",
        run=run,
        tasks=tasks,
        task=task,
        is_red=is_red,
        words=words,
        night=night,
        checks=failed_checks(quality_of(page.settings, snapshot), night.why or "")
        if night and snapshot
        else [],
        rules=broken_rules(snapshot_of(page.settings, snapshot), examples_of(page.settings, snapshot))[:3]
        if snapshot and is_red
        else [],
        served=served,
        ways=ways_out(run, night, history),
    )
