"""What the tasks do, on a real store and a real registry, without a scheduler."""

import logging
from collections.abc import Mapping
from datetime import date

import pytest

from tests.airflow_environment import prepare

prepare()

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException  # noqa: E402

from creditrisk.online_store import OnlineStore  # noqa: E402
from creditrisk.release_ledger import ReleaseLedger  # noqa: E402
from creditrisk.settings import Settings  # noqa: E402
from creditrisk.snapshots import Verdict  # noqa: E402
from creditrisk.storage import Storage  # noqa: E402
from plugins import feature_tasks, model_tasks  # noqa: E402
from tests.creditrisk.snapshot_factory import SnapshotFactory  # noqa: E402
from tests.planted_versions import REFUSED, plant  # noqa: E402

RUN = "manual__2021-01-01T02:00:00+00:00"
EARLIER, LATER = date(2020, 12, 30), date(2020, 12, 31)
FIRST, SECOND, THIRD = "2020-12-29-aaaaaaaaaa", "2020-12-30-bbbbbbbbbb", "2020-12-31-cccccccccc"


@pytest.fixture
def settings(market_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a market of its own, as tasks find them: in the environment."""
    database = market_settings.publisher_database_url
    assert database is not None
    environment: Mapping[str, str] = {
        "CREDITRISK_VAR_DIR": str(market_settings.var_dir),
        "CREDITRISK_MARKET": market_settings.market,
        "CREDITRISK_PUBLISHER_DATABASE_URL": database.get_secret_value(),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return market_settings


def served(settings: Settings) -> str:
    snapshot = OnlineStore(settings).served()
    return str(snapshot)


def test_an_older_snapshot_ends_as_skipped_and_says_why(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    factory = SnapshotFactory(settings)
    older, newer = factory.write(EARLIER).snapshot, factory.write(LATER).snapshot
    assert feature_tasks.publish(newer, run_id=RUN, publish_older=False) == newer
    with caplog.at_level(logging.WARNING), pytest.raises(AirflowSkipException, match=newer):
        feature_tasks.publish(older, run_id=RUN, publish_older=False)
    assert caplog.messages[-1].startswith("Not published: ")
    assert served(settings) == newer
    assert feature_tasks.publish(older, run_id=RUN, publish_older=True) == older
    assert served(settings) == older


def test_publishing_again_changes_nothing_and_says_so(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = SnapshotFactory(settings).write(LATER).snapshot
    feature_tasks.publish(snapshot, run_id=RUN, publish_older=False)
    with caplog.at_level(logging.INFO):
        feature_tasks.publish(snapshot, run_id=RUN, publish_older=False)
    assert caplog.messages[-1] == f"Snapshot {snapshot} was being served already: nothing changed."


def test_a_snapshot_that_did_not_pass_fails_at_once(settings: Settings) -> None:
    snapshot = SnapshotFactory(settings).write(LATER, verdict=Verdict.FAIL).snapshot
    with pytest.raises(AirflowFailException, match="refused by the quality gate"):
        feature_tasks.publish(snapshot, run_id=RUN, publish_older=False)


def test_the_operator_s_name_and_reason_go_into_the_record(settings: Settings) -> None:
    registry = Storage(settings.registry_root)
    plant(registry, FIRST)
    release = model_tasks.promote(FIRST, by="ana", reason="first of all")
    assert (release.number, release.champion, release.by, release.reason) == (1, FIRST, "ana", "first of all")
    assert ReleaseLedger(registry).newest() == release
    assert model_tasks.promote(FIRST, by="ana", reason="a second try of the task") == release


def test_a_second_try_of_a_rollback_goes_back_no_further(settings: Settings) -> None:
    for version in (FIRST, SECOND, THIRD):
        plant(Storage(settings.registry_root), version)
        model_tasks.promote(version, by="ana", reason="next in line")
    target = model_tasks.rollback_target(None)
    assert target == SECOND
    once = model_tasks.roll_back(target, by="ana", reason="too many declines")
    assert model_tasks.roll_back(target, by="ana", reason="too many declines") == once
    assert (once.number, once.champion) == (4, SECOND)
    assert model_tasks.rollback_target(None) == FIRST


@pytest.mark.usefixtures("settings")
def test_there_is_nothing_to_roll_back_to_at_first() -> None:
    with pytest.raises(AirflowFailException, match="nothing has served"):
        model_tasks.rollback_target(None)


def test_a_refused_version_may_not_be_promoted(settings: Settings) -> None:
    plant(Storage(settings.registry_root), FIRST, gate=REFUSED)
    with pytest.raises(AirflowFailException, match=r"ROC AUC 0\.41 is below 0\.53"):
        model_tasks.require_promotable(FIRST)


@pytest.mark.usefixtures("settings")
def test_an_unknown_version_is_named() -> None:
    with pytest.raises(AirflowFailException, match=THIRD):
        model_tasks.require_promotable(THIRD)
