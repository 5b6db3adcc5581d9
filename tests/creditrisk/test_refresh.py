"""Judging and publishing as the nightly run does it."""

import shutil
from datetime import date

import pytest

from creditrisk.errors import ContractError, QualityGateFailed, SnapshotMissing, SnapshotNotPassed
from creditrisk.online_store import OnlineStore
from creditrisk.refresh import judge_snapshot, point_back, publish_snapshot
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId, Verdict
from tests.creditrisk.snapshot_factory import SnapshotFactory

MONDAY, TUESDAY, WEDNESDAY = (date(2020, 12, day) for day in (28, 29, 30))


@pytest.fixture
def snapshots(market_settings: Settings) -> SnapshotFactory:
    return SnapshotFactory(market_settings)


def test_a_snapshot_is_judged_against_the_one_published_before(snapshots: SnapshotFactory) -> None:
    settings = snapshots.settings
    ids = range(500)
    monday = snapshots.write(MONDAY, ids, verdict=None).snapshot
    first = judge_snapshot(settings, monday)
    assert (first.verdict, first.compared_with) == (Verdict.PASS, None)
    assert publish_snapshot(settings, monday).changed

    unpublished = snapshots.write(TUESDAY, ids, verdict=None).snapshot
    judge_snapshot(settings, unpublished)
    wednesday = snapshots.write(WEDNESDAY, ids, verdict=None).snapshot
    second = judge_snapshot(settings, wednesday)
    assert (second.verdict, second.compared_with) == (Verdict.PASS, monday)
    assert snapshots.catalog.quality(SnapshotId.parse(wednesday)) == second
    assert judge_snapshot(settings, monday).compared_with is None


def test_a_published_snapshot_that_the_lake_has_lost_is_passed_over_with_a_warning(
    snapshots: SnapshotFactory,
) -> None:
    settings = snapshots.settings
    monday, tuesday = (snapshots.write(day, range(500)).snapshot for day in (MONDAY, TUESDAY))
    for snapshot in (monday, tuesday):
        publish_snapshot(settings, snapshot)
    wednesday = snapshots.write(WEDNESDAY, range(100), verdict=None).snapshot
    lake = snapshots.catalog.lake.local_root
    assert lake is not None
    shutil.rmtree(lake / SnapshotId.parse(tuesday).folder)
    with pytest.raises(QualityGateFailed, match="There are 100 loans, 500 before"):
        judge_snapshot(settings, wednesday)

    shutil.rmtree(lake / SnapshotId.parse(monday).folder)
    report = judge_snapshot(settings, wednesday)
    assert (report.verdict, report.compared_with) == (Verdict.WARN, None)
    [lost] = [check for check in report.checks if check.name == "references lost"]
    assert lost.sentence == (
        f"Published before and no longer in the lake: {tuesday}, {monday}; compared with nothing. "
        "Restore the folder, or build the date again."
    )
    assert publish_snapshot(settings, wednesday).changed


def test_a_failed_gate_stops_before_anything_is_published(snapshots: SnapshotFactory) -> None:
    settings = snapshots.settings
    monday = snapshots.write(MONDAY, range(500)).snapshot
    publish_snapshot(settings, monday)
    shrunk = snapshots.write(TUESDAY, range(100), verdict=None).snapshot
    with pytest.raises(QualityGateFailed) as raised:
        judge_snapshot(settings, shrunk)
    assert str(raised.value).startswith(
        f"snapshot {shrunk}: not published, what is served stays. There are 100 loans"
    )
    assert "There are 100 customers, 500 before (-80.00%)." in str(raised.value)
    recorded = snapshots.catalog.quality(SnapshotId.parse(shrunk))
    assert recorded is not None
    assert recorded.verdict is Verdict.FAIL
    with pytest.raises(SnapshotNotPassed, match="refused by the quality gate: There are 100 loans"):
        publish_snapshot(settings, shrunk)
    assert OnlineStore(settings).served() == SnapshotId.parse(monday)


def test_a_warning_is_published(snapshots: SnapshotFactory) -> None:
    snapshot = snapshots.write(MONDAY, verdict=Verdict.WARN).snapshot
    assert publish_snapshot(snapshots.settings, snapshot).changed


def test_what_was_not_judged_is_not_published(snapshots: SnapshotFactory) -> None:
    snapshot = snapshots.write(MONDAY, verdict=None).snapshot
    with pytest.raises(SnapshotNotPassed, match="has not judged it yet"):
        publish_snapshot(snapshots.settings, snapshot)
    assert OnlineStore(snapshots.settings).served() is None


def test_what_is_not_there_is_neither_judged_nor_published(market_settings: Settings) -> None:
    for step in (judge_snapshot, publish_snapshot, point_back):
        with pytest.raises(SnapshotMissing):
            step(market_settings, "2020-12-28-ab12cd34ef56")


def test_features_of_another_contract_are_not_published(snapshots: SnapshotFactory) -> None:
    snapshot = snapshots.write(MONDAY, contract_fingerprint="0" * 16).snapshot
    with pytest.raises(ContractError, match="built for the features 0000000000000000, this code's are"):
        publish_snapshot(snapshots.settings, snapshot)


def test_features_of_another_contract_are_not_pointed_back_to(
    snapshots: SnapshotFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = snapshots.settings
    monday, tuesday = snapshots.write(MONDAY).snapshot, snapshots.write(TUESDAY).snapshot
    publish_snapshot(settings, monday)
    publish_snapshot(settings, tuesday)
    monkeypatch.setattr("creditrisk.refresh.contract_fingerprint", lambda: "f" * 16)  # newer code
    with pytest.raises(ContractError, match="this code's are ffffffffffffffff"):
        point_back(settings, monday)
    assert OnlineStore(settings).served() == SnapshotId.parse(tuesday)


def test_pointing_back_serves_the_snapshot_before(snapshots: SnapshotFactory) -> None:
    settings = snapshots.settings
    monday, tuesday = snapshots.write(MONDAY).snapshot, snapshots.write(TUESDAY).snapshot
    publish_snapshot(settings, monday)
    publish_snapshot(settings, tuesday)
    assert point_back(settings, monday).sentence == (
        f"Snapshot {monday} was published: 20 customers. It replaced {tuesday}."
    )
