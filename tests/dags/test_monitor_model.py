from collections.abc import Mapping
from typing import Any

import pytest

from tests.dags.conftest import parse

ALONE = {"service_level", "drift", "incoming", "results", "report"}


def test_only_skew_waits_and_only_for_what_the_job_works_out_again(dags: Mapping[str, Any]) -> None:
    tasks = dags["monitor_model"].task_dict
    assert {task.task_id: task.downstream_task_ids for task in tasks.values()} == {
        **{name: set() for name in ALONE},
        "sample_decisions": {"recompute"},
        "recompute": {"skew"},
        "skew": set(),
    }
    assert {task.trigger_rule for task in tasks.values()} == {"all_success"}  # skipped with what it waits for


def test_the_job_is_told_which_decisions_were_sampled(dags: Mapping[str, Any]) -> None:
    recompute = dags["monitor_model"].task_dict["recompute"]
    assert recompute.template_fields == ("sample",)
    assert recompute.sample.operator.task_id == "sample_decisions"


def test_runs_every_morning_after_the_nightly_in_the_markets_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CREDITRISK_TIME_ZONE", "America/Mexico_City")
    timetable = parse().dags["monitor_model"].timetable
    assert timetable.expression == "0 5 * * *"
    assert timetable.timezone == "America/Mexico_City"
    assert timetable.run_immediately is False


def test_an_empty_setting_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_MONITORING_SCHEDULE", "")
    assert not parse().dags["monitor_model"].timetable.can_be_scheduled


def test_the_form_takes_a_day_and_nothing_else(dags: Mapping[str, Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    field = dags["monitor_model"].params.get_param("day")
    assert field.resolve("2021-01-10") == "2021-01-10"
    assert field.resolve(None) is None
    with pytest.raises(ParamValidationError):
        field.resolve("yesterday")
