"""The embedded PostgreSQL of one machine: made, started and stopped here, reachable on 127.0.0.1 only.

Everything it writes, passwords included, is under ``<var_dir>/postgres``; it opens no socket but its port.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import extensions, sql

from creditrisk.errors import StoreUnavailable
from creditrisk.settings import Settings
from local.postgres_programs import run_program

HOST = "127.0.0.1"
SUPERUSER = "postgres"
DATABASE, AIRFLOW_DATABASE = "creditrisk", "airflow"
OWNERS = {DATABASE: "creditrisk_publisher", AIRFLOW_DATABASE: "airflow"}
"""The role that owns each database, and may make schemas in it."""
GUESTS = ("creditrisk_service", "creditrisk_reader")
"""Roles that may connect to the features' database and see what the publisher grants them."""

_START_SECONDS = 60
_LOG_LIMIT_BYTES = 10_000_000
_SERVER_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, not in a /dev/shm that a container keeps small
    "max_connections": "100",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class Urls:
    """Where each role connects. They hold passwords, so they are never shown."""

    publisher: str = field(repr=False)
    service: str = field(repr=False)
    reader: str = field(repr=False)
    airflow: str = field(repr=False)
    """For SQLAlchemy, with the driver named."""


def start(settings: Settings) -> Urls:
    """Start the server, making it first where there is none; nothing changes where it is up already.

    Raises:
        StoreUnavailable: it cannot start; the one line says why, a taken port for instance.
    """
    folder = _folder(settings)
    with _only_one(folder):
        passwords = _passwords(folder)
        _make_cluster(folder, passwords)
        port = _running_port(folder)
        if port is None:
            port = _start_server(folder, settings.postgres_port)
        elif port != settings.postgres_port:
            raise StoreUnavailable(
                f"PostgreSQL is up already, on port {port} and not {settings.postgres_port}: stop it first"
            )
        _make_roles(folder, port, passwords)
    return Urls(
        publisher=_url("postgresql", OWNERS[DATABASE], passwords, port, DATABASE),
        service=_url("postgresql", GUESTS[0], passwords, port, DATABASE),
        reader=_url("postgresql", GUESTS[1], passwords, port, DATABASE),
        airflow=_url("postgresql+psycopg2", OWNERS[AIRFLOW_DATABASE], passwords, port, AIRFLOW_DATABASE),
    )


def stop(settings: Settings) -> None:
    """Stop the server: sessions are cut, and what is committed is on disk. Nothing happens where it is down."""
    folder = _folder(settings)
    if not folder.is_dir():
        return
    with _only_one(folder):
        if _running_port(folder) is not None:
            run_program(
                "pg_ctl", "stop", "-D", str(folder / "data"), "-m", "fast", "-w", "-t", str(_START_SECONDS)
            )


def is_running(settings: Settings) -> bool:
    """Whether this folder's server is up."""
    return running_port(settings) is not None


def running_port(settings: Settings) -> int | None:
    """The port of this folder's server, whatever the settings say; None where it is down."""
    return _running_port(_folder(settings))


def _folder(settings: Settings) -> Path:
    return settings.var_dir.absolute() / "postgres"


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time make, start or stop the server; the folder is made where it is missing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = (folder / "lock").open("w")
    except OSError as error:
        raise StoreUnavailable(f"{folder}: cannot be written by this user: {error.strerror}") from None
    with opened as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _passwords(folder: Path) -> dict[str, str]:
    """Each role's password, generated when first asked for and kept in a file that its owner alone reads."""
    kept = folder / "passwords.json"
    if not kept.exists():
        roles = (SUPERUSER, *OWNERS.values(), *GUESTS)
        unfinished = folder / "passwords.new"
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({role: secrets.token_urlsafe(24) for role in roles}, file, indent=2)
        unfinished.rename(kept)
    passwords: dict[str, str] = json.loads(kept.read_text())
    return passwords


