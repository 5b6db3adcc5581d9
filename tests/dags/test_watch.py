from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from plugins.watch_tasks import (
    note_failure,
    note_no_promotion,
    note_no_release,
    note_release_run_failure,
    note_run_failure,
    note_run_success,
    note_skip,
    note_success,
)
from tests.dags.conftest import parse

TOLD = ("train_model", "roll_back_model", "remove_expired", "monitor_model", "abort_release")


def test_looks_every_five_minutes_from_the_start_on(dags: Mapping[str, Any]) -> None:
    dag = dags["watch"]
    assert dag.timetable.expression == "*/5 * * * *"
    assert dag.is_paused_upon_creation is False
    assert list(dag.task_dict) == ["watch"]
    assert dag.task_dict["watch"].execution_timeout <= timedelta(minutes=5)


def test_an_empty_setting_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_ALERTS__WATCH_SCHEDULE", "")
    assert not parse().dags["watch"].timetable.can_be_scheduled


@pytest.mark.parametrize("dag_id", TOLD)
def test_every_task_tells_the_watch_how_it_went(dags: Mapping[str, Any], dag_id: str) -> None:
    for task in dags[dag_id].tasks:
        assert list(task.on_failure_callback) == [note_failure], task.task_id
        assert list(task.on_success_callback) == [note_success], task.task_id
        # One that removes nothing, as only the list was asked for, says nothing of what it could not remove.
        only_listing = (dag_id, task.task_id) == ("remove_expired", "remove")
        assert list(task.on_skipped_callback) == [note_skip] * (not only_listing), task.task_id


@pytest.mark.parametrize("dag_id", TOLD)
def test_every_run_does_too_as_a_killed_task_says_nothing(dags: Mapping[str, Any], dag_id: str) -> None:
    assert dags[dag_id].on_failure_callback == note_run_failure
    assert dags[dag_id].on_success_callback == note_run_success


def test_of_a_release_its_beginning_and_its_settling_do_as_an_abort_is_told_by_itself(
    dags: Mapping[str, Any],
) -> None:
    dag = dags["release_model"]
    told = {task.task_id: list(task.on_failure_callback) for task in dag.tasks if task.on_failure_callback}
    assert told == {"start_shadow": [note_no_release], "settle": [note_failure]}
    over = {task.task_id: list(task.on_success_callback) for task in dag.tasks if task.on_success_callback}
    assert over == {"settle": [note_success]}
    assert dag.on_failure_callback == note_release_run_failure


def test_a_promotion_is_told_once_whichever_task_fails(dags: Mapping[str, Any]) -> None:
    dag = dags["promote_model"]
    told = {task.task_id: list(task.on_failure_callback) for task in dag.tasks}
    assert told == {"check": [note_no_promotion], "promote": [note_no_promotion]}
    assert dag.on_failure_callback == note_no_promotion


def test_the_watch_tells_nobody_of_itself(dags: Mapping[str, Any]) -> None:
    assert not dags["watch"].task_dict["watch"].on_failure_callback
