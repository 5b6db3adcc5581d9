"""Settings for training, one MLflow database a session, and one trained version to look at."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from creditrisk.settings import Settings, load_settings
from tests.training.made_loans import SMALL_FOREST, loans_table, make_loans, write_snapshot
from training.dataset import Loans
from training.train import judge, register, train

SettingsMaker = Callable[..., Settings]


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all: making one takes seconds. What MLflow warns itself of while it loads is its own."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=uri).search_experiments()
    return uri


@pytest.fixture
def settings_in(mlflow_uri: str) -> SettingsMaker:
    def make(folder: Path, **changes: Any) -> Settings:
        return load_settings(var_dir=folder, mlflow_tracking_uri=mlflow_uri, **changes)

    return make


@pytest.fixture
def settings(tmp_path: Path, settings_in: SettingsMaker) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture(scope="session")
def loans() -> Loans:
    """Made once: do not change it."""
    return make_loans()


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, mlflow_uri: str, loans: Loans
) -> tuple[Settings, str, str]:
    """Settings, snapshot and version of one trained, judged and registered model: do not change any of it."""
    settings = load_settings(var_dir=tmp_path_factory.mktemp("trained"), mlflow_tracking_uri=mlflow_uri)
    snapshot = write_snapshot(settings, loans_table(loans))
    version = train(settings, snapshot, SMALL_FOREST)
    judge(settings, version)
    register(settings, version)
    return settings, snapshot, version
