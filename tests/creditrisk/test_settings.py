"""Settings: where values come from, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from creditrisk.errors import SettingsError
from creditrisk.settings import Settings, file_url, load_settings


def test_places_follow_the_var_folder_and_the_market(tmp_path: Path) -> None:
    settings = load_settings(var_dir=tmp_path / "my var", market="br")
    assert settings.lake_root == f"file://{tmp_path}/my%20var/lake/br"
    assert settings.registry_root == f"file://{tmp_path}/my%20var/registry/br"
    assert settings.database_schema == "creditrisk_br"
    assert settings.mlflow_uri == f"sqlite:///{tmp_path}/my var/mlflow/mlflow.db"


@pytest.mark.parametrize(
    ("value", "folder"), [(None, "{}/var/spool/br"), ("", "{}/var/spool/br"), ("{}/other", "{}/other/br")]
)
def test_the_spool_is_a_markets_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, folder: str
) -> None:
    if value is not None:
        monkeypatch.setenv("CREDITRISK_SPOOL_DIR", value.format(tmp_path))
    settings = load_settings(var_dir=tmp_path / "var", market="br")
    assert str(settings.spool_folder) == folder.format(tmp_path)


def test_the_environment_beats_the_file_and_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(tmp_path))
    (tmp_path / "creditrisk.env").write_text("CREDITRISK_API_PORT=8100\nCREDITRISK_AIRFLOW_PORT=8180\n")
    monkeypatch.setenv("CREDITRISK_API_PORT", "8200")
    settings = load_settings()
    assert (settings.api_port, settings.airflow_port, settings.mlflow_port) == (8200, 8180, 5000)


def test_nested_limits_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_QUALITY__QUARANTINED_SHARE_FAIL", "0.2")
    settings = load_settings(var_dir=tmp_path)
    assert settings.quality.quarantined_share_fail == 0.2
    assert settings.quality.quarantined_share_warn == 0.01


def test_no_days_are_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_RETENTION__DECISIONS_DAYS", "")
    monkeypatch.setenv("CREDITRISK_RETENTION__SNAPSHOTS_DAYS", "30")
    kept = load_settings(var_dir=tmp_path).retention
    assert (kept.decisions_days, kept.snapshots_days, kept.quarantine_days) == (0, 30, 90)


def test_decisions_are_kept_longest_by_default(tmp_path: Path) -> None:
    kept = load_settings(var_dir=tmp_path).retention
    assert kept.decisions_days > max(kept.snapshots_days, kept.versions_days, kept.quarantine_days) > 0


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("CREDITRISK_API_PORT", "70000", "less than or equal to 65535"),
        ("CREDITRISK_DECLINE_SHARE", "1.5", "less than or equal to 1"),
        ("CREDITRISK_MARKET", "MX; drop", "should match pattern"),
        ("CREDITRISK_TIME_ZONE", "Mars/Olympus", "not an IANA time zone name"),
        ("CREDITRISK_LAKE_URL", "http://bucket", "neither a file:/// nor an s3:// URL"),
        ("CREDITRISK_RETENTION__DECISIONS_DAYS", "-1", "greater than or equal to 0"),
        ("CREDITRISK_QUALITY__NULL_SHARE_CHANGE_WARN", "lots", "valid number"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, rule: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=rule) as raised:
        load_settings(var_dir=tmp_path)
    assert variable in str(raised.value)


def test_a_password_shows_in_no_error_and_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_SERVICE_DATABASE_URL", "postgresql://service:hunter2@127.0.0.1/x")
    assert "hunter2" not in repr(load_settings(var_dir=tmp_path))
    monkeypatch.setenv("CREDITRISK_API_PORT", "many")
    with pytest.raises(SettingsError) as raised:
        load_settings(var_dir=tmp_path)
    assert "hunter2" not in str(raised.value)


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings: Settings = load_settings(var_dir=tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        settings.api_port = 1


def test_a_file_url_escapes_what_a_url_cannot_hold() -> None:
    assert file_url(Path("/data/a b%20c")) == "file:///data/a%20b%2520c"


@pytest.mark.parametrize(
    ("steps", "rule"),
    [
        ("[0.25, 0.05]", "each share must be greater than the one before"),
        ("[0.05, 0.05]", "each share must be greater than the one before"),
        ("[0.005]", "whole per cents"),
        ("[0, 0.5]", "greater than 0"),
        ("[0.5, 1]", "less than 1"),
        ("[]", "at least 1 item"),
    ],
)
def test_the_steps_of_a_release_grow_by_whole_per_cents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steps: str, rule: str
) -> None:
    monkeypatch.setenv("CREDITRISK_CANARY__STEPS", steps)
    with pytest.raises(SettingsError, match=f"CREDITRISK_CANARY__STEPS.*{rule}"):
        load_settings(var_dir=tmp_path)
