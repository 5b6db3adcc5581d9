"""Airflow in the tests: its own home and metadata, set before the first import of Airflow."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from creditrisk.settings import PROJECT_ROOT


def prepare() -> None:
    """Point Airflow at a folder of this test run, once."""
    if "CREDITRISK_TEST_AIRFLOW" in os.environ:
        return
    home = Path(tempfile.mkdtemp(prefix="creditrisk-airflow-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ.update(
        CREDITRISK_TEST_AIRFLOW=str(home),
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT_ROOT / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT_ROOT / "plugins"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
        AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
        AIRFLOW__API_AUTH__JWT_SECRET="x" * 64,
        AIRFLOW_CONN_SPARK_DEFAULT='{"conn_type": "spark", "host": "local[2]"}',
    )
