from collections.abc import Mapping
from typing import Any

import pytest

from tests.dags.conftest import parse


def test_says_what_will_go_before_it_goes(dags: Mapping[str, Any]) -> None:
    tasks = dags["remove_expired"].task_dict
    assert tasks["list_expired"].downstream_task_ids == {"remove"}
    assert tasks["remove"].downstream_task_ids == set()


def test_runs_on_sundays_hours_after_the_nightly_and_never_for_the_past(dags: Mapping[str, Any]) -> None:
    timetable = dags["remove_expired"].timetable
    assert timetable.expression == "0 6 * * 0"
    assert timetable.run_immediately is False


def test_an_empty_setting_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_RETENTION_SCHEDULE", "")
    assert not parse().dags["remove_expired"].timetable.can_be_scheduled