def _make_cluster(folder: Path, passwords: dict[str, str]) -> None:
    """Make the data folder, whole or not at all."""
    if (folder / "data").exists():
        return
    unfinished = folder / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file = folder / "superuser-password"
    password_file.touch(mode=0o600)
    try:
        password_file.write_text(passwords[SUPERUSER])
        run_program(
            "initdb",
            *("-D", str(unfinished), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        )
    finally:
        password_file.unlink()
    unfinished.rename(folder / "data")


def _running_port(folder: Path) -> int | None:
    """The port of this folder's server, or None where it is down."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        return int(lines[3]) if _is_our_server(int(lines[0]), folder / "data") else None
    except (OSError, IndexError, ValueError):
        return None


def _is_our_server(pid: int, data: Path) -> bool:
    """Whether a process is a server on this data folder: after a crash its number may be somebody else's."""
    try:
        return str(data) in psutil.Process(pid).cmdline()  # its folder of work can be hidden even from root
    except (psutil.Error, OSError):
        return False


def _start_server(folder: Path, port: int) -> int:
    _require_free(port)
    (folder / "data" / "postmaster.pid").unlink(missing_ok=True)  # left by a crash: no server of ours is up
    log = folder / "log.txt"
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.rename(folder / "log.old.txt")
    already_logged = log.stat().st_size if log.exists() else 0
    options = " ".join(f"-c {name}={value}" for name, value in _SERVER_SETTINGS.items())
    try:
        run_program(
            "pg_ctl",
            *("start", "-D", str(folder / "data"), "-l", str(log), "-w", "-t", str(_START_SECONDS)),
            *("-o", f"-p {port} {options}"),
        )
    except StoreUnavailable:
        said = log.read_bytes()[already_logged:].decode(errors="replace") if log.exists() else ""
        fatal = [line for line in said.splitlines() if "FATAL" in line or "could not" in line]
        raise StoreUnavailable(
            f"PostgreSQL did not start: {fatal[-1] if fatal else 'no reason given'} (log: {log})"
        ) from None
    return port


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise StoreUnavailable(
                f"port {port} on {HOST} is taken: stop what listens there, or set CREDITRISK_POSTGRES_PORT"
            ) from None


def _connect(folder: Path, port: int, passwords: dict[str, str]) -> extensions.connection:
    try:
        return psycopg2.connect(
            host=HOST, port=port, user=SUPERUSER, password=passwords[SUPERUSER], dbname="postgres"
        )
    except psycopg2.OperationalError as error:
        raise StoreUnavailable(
            f"PostgreSQL is up, but {folder / 'passwords.json'} does not open it: "
            f"{str(error).strip().splitlines()[0]}"
        ) from None


def _make_roles(folder: Path, port: int, passwords: dict[str, str]) -> None:
    """Make the roles and databases that are missing."""
    with closing(_connect(folder, port, passwords)) as connection:
        connection.autocommit = True  # a database is not made within a transaction
        with connection.cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_roles")
            roles = {name for (name,) in cursor.fetchall()}
            for role in {*OWNERS.values(), *GUESTS} - roles:
                verifier = extensions.encrypt_password(passwords[role], role, connection, "scram-sha-256")
                cursor.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(role)), (verifier,)
                )
            cursor.execute("SELECT datname FROM pg_database")
            databases = {name for (name,) in cursor.fetchall()}
            for database, owner in OWNERS.items():
                if database not in databases:
                    cursor.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(
                            sql.Identifier(database), sql.Identifier(owner)
                        )
                    )
                cursor.execute(
                    sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
                )
            for guest in GUESTS:
                cursor.execute(
                    sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                        sql.Identifier(DATABASE), sql.Identifier(guest)
                    )
                )


def _url(scheme: str, role: str, passwords: dict[str, str], port: int, database: str) -> str:
    return f"{scheme}://{quote(role)}:{quote(passwords[role], safe='')}@{HOST}:{port}/{database}"
