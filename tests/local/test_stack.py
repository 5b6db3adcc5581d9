import socket
from pathlib import Path

import pytest

from creditrisk.settings import Settings, load_settings
from local import stack
from local.postgres import Urls
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


def test_nothing_runs_in_a_new_folder_and_stopping_it_is_no_error(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, var_dir=tmp_path / "var")
    assert set(stack.status(settings).values()) == {"down"}
    assert stack.stop(settings) == []
