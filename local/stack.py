"""All services of one machine: started in order, found again, stopped."""

import subprocess
import time
from collections.abc import Callable

import httpx

from creditrisk.settings import PROJECT_ROOT, Settings, load_settings
from local import airflow, postgres, processes
from local.api_key import own_key
from local.environment import PYTHON, SERVING_PYTHON, process_environment, service
from local.java import java_home
from local.processes import Service, require_free_port
from local.progress import Progress, StackError
from serving.workers import worker_count

API = "api"
MLFLOW = "mlflow"
_ANSWER_SECONDS = 90


def start(settings: Settings, progress: Progress) -> Settings:
    """Start what does not run yet, and return the settings with what was generated for it.

    What runs stays on its ports, whatever the settings say now.

    Raises:
        StackError: a port is taken, Java is missing, or a service does not come up.
    """
    settings = as_started(settings)
    require_ports(settings)
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    settings.var_dir.chmod(0o700)  # people's loans are in it
    java = java_home(settings.var_dir / "java")
    environment = process_environment(settings, java)
    with progress.step("Class-data archive for Spark's JVM"):
        run_module("spark_jobs.class_data_archive", environment)
    with progress.step("Postgres"):
        urls = postgres.start(settings)
        changed = write_env_file(settings, urls)
    settings = as_started(load_settings(var_dir=settings.var_dir))
    own_key(settings)
    with progress.step("Airflow, MLflow and the prediction service"):
        airflow.start(settings, airflow.configuration(settings, urls.airflow, environment))
        mlflow = service(settings, MLFLOW)
        if not tracked_elsewhere(settings):
            command, folder = mlflow_command(settings), settings.var_dir / "mlflow"
            mlflow.start(command, environment, folder, settings.mlflow_port)
        api = service(settings, API)
        if changed:
            processes.stop([api])  # it reads its settings once
        api.start([SERVING_PYTHON, "-m", "serving"], environment, PROJECT_ROOT, settings.api_port)
        workers, reason = worker_count(settings.api_workers)
        progress.say(f"    the prediction service answers by {workers} workers: {reason}")
        wait_for_answer(api, f"http://{settings.bind_host}:{settings.api_port}/health/live")
        airflow.wait_until_healthy(settings)
        if not tracked_elsewhere(settings):
            wait_for_answer(mlflow, f"{mlflow_address(settings)}/health")
    return settings


def stop(settings: Settings) -> list[str]:
    """Stop every service, the database last; the names of those that ran."""
    others = [service(settings, API), service(settings, MLFLOW), *reversed(airflow.services(settings))]
    stopped = processes.stop(others)
    if postgres.is_running(settings):
        postgres.stop(settings)
        stopped.append("postgres")
    return stopped


def status(settings: Settings) -> dict[str, str]:
    """What is up, by name: ``up (process 123), http://…``, ``elsewhere, http://…`` or ``down``."""
    settings = as_started(settings)
    addresses = {
        API: f"http://{settings.bind_host}:{settings.api_port}/docs",
        MLFLOW: mlflow_address(settings),
        airflow.API_SERVER: airflow.base_url(settings),
    }
    states = {"postgres": f"up, port {settings.postgres_port}" if postgres.is_running(settings) else "down"}
    for each in (*airflow.services(settings), service(settings, MLFLOW), service(settings, API)):
        process = each.process()
        address = f", {addresses[each.name]}" if each.name in addresses else ""
        states[each.name] = f"up (process {process.pid}){address}" if process else "down"
    if tracked_elsewhere(settings):
        states[MLFLOW] = f"elsewhere, {mlflow_address(settings)}"
    return states


def as_started(settings: Settings) -> Settings:
    """The settings with the ports of what runs: the shell that started it may have named others than this one."""
    started = {
        "postgres_port": postgres.running_port(settings),
        "airflow_port": service(settings, airflow.API_SERVER).port(),
        "mlflow_port": service(settings, MLFLOW).port(),
        "api_port": service(settings, API).port(),
    }
    return settings.model_copy(update={name: port for name, port in started.items() if port})


def require_ports(settings: Settings) -> None:
    """Raise where a port that a service is to get is another's.

    Raises:
        StackError: names the port, the service and the setting to change.
    """
    running: dict[str, tuple[str, Callable[[], object], int]] = {
        "CREDITRISK_POSTGRES_PORT": ("Postgres", lambda: postgres.is_running(settings), settings.postgres_port),
        "CREDITRISK_AIRFLOW_PORT": (
            "Airflow", service(settings, airflow.API_SERVER).process, settings.airflow_port,
        ),
        "CREDITRISK_MLFLOW_PORT": ("MLflow", service(settings, MLFLOW).process, settings.mlflow_port),
        "CREDITRISK_API_PORT": ("the prediction service", service(settings, API).process, settings.api_port),
    }  # fmt: skip
    if tracked_elsewhere(settings):
        del running["CREDITRISK_MLFLOW_PORT"]
    for setting, (name, runs, port) in running.items():
        if not runs():
            require_free_port(settings.bind_host, port, name, setting)


def write_env_file(settings: Settings, urls: postgres.Urls) -> bool:
    """Write ``creditrisk.env`` for every process to read its settings from; whether it has changed."""
    file = settings.var_dir / "creditrisk.env"
    lines = [
        "# Written by the local stack. The environment wins over what stands here.",
        f"CREDITRISK_MARKET={settings.market}",
        f"CREDITRISK_PUBLISHER_DATABASE_URL={urls.publisher}",
        f"CREDITRISK_SERVICE_DATABASE_URL={urls.service}",
        f"CREDITRISK_READER_DATABASE_URL={urls.reader}",
        "",
    ]
    text = "\n".join(lines)
    if file.exists() and file.read_text() == text:
        return False
    file.touch(mode=0o600)
    file.write_text(text)
    return True


def tracked_elsewhere(settings: Settings) -> bool:
    """Whether training writes its runs to an MLflow server that is not this machine's to start."""
    return settings.mlflow_uri.startswith(("http://", "https://"))


def mlflow_address(settings: Settings) -> str:
    """Where the MLflow UI is."""
    if tracked_elsewhere(settings):
        return str(httpx.URL(settings.mlflow_uri).copy_with(userinfo=b""))
    return f"http://{settings.bind_host}:{settings.mlflow_port}"


def mlflow_command(settings: Settings) -> list[str]:
    """How the MLflow UI is started, on the same runs that training writes."""
    folder = settings.var_dir / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    return [
        PYTHON, "-m", "mlflow", "server", "--host", settings.bind_host, "--port", str(settings.mlflow_port),
        "--workers", "1", "--backend-store-uri", settings.mlflow_uri,
        "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip


def run_module(module: str, environment: dict[str, str]) -> None:
    """Run one of our commands to its end.

    Raises:
        StackError: it failed; the message is its last line.
    """
    ended = subprocess.run(
        [PYTHON, "-m", module], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise StackError(f"python -m {module} failed: {''.join(ended.stderr.strip().splitlines()[-1:])}")


def wait_for_answer(awaited: Service, url: str) -> None:
    """Return once a URL answers 200.

    Raises:
        StackError: the service ended, or does not answer in time; the message has the end of its log.
    """
    deadline = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < deadline:
        if not awaited.process():
            break
        try:
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise StackError(f"{awaited.name} does not answer on {url}; see {awaited.log}:\n{awaited.last_lines()}")
