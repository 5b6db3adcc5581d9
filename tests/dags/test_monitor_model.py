from collections.abc import Mapping
from typing import Any

import pytest

from tests.dags.conftest import parse

TASKS = {"service_level", "drift", "incoming", "skew", "results", "report"}


def test_nothing_waits_for_another_measure(dags: Mapping[str, Any]) -> None:
    tasks = dags["monitor_model"].task_dict
    assert set(tasks) == TASKS
    assert {task.task_id: task.downstream_task_ids for task in tasks.values()} == {
        name: set() for name in TASKS
    }


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
