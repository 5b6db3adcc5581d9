"""A night's row, as its tasks write it: in a real store, without a scheduler."""

import logging
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from tests.airflow_environment import prepare

prepare()

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException  # noqa: E402

from creditrisk.nights import Night, recent_nights  # noqa: E402
from creditrisk.online_store import OnlineStore  # noqa: E402
from creditrisk.settings import Settings  # noqa: E402
from plugins import feature_tasks, night_notes  # noqa: E402
from tests.conftest import free_port  # noqa: E402
from tests.creditrisk.published_market import ask  # noqa: E402
from tests.creditrisk.snapshot_factory import SnapshotFactory  # noqa: E402

RUN = "scheduled__2021-01-01T02:00:00+00:00"
EARLIER, LATER = date(2020, 12, 30), date(2020, 12, 31)


@pytest.fixture
def settings(market_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a market whose schema is made, as tasks find them: in the environment."""
    database = market_settings.publisher_database_url
    assert database is not None
    environment: Mapping[str, str] = {
        "CREDITRISK_VAR_DIR": str(market_settings.var_dir),
        "CREDITRISK_MARKET": market_settings.market,
        "CREDITRISK_PUBLISHER_DATABASE_URL": database.get_secret_value(),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    OnlineStore(market_settings).migrate()
    return market_settings


def nights(settings: Settings) -> list[Night]:
    """As the operators' page reads them."""
    assert settings.reader_database_url is not None
    with closing(psycopg2.connect(settings.reader_database_url.get_secret_value())) as connection:
        return recent_nights(connection, settings.database_schema)


def night(settings: Settings) -> Night:
    (only,) = nights(settings)
    return only


def context(as_of: str = "2020-12-31", **changes: Any) -> dict[str, Any]:
    """What Airflow gives a task's callback."""
    run = SimpleNamespace(run_id=RUN, logical_date=None, run_after=datetime(2021, 1, 1, 2, tzinfo=UTC))
    task = SimpleNamespace(task_id="quality_gate")
    return {"dag_run": run, "params": {"as_of": as_of}, "ti": task, "run_id": RUN, **changes}


def test_a_good_night_is_running_judged_and_published(settings: Settings) -> None:
    manifest = SnapshotFactory(settings).write(LATER)
    night_notes.note_begun(LATER, RUN)
    begun = night(settings)
    assert (begun.as_of, begun.run_id, begun.outcome, begun.snapshot) == (LATER, RUN, "running", None)

    feature_tasks.judge(manifest.snapshot, run_id=RUN)
    judged = night(settings)
    counts = manifest.counts
    assert (judged.outcome, judged.ended_at, judged.snapshot) == ("running", None, manifest.snapshot)
    assert (judged.rows_in, judged.kept, judged.quarantined, judged.later) == (
        counts.rows_in,
        counts.kept,
        counts.quarantined,
        counts.later,
    )
    assert judged.verdict in ("pass", "warn")

    feature_tasks.publish(manifest.snapshot, run_id=RUN, publish_older=False)
    ended = night(settings)
    assert (ended.outcome, ended.started_at) == ("published", begun.started_at)
    assert ended.why == f"Snapshot {manifest.snapshot} was published: 20 customers."
    assert ended.ended_at is not None
    assert ended.seconds == pytest.approx((ended.ended_at - ended.started_at).total_seconds())


def test_a_snapshot_older_than_what_is_served_ends_its_night_as_skipped(settings: Settings) -> None:
    factory = SnapshotFactory(settings)
    older, newer = factory.write(EARLIER).snapshot, factory.write(LATER).snapshot
    feature_tasks.publish(newer, run_id=RUN, publish_older=False)
    with pytest.raises(AirflowSkipException):
        feature_tasks.publish(older, run_id="by hand", publish_older=False)
    by_run = {row.run_id: row for row in nights(settings)}
    assert (by_run["by hand"].outcome, by_run["by hand"].as_of) == ("skipped", EARLIER)
    assert f"is older than {newer}" in (by_run["by hand"].why or "")
    assert by_run[RUN].outcome == "published"


def test_a_refused_snapshot_fails_its_night_with_the_gates_words(settings: Settings) -> None:
    factory = SnapshotFactory(settings)
    feature_tasks.publish(factory.write(EARLIER).snapshot, run_id="before", publish_older=False)
    small = factory.write(LATER, [1]).snapshot
    with pytest.raises(AirflowFailException) as raised:
        feature_tasks.judge(small, run_id=RUN)
    assert (nights(settings)[0].outcome, nights(settings)[0].verdict) == ("running", "fail")
    night_notes.note_task_failed(context(exception=raised.value))
    failed = nights(settings)[0]
    assert (failed.outcome, failed.snapshot, failed.verdict) == ("failed", small, "fail")
    assert (failed.why or "").startswith(f"quality_gate: snapshot {small}: not published")


def test_a_run_that_nobody_ended_fails_by_its_id_alone_and_an_ended_one_keeps_its_word(
    settings: Settings,
) -> None:
    night_notes.note_begun(LATER, RUN)
    night_notes.note_run_failed({"run_id": RUN, "reason": "timed_out"})
    failed = night(settings)
    assert (failed.outcome, failed.ended_at is not None) == ("failed", True)
    assert failed.why == "the run ended without a word of its task: timed out"
    night_notes.note_run_failed({"run_id": RUN, "reason": "task_failure"})
    assert night(settings) == failed


@pytest.mark.parametrize(("state", "outcome"), [("failed", "failed"), ("success", "skipped")])
def test_a_run_that_was_marked_by_hand_ends_at_the_next_look(
    settings: Settings, state: str, outcome: str
) -> None:
    def count_runs(*, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        assert dag_id == "refresh_features"
        return [known.get(run_id) in states for run_id in run_ids].count(True)

    known = {RUN: "running", "another": state}  # and nothing of a run that was generated
    for run_id in (RUN, "another", "generated"):
        night_notes.note_begun(LATER, run_id)
    night_notes.note_ended_elsewhere(count_runs)
    rows = {row.run_id: row for row in nights(settings)}
    assert {run_id: row.outcome for run_id, row in rows.items()} == {
        RUN: "running", "another": outcome, "generated": "running",
    }  # fmt: skip
    assert rows["another"].ended_at is not None
    assert rows["another"].why == (
        f"Airflow has the run as {state}, and none of its tasks said so: it was marked by hand"
    )
    known[RUN] = state
    night_notes.note_ended_elsewhere(count_runs)
    assert {row.outcome for row in nights(settings)} == {outcome, "running"}


def test_a_run_that_is_cleared_begins_anew(settings: Settings) -> None:
    snapshot = SnapshotFactory(settings).write(LATER).snapshot
    night_notes.note_begun(LATER, RUN)
    night_notes.note_task_failed(context(exception=OSError("the disk is away")))
    failed = night(settings)
    assert failed.why == "quality_gate: the disk is away"
    night_notes.note_begun_again(snapshot, RUN)
    again = night(settings)
    assert (again.outcome, again.ended_at, again.why) == ("running", None, None)
    assert again.started_at > failed.started_at


def test_a_run_that_builds_anew_has_no_verdict_of_what_it_built_before(settings: Settings) -> None:
    snapshot = SnapshotFactory(settings).write(LATER).snapshot
    night_notes.note_begun(LATER, RUN)
    night_notes.note_judged(snapshot, RUN)
    night_notes.note_begun_again(snapshot, RUN)
    assert (night(settings).snapshot, night(settings).verdict) == (snapshot, "pass")
    night_notes.note_begun(LATER, RUN)
    again = night(settings)
    assert (again.snapshot, again.rows_in, again.verdict) == (None, None, None)


def test_a_note_that_cannot_be_written_is_logged_and_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = SnapshotFactory(settings).write(LATER).snapshot
    ask(settings, "DROP TABLE {schema}.nights", "publisher")
    with caplog.at_level(logging.INFO):
        feature_tasks.judge(snapshot, run_id=RUN)
        feature_tasks.publish(snapshot, run_id=RUN, publish_older=False)
    assert caplog.messages[-1] == f"Snapshot {snapshot} was published: 20 customers."
    told = [message for message in caplog.messages if message.startswith("Not noted")]
    assert len(told) == 4
    assert "no table of nights yet: run python -m creditrisk migrate" in told[0]

    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    monkeypatch.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", nowhere)
    caplog.clear()
    night_notes.note_begun(LATER, RUN)
    night_notes.note_begun_again("not the id of a snapshot", RUN)
    night_notes.note_task_failed({})
    night_notes.note_run_failed({"run_id": RUN})
    kinds = [message.split(": ")[1] for message in caplog.messages]
    assert kinds == ["StoreUnavailable", "SnapshotMissing", "KeyError", "StoreUnavailable"]


def test_a_row_that_somebody_holds_makes_no_night_wait_long(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("creditrisk.nights._WAIT_MILLISECONDS", 200)
    assert settings.publisher_database_url is not None
    with closing(psycopg2.connect(settings.publisher_database_url.get_secret_value())) as holder:
        with holder.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {settings.database_schema}.nights")
        night_notes.note_begun(LATER, RUN)
    assert "canceling statement due to statement timeout" in caplog.messages[-1]
