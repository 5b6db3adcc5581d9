"""What the tasks of ``monitor_model`` do, on a real store, without a scheduler."""

import logging
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tests.airflow_environment import prepare

prepare()

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException  # noqa: E402

from creditrisk.metric_store import MetricStore  # noqa: E402
from creditrisk.recomputation import sample_of  # noqa: E402
from creditrisk.settings import Settings  # noqa: E402
from creditrisk.storage import Storage  # noqa: E402
from plugins import monitor_tasks  # noqa: E402
from tests.logged_decisions import decision, log  # noqa: E402

DAY = date(2021, 1, 10)
RUN = SimpleNamespace(
    logical_date=datetime(2021, 1, 11, 5, tzinfo=UTC), run_after=datetime(2021, 1, 11, 5, tzinfo=UTC)
)
FORM: dict[str, Any] = {"day": None}


@pytest.fixture
def settings(market_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a market with two decisions, as tasks find them: in the environment."""
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(market_settings.var_dir))
    monkeypatch.setenv("CREDITRISK_MARKET", market_settings.market)
    for role in ("PUBLISHER", "READER"):
        url = getattr(market_settings, f"{role.lower()}_database_url")
        monkeypatch.setenv(f"CREDITRISK_{role}_DATABASE_URL", url.get_secret_value())
    log(market_settings, [decision(1), decision(2)])
    return market_settings


def test_a_run_measures_the_day_before_and_its_log_says_what_was_found(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        number = monitor_tasks.measure("drift", FORM, RUN)
    found = MetricStore(settings).between(DAY, DAY)
    assert len(found) == number
    assert caplog.messages[-1] == f"drift of 2021-01-10: {number} numbers."
    assert any("decisions of day/all: 2 decisions on 2 customers." in line for line in caplog.messages)


def test_the_form_names_any_other_day(settings: Settings) -> None:
    monitor_tasks.measure("service_level", {"day": "2021-01-08"}, RUN)
    days = {each.day for each in MetricStore(settings).between(date(2021, 1, 1), DAY)}
    assert days == {date(2021, 1, 8)}


def test_each_subject_and_the_results_can_be_measured(settings: Settings) -> None:
    for name in ("service_level", "drift", "incoming", "skew"):
        assert monitor_tasks.measure(name, FORM, RUN) > 0
    assert monitor_tasks.measure_results(FORM, RUN) >= 0
    assert len(MetricStore(settings).between(DAY, DAY)) > 50


def test_the_sampled_decisions_are_named_by_a_key_alone(settings: Settings) -> None:
    key = monitor_tasks.sample_decisions(FORM, RUN)
    sample = sample_of(Storage(settings.lake_root), key)
    assert sample.day == DAY
    assert sample.customers == {decision(1).snapshot: [1, 2]}
    assert len(sample.decisions) == 2


def test_without_decisions_the_job_has_nothing_to_do_and_the_day_says_so(settings: Settings) -> None:
    day = date(2021, 1, 8)
    with pytest.raises(AirflowSkipException, match="no decisions on 2021-01-08"):
        monitor_tasks.sample_decisions({"day": str(day)}, RUN)
    (kept,) = MetricStore(settings).between(day, day)
    assert (kept.measure.metric, kept.measure.words) == ("skew_rows", "Not judged: no decisions.")
    assert Storage(settings.lake_root).keys("reports") == []


@pytest.mark.usefixtures("settings")
def test_nothing_to_draw_ends_as_skipped() -> None:
    with pytest.raises(AirflowSkipException, match="no report of 2021-01-10"):
        monitor_tasks.report(FORM, RUN)


@pytest.mark.usefixtures("settings")
def test_a_missing_setting_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDITRISK_READER_DATABASE_URL")
    with pytest.raises(AirflowFailException, match="CREDITRISK_READER_DATABASE_URL"):
        monitor_tasks.measure("drift", FORM, RUN)
