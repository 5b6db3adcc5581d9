"""The embedded server: made once, started twice, stopped, found again after a crash."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from creditrisk.errors import StoreUnavailable
from creditrisk.settings import Settings
from local import postgres


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(_env_file=None, var_dir=tmp_path / "var é space", postgres_port=free_port())
    yield settings
    postgres.stop(settings)


def answer(url: str, question: str) -> object:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
        assert row is not None
        return row[0]


def server_pid(settings: Settings) -> int:
    return int((settings.var_dir / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])


def test_every_role_connects_with_its_own_password(settings: Settings) -> None:
    urls = postgres.start(settings)
    assert answer(urls.publisher, "SELECT current_user || '@' || current_database()") == (
        "creditrisk_publisher@creditrisk"
    )
    assert answer(urls.service, "SELECT current_user") == "creditrisk_service"
    assert answer(urls.reader, "SELECT current_user") == "creditrisk_reader"
    airflow = urls.airflow.replace("postgresql+psycopg2://", "postgresql://")
    assert answer(airflow, "SELECT current_user || '@' || current_database()") == "airflow@airflow"
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(urls.service.replace("creditrisk_service:", "creditrisk_publisher:"))
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(airflow.removesuffix("/airflow") + "/creditrisk")


def test_a_second_start_changes_nothing_and_data_survives_a_stop(settings: Settings) -> None:
    urls = postgres.start(settings)
    with closing(psycopg2.connect(urls.publisher)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA kept; CREATE TABLE kept.answers AS SELECT 42 AS answer")
    pid = server_pid(settings)
    assert postgres.start(settings) == urls
    assert server_pid(settings) == pid
    postgres.stop(settings)
    assert not postgres.is_running(settings)
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        psycopg2.connect(urls.publisher)
    postgres.stop(settings)
    assert postgres.start(settings) == urls
    assert answer(urls.publisher, "SELECT answer FROM kept.answers") == 42


def test_it_is_found_dead_after_a_crash_and_starts_again(settings: Settings) -> None:
    urls = postgres.start(settings)
    children = psutil.Process(server_pid(settings)).children()
    os.kill(server_pid(settings), signal.SIGKILL)
    psutil.wait_procs(children, timeout=10)
    deadline = time.monotonic() + 10
    while postgres.is_running(settings) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not postgres.is_running(settings)
    assert postgres.start(settings) == urls
    assert answer(urls.publisher, "SELECT 1") == 1


def test_another_process_with_the_dead_servers_number_is_left_alone(settings: Settings) -> None:
    postgres.start(settings)
    pid_file = settings.var_dir / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.stop(settings)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        assert not postgres.is_running(settings)
        postgres.stop(settings)
        postgres.start(settings)
        assert postgres.is_running(settings)
        assert bystander.poll() is None
        bystander.kill()


def test_a_taken_port_is_one_clear_line(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.postgres_port))
        other.listen()
        with pytest.raises(StoreUnavailable) as raised:
            postgres.start(settings)
    assert str(raised.value) == (
        f"port {settings.postgres_port} on 127.0.0.1 is taken: stop what listens there, "
        "or set CREDITRISK_POSTGRES_PORT"
    )
    postgres.start(settings)


def test_a_running_server_is_not_moved_to_another_port(settings: Settings) -> None:
    postgres.start(settings)
    moved = settings.model_copy(update={"postgres_port": free_port()})
    with pytest.raises(StoreUnavailable, match=f"on port {settings.postgres_port} and not"):
        postgres.start(moved)


def test_it_listens_on_loopback_alone_and_keeps_its_files_private(settings: Settings) -> None:
    urls = postgres.start(settings)
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(server_pid(settings)).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    folder = settings.var_dir / "postgres"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "passwords.json").stat().st_mode) == 0o600
    assert not (folder / "superuser-password").exists()
    assert not list(Path("/tmp").glob(f".s.PGSQL.{settings.postgres_port}*"))  # noqa: S108 - PostgreSQL's default
    log = (folder / "log.txt").read_text()
    passwords = json.loads((folder / "passwords.json").read_text())
    assert len(set(passwords.values())) == 5
    for password in passwords.values():
        assert password not in log
        assert password not in repr(urls)


def test_an_interrupted_making_is_made_again(settings: Settings) -> None:
    half_made = settings.var_dir / "postgres" / "data.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    urls = postgres.start(settings)
    assert answer(urls.publisher, "SELECT 1") == 1
    assert not half_made.exists()


def test_many_starts_at_once_make_one_server(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as starters:
        urls = list(starters.map(lambda _: postgres.start(settings), range(4)))
    assert urls[1:] == urls[:-1]
    assert answer(urls[0].publisher, "SELECT 1") == 1


def test_lost_passwords_are_one_clear_line(settings: Settings) -> None:
    postgres.start(settings)
    kept = settings.var_dir / "postgres" / "passwords.json"
    kept.unlink()
    with pytest.raises(StoreUnavailable, match=r"passwords\.json does not open it: .*authentication failed"):
        postgres.start(settings)


def test_a_folder_that_cannot_be_written_is_one_clear_line(settings: Settings) -> None:
    settings.var_dir.mkdir(parents=True)
    (settings.var_dir / "postgres").write_text("a file")
    with pytest.raises(StoreUnavailable, match="cannot be written by this user: File exists"):
        postgres.start(settings)
    (settings.var_dir / "postgres").unlink()


_START_AND_STOP = """
import os, sys, psycopg2
from pathlib import Path
from creditrisk.settings import Settings
from local import postgres
settings = Settings(_env_file=None, var_dir=Path(sys.argv[1]), postgres_port=int(sys.argv[2]))
urls = postgres.start(settings)
postgres.start(settings)
psycopg2.connect(urls.publisher).close()
print(os.geteuid(), postgres.is_running(settings))
postgres.stop(settings)
print(os.geteuid(), postgres.is_running(settings))
"""


def start_and_stop(var_dir: Path, words: list[str], **environment: str) -> tuple[str, str]:
    """What a process says that is started by some words, and starts and stops a server of its own."""
    done = subprocess.run(
        [*words, sys.executable, "-c", _START_AND_STOP, str(var_dir), str(free_port())],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests do not run as root then")
def test_it_runs_as_a_plain_user_too(tmp_path: Path) -> None:
    """Root's own way is what the other tests take; here a process that is user 1000 does the same."""
    words = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    assert start_and_stop(tmp_path / "a plain user", words) == ("1000 True\n1000 False\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, with what is left to it in a container")
def test_it_runs_as_root_without_user_namespaces_too(tmp_path: Path) -> None:
    """As in a container: root has lost most of its capabilities, and may make no namespace."""
    refusing = tmp_path / "refusing" / "unshare"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(0o755)
    kept = ("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap")
    bounds = ",".join(("-all", *(f"+{name}" for name in kept)))
    path = f"{refusing.parent}{os.pathsep}{os.environ['PATH']}"
    var_dir = tmp_path / "for root alone"
    var_dir.mkdir(mode=0o700)
    said = start_and_stop(var_dir, ["setpriv", f"--bounding-set={bounds}"], PATH=path)
    assert said == ("0 True\n0 False\n", "")
    assert (var_dir / "postgres" / "data").stat().st_uid != 0
