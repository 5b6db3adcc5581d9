from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.dags.conftest import parse

TASKS = ["start_shadow", "shadow", "share_05", "share_25", "share_50", "approve", "promote"]


def test_shadow_then_each_share_then_an_approval_then_everybody(dags: Mapping[str, Any]) -> None:
    tasks = dags["release_model"].task_dict
    assert set(tasks) == {*TASKS, "settle"}
    for earlier, later in pairwise(TASKS):
        assert later in tasks[earlier].downstream_task_ids
        assert tasks[later].trigger_rule == "all_success"  # so nothing runs after one that did not go on
    assert tasks["approve"].downstream_task_ids == {"promote"}  # what a rejection skips


def test_settling_runs_however_the_run_ends(dags: Mapping[str, Any]) -> None:
    tasks = dags["release_model"].task_dict
    assert tasks["start_shadow"].is_setup
    assert tasks["settle"].is_teardown
    assert tasks["settle"].upstream_task_ids == {"start_shadow", "promote"}


def test_waiting_holds_no_worker_slot_and_ends(dags: Mapping[str, Any]) -> None:
    dag = dags["release_model"]
    steps = [dag.task_dict[name] for name in TASKS[1:5]]
    assert {step.reschedule for step in steps} == {True}
    assert {step.poke_interval for step in steps} == {300}
    assert {step.timeout for step in steps} == {timedelta(hours=49, minutes=10).total_seconds()}
    approve = dag.task_dict["approve"]
    assert (approve.defaults, approve.response_timeout) == (["Reject"], timedelta(hours=24))
    longest = sum((timedelta(seconds=step.timeout) for step in steps), approve.response_timeout)
    assert dag.dagrun_timeout > longest + timedelta(hours=12)  # a run that timed out would not settle


def test_steps_and_intervals_are_the_settings_and_the_approval_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CREDITRISK_CANARY__STEPS", "[0.01, 0.1]")
    monkeypatch.setenv("CREDITRISK_CANARY__JUDGE_INTERVAL_SECONDS", "2")
    monkeypatch.setenv("CREDITRISK_CANARY__REQUIRES_APPROVAL", "false")
    bag = parse()
    assert bag.import_errors == {}
    dag = bag.dags["release_model"]
    assert set(dag.task_dict) == {"start_shadow", "shadow", "share_01", "share_10", "promote", "settle"}
    assert dag.task_dict["share_10"].downstream_task_ids == {"promote"}
    shadow = dag.task_dict["shadow"]
    assert (shadow.poke_interval, shadow.reschedule) == (2, False)  # too short a wait to leave and come back
    assert shadow.execution_timeout.total_seconds() == shadow.timeout
    assert dag.params["steps"] == ["1%", "10%"]


def test_only_the_promotion_tells_others_of_a_release(dags: Mapping[str, Any]) -> None:
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dags["release_model"].tasks}
    assert {name for name, assets in outlets.items() if assets} == {"promote"}
    assert outlets["promote"] == ["releases"]


@pytest.mark.parametrize("steps", [["7%"], ["5%", "5%"], "5%", [0.05]])
def test_the_form_takes_only_steps_that_there_are(dags: Mapping[str, Any], steps: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    field = dags["release_model"].params.get_param("steps")
    assert field.resolve(["50%", "5%"]) == ["50%", "5%"]
    with pytest.raises(ParamValidationError):
        field.resolve(steps)
