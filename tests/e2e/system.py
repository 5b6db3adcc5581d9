"""The whole system in a folder of its own, as ``make run`` brings it up, and what the tests ask of it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg2

from creditrisk.registry import ModelRegistry
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import PROJECT_ROOT, Settings, load_settings
from creditrisk.snapshots import SnapshotCatalog
from creditrisk.storage import Storage
from local import airflow
from local.airflow_client import AirflowClient
from local.api_key import HEADER, key_file

PORTS = (
    "CREDITRISK_API_PORT",
    "CREDITRISK_AIRFLOW_PORT",
    "CREDITRISK_MLFLOW_PORT",
    "CREDITRISK_POSTGRES_PORT",
)


@dataclass(frozen=True)
class System:
    """A running system and the loans that it was started with."""

    environment: dict[str, str]
    loans: Path
    newest: date
    output: str
    """What ``make run`` printed."""

    @property
    def var_dir(self) -> Path:
        return Path(self.environment["CREDITRISK_VAR_DIR"])

    @property
    def settings(self) -> Settings:
        ports = {name.removeprefix("CREDITRISK_").lower(): int(self.environment[name]) for name in PORTS}
        return load_settings(var_dir=self.var_dir, **ports)

    @property
    def catalog(self) -> SnapshotCatalog:
        return SnapshotCatalog(Storage(self.settings.lake_root))

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(Storage(self.settings.registry_root))

    @property
    def ledger(self) -> ReleaseLedger:
        return ReleaseLedger(Storage(self.settings.registry_root))

    @contextmanager
    def login(self, user: str = "op") -> Iterator[AirflowClient]:
        with AirflowClient(
            airflow.base_url(self.settings), user, airflow.passwords(self.settings)[user]
        ) as client:
            yield client

    def run_dag(self, dag_id: str, form: dict[str, Any], seconds: float = 600) -> tuple[str, str]:
        """Run a DAG by hand; the run's id and how it ended."""
        with self.login() as client:
            run_id = client.trigger(dag_id, form)
            return run_id, client.wait(dag_id, run_id, seconds)

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        with self.login() as client:
            return {name: task["state"] for name, task in client.tasks(dag_id, run_id).items()}

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        with self.login() as client:
            tries = client.tasks(dag_id, run_id)[task_id]["try_number"]
            return "\n".join(client.log(dag_id, run_id, task_id, tries))

    @property
    def key(self) -> str:
        """For everything the service does."""
        return key_file(self.settings).read_text().strip()

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return httpx.request(
            method,
            f"http://127.0.0.1:{self.settings.api_port}{path}",
            headers={HEADER: self.key},
            timeout=10,
            **arguments,
        )

    def served(self) -> tuple[str, str, object]:
        """The pointer: snapshot, table, and when it was switched."""
        url = self.settings.publisher_database_url
        assert url is not None
        with closing(psycopg2.connect(url.get_secret_value())) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"SELECT snapshot, table_name, switched_at FROM {self.settings.database_schema}.current_snapshot"
            )
            row: tuple[str, str, object] = cursor.fetchone()  # type: ignore[assignment]
        return row

    def query(self, question: str) -> list[tuple[Any, ...]]:
        """Ask the store as its reader; ``{schema}`` is the market's."""
        url = self.settings.reader_database_url
        assert url is not None
        with closing(psycopg2.connect(url.get_secret_value())) as connection, connection.cursor() as cursor:
            cursor.execute(question.replace("{schema}", self.settings.database_schema))
            return cursor.fetchall()

    def wait_for_model(self, version: str) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = self.ask("GET", "/model")
            if answer.is_success and answer.json()["version"] == version:
                return
            time.sleep(0.2)
        raise AssertionError(f"{version} is not served within 10 s: {answer.text}")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
    """Return once a condition holds, looked at fifty times a second; fail where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s: {what}"
        time.sleep(0.02)


def spark_processes(system: System) -> list[psutil.Process]:
    """The processes of this system's feature job: spark-submit's shell and launcher, then the JVM and its Python driver."""
    found = []
    for process in psutil.process_iter():
        try:
            # The folder stands in no command line as it is: in the driver's its spaces are %20.
            if any(
                word.endswith("build_features.py") for word in process.cmdline()
            ) and process.environ().get("CREDITRISK_VAR_DIR") == str(system.var_dir):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def freeze_build(system: System, as_of: date) -> None:
    """Stop the JVM of a date's build as soon as it writes: however fast the machine, it is in the middle of its work."""
    staging = system.var_dir / "lake" / system.settings.market / "staging"

    def is_writing() -> bool:
        return any(staging.glob(f"{as_of}-*"))

    wait_until(is_writing, f"the build of {as_of} is writing")
    jvm, driver = sorted(spark_processes(system), key=psutil.Process.create_time)
    jvm.suspend()
    assert (jvm.name(), driver.ppid()) == ("java", jvm.pid)
    assert is_writing()


@contextmanager
def held_table(system: System, name: str) -> Iterator[Callable[[], bool]]:
    """Lock a table of the store, so that whoever publishes or judges waits for it in the middle of its work.

    Yields what tells whether somebody waits.
    """
    settings = system.settings
    assert settings.publisher_database_url is not None
    url = settings.publisher_database_url.get_secret_value()
    with closing(psycopg2.connect(url)) as holder, closing(psycopg2.connect(url)) as watcher:
        watcher.autocommit = True
        with holder.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {settings.database_schema}.{name} IN ACCESS EXCLUSIVE MODE")

        def somebody_waits() -> bool:
            with watcher.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE application_name = 'creditrisk publisher' AND wait_event_type = 'Lock'"
                )
                found: tuple[int] = cursor.fetchone()  # type: ignore[assignment]
            return found[0] > 0

        yield somebody_waits


@contextmanager
def without_watch(client: AirflowClient) -> Iterator[None]:
    """Keep the watch, which reads what is published too, from being the one that waits for a table."""
    pause = partial(client.request, "PATCH", "/dags/watch")
    assert pause(json={"is_paused": True}).is_success
    try:
        running = {"state": ["queued", "running"]}
        wait_until(
            lambda: client.request("GET", "/dags/watch/dagRuns", params=running).json()["total_entries"] == 0,
            "no look of the watch is going on",
        )
        yield
    finally:
        assert pause(json={"is_paused": False}).is_success


def kill_task(client: AirflowClient, dag_id: str, run_id: str, task_id: str) -> None:
    """Kill the process that runs a task, and return once Airflow knows."""
    psutil.Process(client.tasks(dag_id, run_id)[task_id]["pid"]).kill()
    wait_until(
        lambda: client.tasks(dag_id, run_id)[task_id]["state"] != "running", f"{task_id} is known to be gone"
    )


def clear(client: AirflowClient, dag_id: str, run_id: str, *task_ids: str) -> None:
    """Have tasks of a run done again at once, as an operator does; all of them where none is named."""
    form = {"dry_run": False, "dag_run_id": run_id, "only_failed": False}
    if task_ids:
        form["task_ids"] = task_ids
    answer = client.request("POST", f"/dags/{dag_id}/clearTaskInstances", json=form)
    assert answer.is_success, answer.text


def processes_of(var_dir: Path) -> list[str]:
    """Command lines of whatever still runs with this folder for its files."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("CREDITRISK_VAR_DIR") == str(var_dir)
            words = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if process.pid != os.getpid() and (mine or str(var_dir) in words):
            found.append(words)
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def command(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """One ``python -m local`` command of a system."""
    return python(environment, "-m", "local", *words)


def python(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """Python with a system's environment."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
