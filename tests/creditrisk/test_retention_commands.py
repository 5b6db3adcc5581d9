from datetime import UTC, date, datetime

import pytest

from creditrisk.__main__ import main
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from tests.creditrisk.snapshot_factory import SnapshotFactory


def test_a_dry_run_lists_and_a_run_removes(
    market_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = market_settings.publisher_database_url
    assert database is not None
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(market_settings.var_dir))
    monkeypatch.setenv("CREDITRISK_MARKET", market_settings.market)
    monkeypatch.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", database.get_secret_value())
    factory = SnapshotFactory(market_settings)
    oldest, *_ = (
        factory.write(date(2020, 12, day), range(1, 3), created_at=datetime(2021, 1, 1, tzinfo=UTC)).snapshot
        for day in (28, 29, 30, 31)
    )
    assert main(["retain", "--dry-run"]) == 0
    listed = capsys.readouterr().out
    assert listed.splitlines()[0].startswith(
        f"goes   snapshot {oldest}: built on 2021-01-01, kept for 400 days"
    )
    assert SnapshotCatalog(factory.catalog.lake).exists(SnapshotId.parse(oldest))
    assert main(["retain"]) == 0
    assert capsys.readouterr().out == listed
    assert not SnapshotCatalog(factory.catalog.lake).exists(SnapshotId.parse(oldest))
