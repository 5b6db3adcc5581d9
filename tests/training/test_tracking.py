"""Each version is one MLflow run; a tracking server that is down loses no model."""

import logging
import time
from typing import Any

import pytest

from creditrisk.registry import ModelRegistry
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from tests.training.made_loans import SMALL_FOREST, loans_table, write_snapshot
from training.dataset import Loans
from training.train import judge, register, train

Trained = tuple[Settings, str, str]


def runs_of(settings: Settings, version: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=settings.mlflow_uri)
    experiment = client.get_experiment_by_name("creditrisk_mx")
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], f"tags.`creditrisk.version` = '{version}'"))


def test_a_run_has_parameters_figures_plots_snapshot_and_version(trained: Trained) -> None:
    settings, snapshot, version = trained
    run = runs_of(settings, version)[0]
    manifest = ModelRegistry(Storage(settings.registry_root)).manifest(version)
    assert run.info.status == "FINISHED"
    assert run.data.params["trees"] == "10"
    assert run.data.params["snapshot"] == snapshot
    assert run.data.tags["creditrisk.gate"] == "accepted"
    assert run.data.metrics["roc_auc"] == manifest.metrics["roc_auc"].value
    assert run.data.metrics["roc_auc_low"] == manifest.metrics["roc_auc"].low
    assert run.data.metrics["baseline_roc_auc"] < run.data.metrics["roc_auc"]
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=settings.mlflow_uri)
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"roc.png", "calibration.png", "model_card.md", "evaluation.json"} <= names


def test_registering_again_makes_no_second_run(trained: Trained) -> None:
    settings, _, version = trained
    before = len(runs_of(settings, version))
    register(settings, version)
    assert len(runs_of(settings, version)) == before >= 1


def test_a_tracking_server_that_is_down_loses_no_model(
    settings: Settings, loans: Loans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    down = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    version = train(down, write_snapshot(down, loans_table(loans)), SMALL_FOREST, 12)
    judge(down, version)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        register(down, version)
    assert time.monotonic() - began < 60
    assert f"MLflow has no run of version {version}, which is registered all the same" in caplog.text
    assert ModelRegistry(Storage(down.registry_root)).load(version).manifest.version == version
    assert runs_of(settings, version) == []
    register(settings, version)
    assert len(runs_of(settings, version)) == 1
