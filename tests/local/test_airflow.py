import json
from pathlib import Path

import pytest

from creditrisk.settings import Settings
from local.airflow import COMPONENTS, USERS, configuration, passwords
from local.environment import process_environment


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None, var_dir=tmp_path / "a var", airflow_port=18080, time_zone="America/Mexico_City"
    )


def test_passwords_are_generated_once_and_private(settings: Settings) -> None:
    first = passwords(settings)
    assert set(first) == set(USERS)
    assert len({*first.values()}) == len(USERS)
    assert min(map(len, first.values())) >= 12
    assert passwords(settings) == first
    assert (settings.var_dir / "airflow" / "passwords.json").stat().st_mode & 0o077 == 0


def test_airflow_stays_on_its_port_and_in_its_folder(settings: Settings) -> None:
    own = configuration(settings, "postgresql+psycopg2://airflow:x@127.0.0.1/airflow", {})
    assert own["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18080/execution/"
    assert own["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:18080"
    assert len(own["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert own["AIRFLOW__CORE__DEFAULT_TIMEZONE"] == "America/Mexico_City"
    assert json.loads(own["AIRFLOW_CONN_SPARK_DEFAULT"]) == {"conn_type": "spark", "host": "local[*]"}
    for name in (
        "AIRFLOW_HOME",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    ):
        assert own[name].startswith(str(settings.var_dir))
    assert (
        configuration(settings, "", {})["AIRFLOW__API_AUTH__JWT_SECRET"]
        == own["AIRFLOW__API_AUTH__JWT_SECRET"]
    )


def test_no_log_server_listens() -> None:
    assert "--skip-serve-logs" in COMPONENTS["airflow-scheduler"]
    assert "--skip-serve-logs" in COMPONENTS["airflow-triggerer"]


def test_processes_inherit_no_other_installation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AIRFLOW_HOME",
        "AIRFLOW__CORE__EXECUTOR",
        "SPARK_HOME",
        "PYSPARK_PYTHON",
        "PYTHONHOME",
        "VIRTUAL_ENV",
    ):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("CREDITRISK_DECLINE_SHARE", "0.2")
    own = process_environment(settings, Path("/java home"))
    assert "/elsewhere" not in own.values()
    assert own["CREDITRISK_DECLINE_SHARE"] == "0.2"
    assert own["JAVA_HOME"] == "/java home"
    for name in ("TMPDIR", "SPARK_LOCAL_DIRS", "MPLCONFIGDIR", "CREDITRISK_VAR_DIR"):
        assert own[name].startswith(str(settings.var_dir)), name
