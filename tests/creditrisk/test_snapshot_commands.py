"""The snapshot commands, as an operator types them."""

from datetime import date

import pytest

from creditrisk.__main__ import main
from creditrisk.settings import Settings
from tests.conftest import free_port
from tests.creditrisk.snapshot_factory import SnapshotFactory

MONDAY, TUESDAY = date(2020, 12, 28), date(2020, 12, 29)


@pytest.fixture
def snapshots(market_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> SnapshotFactory:
    """A market that the environment points to, as an operator's shell does."""
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(market_settings.var_dir))
    monkeypatch.setenv("CREDITRISK_MARKET", market_settings.market)
    for role in ("publisher", "service", "reader"):
        url = getattr(market_settings, f"{role}_database_url").get_secret_value()
        monkeypatch.setenv(f"CREDITRISK_{role.upper()}_DATABASE_URL", url)
    return SnapshotFactory(market_settings)


def test_from_an_empty_market_to_pointing_back(
    snapshots: SnapshotFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str, code: int = 0) -> str:
        assert main(words) == code
        out, err = capsys.readouterr()
        assert bool(err) == bool(code)
        return out + err

    applied = said("migrate").splitlines()
    assert applied[0] == "Applied 0001_features.sql."
    assert applied == sorted(applied)
    assert said("migrate") == "The schema is up to date.\n"
    assert "yet: run refresh_features first" in said("snapshots")

    monday = snapshots.write(MONDAY, range(300), verdict=None).snapshot
    tuesday = snapshots.write(TUESDAY, range(300), verdict=None).snapshot
    assert said("publish", monday, code=1) == (
        f"creditrisk: snapshot {monday}: the quality gate has not judged it yet\n"
    )
    assert said("quality", monday).startswith(f"Snapshot {monday}: PASS\ncompared with nothing (first run)\n")
    assert said("publish", monday) == f"Snapshot {monday} was published: 300 customers.\n"
    assert f"compared with {monday}" in said("quality", tuesday)
    said("publish", tuesday)
    assert "is older than" in said("publish", monday, code=1)

    listed = said("snapshots").splitlines()
    assert [line.split()[0] for line in listed] == [monday, tuesday]
    assert "in force for its date  quality: pass  last served from" in listed[0]
    assert listed[0].endswith("kept: can be pointed back to")
    assert "SERVED since" in listed[1]

    assert said("point-back", monday) == (
        f"Snapshot {monday} was published: 300 customers. It replaced {tuesday}.\n"
    )
    switches = said("snapshots", "--switches").splitlines()
    assert [line.split("  ")[1].strip() for line in switches] == ["publish", "publish", "point back"]
    assert said("publish", tuesday).startswith(f"Snapshot {tuesday} was published")
    assert said("publish", monday, "--publish-older").startswith(f"Snapshot {monday} was published")


def test_a_failed_gate_shows_every_check_and_fails(
    snapshots: SnapshotFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = snapshots.write(MONDAY, range(300), verdict=None, newest_loan_date=date(2020, 6, 1)).snapshot
    assert main(["quality", bad]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"Snapshot {bad}: FAIL\n")
    assert out.splitlines()[3].startswith("FAIL        newest loan age")
    assert len(out.splitlines()) == 22
    assert err.startswith(
        f"creditrisk: snapshot {bad}: not published, what is served stays. The newest loan is of"
    )


def test_snapshots_are_listed_without_a_store(
    snapshots: SnapshotFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDITRISK_PUBLISHER_DATABASE_URL")
    snapshot = snapshots.write(MONDAY).snapshot
    assert main(["snapshots"]) == 0
    said, listed = capsys.readouterr().out.splitlines()
    assert said.startswith("(What is served is not known. CREDITRISK_PUBLISHER_DATABASE_URL: not set")
    assert listed == f"{snapshot}  in force for its date  quality: pass  published: not known"


def test_snapshots_are_listed_while_the_store_is_down(
    snapshots: SnapshotFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", f"postgresql://p:x@127.0.0.1:{free_port()}/c")
    snapshot = snapshots.write(MONDAY).snapshot
    assert main(["snapshots"]) == 0
    said, listed = capsys.readouterr().out.splitlines()
    assert said.startswith("(What is served is not known. Postgres (publisher): ")
    assert said.endswith("Connection refused)")
    assert listed == f"{snapshot}  in force for its date  quality: pass  published: not known"
    assert main(["snapshots", "--switches"]) == 1
