from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.settings import Settings
from creditrisk.snapshots import Check, QualityReport, Verdict
from tests.airflow_environment import prepare
from tests.creditrisk.snapshot_factory import SnapshotFactory

prepare()

from plugins.operators_page.airflow_runs import Run, Task  # noqa: E402
from plugins.operators_page.now import Snapshot, serving_of  # noqa: E402
from plugins.operators_page.task_log import words_of  # noqa: E402
from plugins.operators_page.what_now import failed_checks, red_of, still_served, ways_out  # noqa: E402

NOON = datetime(2021, 1, 10, 12, tzinfo=UTC)
OLD, NEW = "2020-12-29-aaaaaaaaaa", "2020-12-30-bbbbbbbbbb"


def run(dag_id: str, **conf: Any) -> Run:
    return Run(dag_id, "r", "failed", "manual", "ana", NOON, NOON, NOON, conf)


def task(name: str, state: str) -> Task:
    return Task(name, state, 1, 2, NOON, NOON)


def record(number: int, champion: str, challenger: str | None = None) -> ReleaseRecord:
    action = ReleaseAction.CHALLENGE if challenger else ReleaseAction.PROMOTE
    return ReleaseRecord(
        number=number, action=action, champion=champion, challenger=challenger, by="ana", reason="so", at=NOON
    )


def test_a_failed_night_can_be_run_again_or_left_and_the_model_rolled_back() -> None:
    ways = ways_out(run("refresh_features", as_of="2021-01-09"), None, [record(1, OLD), record(2, NEW)])
    assert [(way.name, way.action, way.query) for way in ways] == [
        ("Run the night again", "rerun", {"as_of": "2021-01-09"}),
        ("Leave it", None, None),
        ("Roll back the model", "roll-back", {"to": OLD}),
    ]
    assert "does nothing about a failed night" in ways[2].does


def test_a_challenge_can_be_aborted_and_nothing_rolled_back_to_nothing() -> None:
    ways = ways_out(run("release_model"), None, [record(1, OLD), record(2, OLD, NEW)])
    assert [way.action for way in ways] == [None, "abort", None]
    assert ways[2].does.startswith("Cannot be done: roll back:")


def test_a_check_that_stopped_a_night_is_told_once() -> None:
    def check(sentence: str, verdict: Verdict) -> Check:
        return Check(name="c", value=1, warn_limit=0, fail_limit=0, verdict=verdict, sentence=sentence)

    checks = [
        check("Too many.", Verdict.FAIL),
        check("Too old.", Verdict.FAIL),
        check("So so.", Verdict.WARN),
    ]
    report = QualityReport(snapshot="2021-01-09-ab12cd34ef56", compared_with=None, judged_at=NOON, verdict="fail", checks=checks)  # fmt: skip
    assert failed_checks(report, "") == ["Too many.", "Too old."]
    assert failed_checks(report, "quality_gate: not published. Too many.") == ["Too old."]
    assert failed_checks(None, "") == []


def test_what_is_still_served_is_said_with_its_age() -> None:
    serving = serving_of([record(1, OLD), record(2, OLD, NEW)])
    snapshot = Snapshot("2021-01-05-ab12cd34ef56", NOON, 5, "warn", "older than 3 days")
    assert still_served(serving, snapshot) == [
        f"{OLD} serves, and {NEW} challenges with a share of 0%.",
        "Snapshot 2021-01-05-ab12cd34ef56 is served, 5 days old, older than 3 days. Every answer names it.",
    ]
    assert still_served(None, None)[0] == "No model serves."


def test_the_red_task_is_the_one_asked_for_else_the_one_that_failed_by_itself() -> None:
    tasks = [task("publish", "upstream_failed"), task("build", "success"), task("gate", "failed")]
    found = red_of(tasks, None)
    assert found is not None
    assert found.task_id == "gate"
    assert red_of(tasks, "publish") == tasks[0]
    assert red_of(tasks[1:2], None) is None
    assert red_of(tasks, "none") is None


def test_the_last_words_are_the_loud_ones_and_an_exception_s_own() -> None:
    def line(event: str, level: str = "info", detail: Any = None) -> SimpleNamespace:
        return SimpleNamespace(event=event, level=level, error_detail=detail)

    quiet = [
        line("::group::Log message source details"),
        line("/a/log"),
        line("::endgroup::"),
        line("Reading"),
        line("Read 3 rows"),
    ]
    assert words_of(quiet) == ["Reading", "Read 3 rows"]
    failed = line(
        "Task failed with exception", "error", [{"exc_type": "NoInputError", "exc_value": "nothing landed"}]
    )
    assert words_of([*quiet, failed, line("Slow", "warning")]) == ["NoInputError: nothing landed"]
    assert words_of([*quiet, line("Slow", "warning")]) == ["Slow"]
    assert words_of([line("NoInputError: no file"), line("x" * 500, "error")]) == [
        "NoInputError: no file",
        f"{'x' * 400}…",
    ]


@pytest.fixture
def red_night(settings: Settings, airflow_app: Any) -> Iterator[str]:  # noqa: ARG001  it has the database
    """A run of the nightly that its gate stopped. Airflow, which other tests ask, too, knows it only meanwhile."""
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select

    SnapshotFactory(settings).write(NOON.date(), verdict=Verdict.FAIL)
    run_id = f"manual-{settings.market}"
    with create_session() as session:
        dag = SerializedDagModel.get_dag("refresh_features", session=session)
        assert dag is not None
        dag.create_dagrun(
            run_id=run_id, run_after=datetime.now(UTC), run_type=DagRunType.MANUAL, state=DagRunState.FAILED,
            triggered_by=DagRunTriggeredByType.UI, triggering_user_name="<i>eve</i>", logical_date=None, session=session,
        )  # fmt: skip
        session.flush()
        for each in session.scalars(select(TaskInstance).where(TaskInstance.run_id == run_id)):
            each.state = {"build_features": "success", "quality_gate": "failed"}.get(
                each.task_id, "upstream_failed"
            )
    yield run_id
    with create_session() as session:
        session.delete(session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one())


def test_a_red_night_is_told_with_what_each_way_out_would_do(login: Any, red_night: str) -> None:
    viewer = login("viewer")
    listed = viewer.get("/operators/what-now")
    assert "quality_gate" in listed.text
    shown = viewer.get("/operators/what-now", params={"dag_id": "refresh_features", "run_id": red_night})
    assert shown.status_code == 200
    assert "What now: quality_gate" in shown.text
    assert "Run the night again" in shown.text
    assert "Your Airflow role does not let you do this." in shown.text
    assert "<i>" not in shown.text
    green = viewer.get(
        "/operators/what-now",
        params={"dag_id": "refresh_features", "run_id": red_night, "task_id": "build_features"},
    )
    assert "is not red" in green.text
    assert (
        "/operators/act/rerun"
        in login("op")
        .get("/operators/what-now", params={"dag_id": "refresh_features", "run_id": red_night})
        .text
    )
