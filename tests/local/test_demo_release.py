"""A release that is made to be looked at, through a real service: both versions score, the judge looks, the champion stays."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from creditrisk.key_store import list_keys
from creditrisk.refresh import publish_snapshot
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog
from creditrisk.storage import Storage
from local import demo_release
from local.demo_release import BY, DemoRelease, Length
from local.progress import Progress
from tests.creditrisk.published_market import ask
from tests.local.own_market import OwnMarket
from tests.serving.service_process import ServiceProcess, wait_until

SHARE, REQUESTS, LOOKS = 0.5, 40, 1


def test_a_second_version_challenges_and_the_first_serves_as_before(
    market_settings: Settings, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    market = OwnMarket((now - timedelta(days=1)).date(), now)
    canary = market_settings.canary.model_copy(update={"steps": (SHARE,)})
    gate = market_settings.model_gate.model_copy(update={"roc_auc_floor": 0.3, "champion_margin": 0.5})
    settings = market_settings.model_copy(update={"canary": canary, "model_gate": gate})
    market.make(settings)
    publish_snapshot(settings, str(SnapshotCatalog(Storage(settings.lake_root)).newest()))
    with ServiceProcess.started(settings, tmp_path / "service.log") as service:
        wait_until(lambda: service.get("/health/ready").status_code == 200)
        there = settings.model_copy(update={"api_port": service.port})
        said = DemoRelease(there, Length(LOOKS, REQUESTS, seed=5, with_report=False), Progress()).make()

    history = ReleaseLedger(Storage(settings.registry_root)).history()
    assert [(record.action, record.share, record.by) for record in history[1:]] == [
        ("challenge", 0.0, BY),
        ("grow", SHARE, BY),
        ("abort", 0.0, BY),
    ]
    assert {record.champion for record in history} == {market.version}
    assert history[-1].challenger is None
    assert "the judge's last word was: wait" in history[-1].reason  # of too few customers
    assert f"releases {history[1].number} to {history[-1].number}" in said[0]

    paired = ask(
        settings,
        "SELECT release, count(*)::int, count(DISTINCT arm)::int FROM {schema}.decisions "
        "WHERE champion_probability IS NOT NULL AND challenger_probability IS NOT NULL GROUP BY 1 ORDER BY 1",
        "reader",
    )
    assert paired == [(2, LOOKS * REQUESTS, 1), (3, LOOKS * REQUESTS, 2)]
    own = "(verdict->>'decisions')::int - (verdict->>'filled_up')::int"
    looks = f"SELECT release, count(*)::int, max({own}) FROM {{schema}}.looks GROUP BY 1 ORDER BY 1"
    assert ask(settings, looks, "reader") == [(2, LOOKS, LOOKS * REQUESTS), (3, LOOKS, LOOKS * REQUESTS)]
    assert [key.revoked_by for key in list_keys(settings) if key.name == BY] == [BY]
    arms = (
        "SELECT DISTINCT split_part(part, '/', 2) FROM {schema}.metrics WHERE metric = 'decisions' ORDER BY 1"
    )
    assert ask(settings, arms, "reader") == [("all",), ("challenger",), ("champion",)]


def test_a_market_that_is_not_the_samples_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDITRISK_MARKET", "mx")
    assert demo_release.main([]) == 1
    assert "market mx: its decisions may be real" in capsys.readouterr().err
