from collections.abc import Mapping
from typing import Any

import pytest

from tests.dags.conftest import parse


def test_builds_then_judges_then_publishes(dags: Mapping[str, Any]) -> None:
    tasks = dags["refresh_features"].task_dict
    assert tasks["build_features"].downstream_task_ids == {"quality_gate"}
    assert tasks["quality_gate"].downstream_task_ids == {"publish"}
    assert tasks["publish"].downstream_task_ids == set()


def test_only_publishing_tells_others_of_new_features(dags: Mapping[str, Any]) -> None:
    outlets = {
        task.task_id: [asset.name for asset in task.outlets] for task in dags["refresh_features"].tasks
    }
    assert outlets == {"build_features": [], "quality_gate": [], "publish": ["published_features"]}


def test_runs_at_two_in_the_markets_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_TIME_ZONE", "America/Mexico_City")
    timetable = parse().dags["refresh_features"].timetable
    assert timetable.expression == "0 2 * * *"
    assert timetable.timezone == "America/Mexico_City"


@pytest.mark.parametrize(
    ("setting", "dag_id"),
    [("CREDITRISK_NIGHTLY_SCHEDULE", "refresh_features"), ("CREDITRISK_TRAINING_SCHEDULE", "train_model")],
)
def test_an_empty_setting_switches_a_schedule_off(
    monkeypatch: pytest.MonkeyPatch, setting: str, dag_id: str
) -> None:
    monkeypatch.setenv(setting, "")
    bag = parse()
    assert bag.import_errors == {}
    assert not bag.dags[dag_id].timetable.can_be_scheduled


def test_unpausing_starts_nothing_that_is_past(dags: Mapping[str, Any]) -> None:
    for dag_id in ("refresh_features", "train_model"):
        assert dags[dag_id].start_date is None
        assert dags[dag_id].timetable.run_immediately is False


def test_a_night_that_fails_says_so_in_its_row(dags: Mapping[str, Any]) -> None:
    from creditrisk import nights
    from plugins.night_notes import note_run_failed, note_task_failed

    dag = dags["refresh_features"]
    assert {callback for task in dag.tasks for callback in task.on_failure_callback} == {note_task_failed}
    assert dag.on_failure_callback == note_run_failed
    assert dag.dagrun_timeout == nights._LONGEST
