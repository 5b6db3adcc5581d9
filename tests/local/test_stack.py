import os
import socket
import sys
from pathlib import Path

import pytest

from creditrisk.settings import Settings, load_settings
from local import stack
from local.environment import service
from local.postgres import Urls
from local.processes import stop
from local.progress import StackError

URLS = Urls(
    publisher="postgresql://p:one@h/c",
    service="postgresql://s:two@h/c",
    reader="postgresql://r:three@h/c",
    airflow="",
)


def test_the_settings_file_is_private_and_is_what_load_settings_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CREDITRISK_MARKET", "CREDITRISK_PUBLISHER_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(_env_file=None, var_dir=tmp_path, market="sample")
    assert stack.write_env_file(settings, URLS) is True
    assert stack.write_env_file(settings, URLS) is False
    assert (tmp_path / "creditrisk.env").stat().st_mode & 0o077 == 0
    read = load_settings(var_dir=tmp_path)
    assert read.market == "sample"
    assert read.publisher_database_url is not None
    assert read.publisher_database_url.get_secret_value() == URLS.publisher
    assert stack.write_env_file(settings.model_copy(update={"market": "mx"}), URLS) is True
    assert load_settings(var_dir=tmp_path).market == "mx"


@pytest.mark.parametrize("port", ["api_port", "airflow_port", "mlflow_port", "postgres_port"])
def test_a_taken_port_stops_everything_before_anything_starts(tmp_path: Path, port: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = {"api_port": 1, "airflow_port": 1, "mlflow_port": 1, "postgres_port": 1}
        for name in free:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                free[name] = probe.getsockname()[1]
        ports = {**free, port: taken.getsockname()[1]}
        settings = Settings(_env_file=None, var_dir=tmp_path / "var", **ports)
        with pytest.raises(StackError, match=f"set CREDITRISK_{port.upper()} to a free port"):
            stack.require_ports(settings)
        stack.require_ports(settings.model_copy(update=free))
    assert not (tmp_path / "var").exists()


def test_what_runs_is_found_on_the_port_that_it_was_started_on(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, var_dir=tmp_path / "var", api_port=8123)
    other_shell = settings.model_copy(update={"api_port": 8000})
    assert stack.as_started(other_shell) == other_shell
    api = service(settings, stack.API)
    sleeping = [sys.executable, "-c", "import time; time.sleep(300)"]
    api.start(sleeping, os.environ, tmp_path, settings.api_port)
    try:
        assert stack.as_started(other_shell) == settings
        assert stack.status(other_shell)["api"].endswith(", http://127.0.0.1:8123/docs")
        stack.require_ports(other_shell.model_copy(update={"api_port": 1}))  # it needs none any more
    finally:
        stop([api])
    assert stack.as_started(other_shell) == other_shell


def test_a_tracking_server_elsewhere_is_shown_without_its_password_and_not_started(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None, var_dir=tmp_path / "var", MLFLOW_TRACKING_URI="https://me:secret@runs.example/ml"
    )
    assert stack.tracked_elsewhere(settings)
    assert stack.status(settings)["mlflow"] == "elsewhere, https://runs.example/ml"
    here = Settings(_env_file=None, var_dir=tmp_path / "var", MLFLOW_TRACKING_URI="sqlite:////srv/runs.db")
    assert not stack.tracked_elsewhere(here)
    assert "sqlite:////srv/runs.db" in stack.mlflow_command(here)


def test_nothing_runs_in_a_new_folder_and_stopping_it_is_no_error(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, var_dir=tmp_path / "var")
    assert set(stack.status(settings).values()) == {"down"}
    assert stack.stop(settings) == []
