"""Airflow on this machine: its four parts as services, its metadata in the embedded Postgres."""

import json
import secrets
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from creditrisk.settings import PROJECT_ROOT, Settings
from local.environment import PYTHON, service
from local.processes import Service
from local.progress import StackError

COMPONENTS = {
    "airflow-scheduler": [
        "scheduler",
        "--skip-serve-logs",
    ],  # the log servers would listen on every interface
    "airflow-dag-processor": ["dag-processor"],
    "airflow-triggerer": ["triggerer", "--skip-serve-logs"],
}
API_SERVER = "airflow-api-server"
USERS = {"admin": "admin", "op": "op", "viewer": "viewer"}
"""Airflow's local logins and their roles; passwords are generated."""
_HEALTHY_SECONDS = 180
_PARALLEL_TASKS = 4


def services(settings: Settings) -> list[Service]:
    """Airflow's processes, in the order in which they are started."""
    return [service(settings, name) for name in (API_SERVER, *COMPONENTS)]


def start(settings: Settings, environment: Mapping[str, str]) -> None:
    """Bring the metadata database up to date and start what does not run yet.

    Raises:
        StackError: the migration failed.
    """
    if all(part.process() for part in services(settings)):
        return
    migrated = subprocess.run(
        [PYTHON, "-m", "airflow", "db", "migrate"],
        env=dict(environment),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if migrated.returncode != 0:
        last = (migrated.stderr or migrated.stdout).strip().splitlines()[-1:]
        raise StackError(f"Airflow's metadata could not be migrated: {''.join(last)}")
    address = ["--host", settings.bind_host, "--port", str(settings.airflow_port)]
    commands = {API_SERVER: ["api-server", *address], **COMPONENTS}
    for part in services(settings):
        port = settings.airflow_port if part.name == API_SERVER else None
        part.start([PYTHON, "-m", "airflow", *commands[part.name]], environment, PROJECT_ROOT, port)


def wait_until_healthy(settings: Settings) -> None:
    """Return once every part says that it is healthy.

    Raises:
        StackError: a part ended, or is not healthy in time.
    """
    url = f"{base_url(settings)}/api/v2/monitor/health"
    states: dict[str, str | None] = {}
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < deadline:
        for part in services(settings):
            if not part.process():
                raise StackError(f"{part.name} ended while starting; see {part.log}:\n{part.last_lines()}")
        try:
            states = {name: part["status"] for name, part in httpx.get(url, timeout=5).json().items()}
        except (httpx.HTTPError, ValueError):
            states = {}
        if states and set(states.values()) == {"healthy"}:
            return
        time.sleep(0.5)
    raise StackError(
        f"Airflow is not healthy after {_HEALTHY_SECONDS} s ({states or 'no answer'}); "
        f"see {settings.var_dir / 'log'}"
    )


def base_url(settings: Settings) -> str:
    """Where the UI and the API are."""
    return f"http://{settings.bind_host}:{settings.airflow_port}"


def passwords(settings: Settings) -> dict[str, str]:
    """Each login's password, generated when first asked for."""
    file = settings.var_dir / "airflow" / "passwords.json"
    if not file.exists():
        _write_private(file, json.dumps({user: secrets.token_urlsafe(12) for user in USERS}))
    known: dict[str, str] = json.loads(file.read_text())
    return known


def _jwt_secret(settings: Settings) -> str:
    file = settings.var_dir / "airflow" / "jwt_secret"
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(64))
    return file.read_text()


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)


def configuration(settings: Settings, metadata_url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Airflow's own settings, as environment variables on top of those that every service gets."""
    home = settings.var_dir / "airflow"
    passwords(settings)
    sections: dict[str, dict[str, object]] = {
        "CORE": {
            "DAGS_FOLDER": PROJECT_ROOT / "dags",
            "PLUGINS_FOLDER": PROJECT_ROOT / "plugins",
            "LOAD_EXAMPLES": False,
            "EXECUTOR": "LocalExecutor",
            "PARALLELISM": _PARALLEL_TASKS,
            "DEFAULT_TIMEZONE": settings.time_zone,
            "AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
            "EXECUTION_API_SERVER_URL": f"{base_url(settings)}/execution/",
        },
        "API": {
            "BASE_URL": base_url(settings),
            "WORKERS": 1,
            "INSTANCE_NAME": "creditrisk",  # without the market, which changes while it runs
        },
        "API_AUTH": {"JWT_SECRET": _jwt_secret(settings)},
        "EXECUTION_API": {"JWT_EXPIRATION_TIME": 24 * 3600},  # a token must outlive the longest task
        "DATABASE": {"SQL_ALCHEMY_CONN": metadata_url},
        "DAG_PROCESSOR": {"REFRESH_INTERVAL": 30, "MIN_FILE_PROCESS_INTERVAL": 30, "PARSING_PROCESSES": 1},
        "SCHEDULER": {"ENABLE_HEALTH_CHECK": False},
        "LOGGING": {"BASE_LOG_FOLDER": settings.var_dir / "log" / "tasks", "LOGGING_LEVEL": "INFO"},
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
    }
    own = {
        f"AIRFLOW__{section}__{name}": str(value)
        for section, pairs in sections.items()
        for name, value in pairs.items()
    }
    spark = json.dumps({"conn_type": "spark", "host": settings.spark_master})
    return {**environment, "AIRFLOW_HOME": str(home), "AIRFLOW_CONN_SPARK_DEFAULT": spark, **own}
