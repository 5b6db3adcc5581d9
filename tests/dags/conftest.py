from collections.abc import Mapping
from typing import Any

import pytest

from creditrisk.settings import PROJECT_ROOT
from tests.airflow_environment import prepare

prepare()


def parse() -> Any:
    """All our DAG files, parsed as Airflow's DAG processor does."""
    from airflow.dag_processing.dagbag import BundleDagBag

    folder = PROJECT_ROOT / "dags"
    return BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")


@pytest.fixture(scope="session")
def dag_bag() -> Any:
    return parse()


@pytest.fixture(scope="session")
def dags(dag_bag: Any) -> Mapping[str, Any]:
    return dict(dag_bag.dags)
