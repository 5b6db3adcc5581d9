"""The one-off containers: Airflow's logins, and the database roles on a real server."""

import json
import os
import runpy
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psycopg2
import pytest
import yaml

from creditrisk.key_store import list_keys
from creditrisk.online_store import OnlineStore
from creditrisk.settings import PROJECT_ROOT, Settings
from local import postgres, postgres_programs

PSQL = postgres_programs.programs_folder() / "psql"
PASSWORDS = {
    "CREDITRISK_PUBLISHER_PASSWORD": "it's one",
    "CREDITRISK_SERVICE_PASSWORD": "two",
    "CREDITRISK_READER_PASSWORD": "three",
    "AIRFLOW_DATABASE_PASSWORD": "four",
}


@pytest.fixture
def write_logins() -> Callable[[Path], None]:
    script = runpy.run_path(str(PROJECT_ROOT / "docker" / "init.py"))
    return cast("Callable[[Path], None]", script["write_logins"])


def test_the_logins_are_written_for_their_owner_alone(
    write_logins: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("ADMIN", "OP", "VIEWER"):
        monkeypatch.setenv(f"AIRFLOW_{user}_PASSWORD", f"{user} secret")
    file = tmp_path / "logins" / "passwords.json"
    write_logins(file)
    write_logins(file)
    assert json.loads(file.read_text()) == {
        "admin": "ADMIN secret",
        "op": "OP secret",
        "viewer": "VIEWER secret",
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_missing_password_is_named(
    write_logins: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("ADMIN", "OP", "VIEWER"):
        monkeypatch.delenv(f"AIRFLOW_{user}_PASSWORD", raising=False)
    monkeypatch.setenv("AIRFLOW_OP_PASSWORD", "here")
    with pytest.raises(SystemExit, match="AIRFLOW_ADMIN_PASSWORD, AIRFLOW_VIEWER_PASSWORD: not set"):
        write_logins(tmp_path / "passwords.json")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server without our roles and databases: psql's environment for its superuser."""
    var_dir = tmp_path_factory.mktemp("bare") / "var"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(_env_file=None, var_dir=var_dir, postgres_port=port)
    postgres.start(settings)
    password = json.loads((var_dir / "postgres" / "passwords.json").read_text())[postgres.SUPERUSER]
    environment = {
        "PATH": os.environ["PATH"],
        "PGHOST": postgres.HOST,
        "PGPORT": str(port),
        "PGUSER": postgres.SUPERUSER,
        "PGPASSWORD": password,
    }
    roles = [*postgres.OWNERS.values(), *postgres.GUESTS]
    drop = [f"DROP DATABASE {name}" for name in postgres.OWNERS] + [f"DROP ROLE {role}" for role in roles]
    words = [word for statement in drop for word in ("-c", statement)]
    subprocess.run([PSQL, "-q", "-v", "ON_ERROR_STOP=1", *words], env=environment, check=True)
    yield environment
    postgres.stop(settings)


def apply_roles(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the compose file's own psql command."""
    service = yaml.safe_load((PROJECT_ROOT / "docker-compose.yaml").read_text())["services"]["postgres-roles"]
    options = [
        word.replace("/roles.sql", str(PROJECT_ROOT / "docker" / "roles.sql"))
        for word in service["entrypoint"][1:]
    ]
    return subprocess.run([PSQL, *options], env=environment, capture_output=True, text=True, check=False)


def test_the_roles_are_made_and_applying_them_again_only_sets_passwords(bare_server: dict[str, str]) -> None:
    for password in ("another", PASSWORDS["AIRFLOW_DATABASE_PASSWORD"]):
        done = apply_roles({**bare_server, **PASSWORDS, "AIRFLOW_DATABASE_PASSWORD": password})
        assert (done.returncode, done.stderr) == (0, "")
    roles = {
        "creditrisk_publisher": "it's one",
        "creditrisk_service": "two",
        "creditrisk_reader": "three",
        "airflow": "four",
    }
    assert set(roles) == {*postgres.OWNERS.values(), *postgres.GUESTS}
    for role, password in roles.items():
        address: dict[str, Any] = {
            "host": bare_server["PGHOST"],
            "port": bare_server["PGPORT"],
            "user": role,
            "password": password,
        }
        database = postgres.AIRFLOW_DATABASE if role == "airflow" else postgres.DATABASE
        with (
            closing(psycopg2.connect(dbname=database, **address)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT has_database_privilege(current_database(), 'CREATE')")
            assert cursor.fetchone() == (role in postgres.OWNERS.values(),)
        other = postgres.DATABASE if role == "airflow" else postgres.AIRFLOW_DATABASE
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(dbname=other, **address)


def test_a_password_that_is_not_set_stops_it(bare_server: dict[str, str]) -> None:
    without = {name: value for name, value in PASSWORDS.items() if name != "CREDITRISK_READER_PASSWORD"}
    done = apply_roles({**bare_server, **without})
    assert done.returncode == 3
    assert "syntax error" in done.stderr


def test_the_key_of_prometheus_is_made_once_and_anew_where_it_is_lost(
    market_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OnlineStore(market_settings).migrate()
    publisher = market_settings.publisher_database_url
    assert publisher is not None
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(market_settings.var_dir))
    monkeypatch.setenv("CREDITRISK_MARKET", market_settings.market)
    monkeypatch.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", publisher.get_secret_value())
    write_metrics_key = runpy.run_path(str(PROJECT_ROOT / "docker" / "init.py"))["write_metrics_key"]
    file = tmp_path / "key" / "metrics"
    write_metrics_key(file)
    first = file.read_text()
    write_metrics_key(file)
    assert file.read_text() == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o444  # Prometheus runs as a user of its own
    file.unlink()
    write_metrics_key(file)
    assert file.read_text() != first
    assert [(key.name, key.scopes, key.revoked_by) for key in list_keys(market_settings)] == [
        ("prometheus", ["metrics"], "docker/init.py"),
        ("prometheus", ["metrics"], None),
    ]
