"""What every process of the local stack is started with, and where its files are."""

import os
from pathlib import Path

from creditrisk.settings import PROJECT_ROOT, Settings
from local.processes import Service
from spark_jobs.configuration import pyspark_home

PYTHON = str(PROJECT_ROOT / ".venv" / "bin" / "python")
SERVING_PYTHON = str(PROJECT_ROOT / ".venv-serving" / "bin" / "python")
_NOT_INHERITED = ("AIRFLOW", "PYTHON", "PYSPARK", "SPARK", "VIRTUAL_ENV", "CONDA", "MLFLOW_")


def process_environment(settings: Settings, java: Path) -> dict[str, str]:
    """The caller's environment without other installations' settings, and with every scratch folder under ``var``."""
    scratch = settings.var_dir / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    folders = (PROJECT_ROOT / ".venv" / "bin", java / "bin")
    tracking = {"MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri} if settings.mlflow_tracking_uri else {}
    return {
        **kept,
        **tracking,
        "PATH": os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(PROJECT_ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYSPARK_PYTHON": PYTHON,
        "PYSPARK_DRIVER_PYTHON": PYTHON,
        "JAVA_HOME": str(java),
        "SPARK_HOME": pyspark_home(),  # pyspark's own way of finding it breaks on a path with a space
        "SPARK_LOCAL_DIRS": str(scratch),
        "SPARK_LOCAL_IP": settings.bind_host,
        "SPARK_LAUNCHER_OPTS": "-XX:-UsePerfData",  # else each JVM leaves a file in /tmp
        "SPARK_SUBMIT_OPTS": f'-XX:-UsePerfData -Djava.io.tmpdir="{scratch}"',
        "TMPDIR": str(scratch),
        "MPLCONFIGDIR": str(settings.var_dir / "cache" / "matplotlib"),
        "CREDITRISK_VAR_DIR": str(settings.var_dir),
        "CREDITRISK_API_PORT": str(settings.api_port),  # the one in use, which this shell may not know of
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # four more processes, for nothing that is used here
        "DO_NOT_TRACK": "true",
    }


def service(settings: Settings, name: str) -> Service:
    """A service of the stack by name."""
    return Service(name, settings.var_dir / "run", settings.var_dir / "log")
