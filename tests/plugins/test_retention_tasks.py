"""What the tasks of ``remove_expired`` do, on a real store and a real lake, without a scheduler."""

import logging
from datetime import UTC, date, datetime

import pytest

from tests.airflow_environment import prepare

prepare()

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException  # noqa: E402

from creditrisk.settings import Settings  # noqa: E402
from plugins import retention_tasks  # noqa: E402
from tests.creditrisk.snapshot_factory import SnapshotFactory  # noqa: E402


@pytest.fixture
def old_snapshots(market_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four snapshots built long ago, in a market that tasks find in the environment."""
    database = market_settings.publisher_database_url
    assert database is not None
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(market_settings.var_dir))
    monkeypatch.setenv("CREDITRISK_MARKET", market_settings.market)
    monkeypatch.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", database.get_secret_value())
    factory = SnapshotFactory(market_settings)
    long_ago = datetime(2021, 1, 1, tzinfo=UTC)
    return [
        factory.write(date(2020, 12, day), range(1, 3), created_at=long_ago).snapshot
        for day in (28, 29, 30, 31)
    ]


def test_the_log_says_what_would_go_and_why_the_rest_stays(
    old_snapshots: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert retention_tasks.list_expired() == 1
    oldest, newest = old_snapshots[0], old_snapshots[-1]
    assert (
        f"goes   snapshot {oldest}: built on 2021-01-01, kept for 400 days, named by nothing that stays"
        in caplog.messages
    )
    assert f"stays  snapshot {newest}: one of the newest 3" in caplog.messages
    assert caplog.messages[-1] == "1 would go."


def test_removing_says_what_went_and_a_second_try_finds_it_done(
    old_snapshots: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert retention_tasks.remove(only_list=False) == 1
    assert caplog.messages[-2].startswith(f"removed snapshot {old_snapshots[0]}: built on")
    assert caplog.messages[-1] == "1 removed, 3 old enough and still needed."
    assert retention_tasks.remove(only_list=False) == 0


@pytest.mark.usefixtures("old_snapshots")
def test_the_list_alone_removes_nothing() -> None:
    with pytest.raises(AirflowSkipException, match="nothing was removed"):
        retention_tasks.remove(only_list=True)
    assert retention_tasks.list_expired() == 1


@pytest.mark.usefixtures("old_snapshots")
def test_a_missing_url_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDITRISK_PUBLISHER_DATABASE_URL")
    with pytest.raises(AirflowFailException, match="CREDITRISK_PUBLISHER_DATABASE_URL"):
        retention_tasks.list_expired()
