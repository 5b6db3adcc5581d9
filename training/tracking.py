"""Each training run as an MLflow run: parameters, figures, plots, snapshot and registry version.

MLflow is a notebook for people; the registry is the truth. A tracking server that is down costs a warning, never
a model, and registering the version again records the run then.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from creditrisk.registry import ModelManifest, ModelRegistry
from creditrisk.settings import Settings, file_url
from training.candidate import EVALUATION_FILE, MODEL_CARD_FILE
from training.evaluation import Evaluation
from training.plots import PLOTS

logger = logging.getLogger(__name__)

_VERSION_TAG = "creditrisk.version"
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""By itself MLflow tries for 4 minutes where a server refuses, for 20 where it is silent: longer than the task may."""

_SENT = (*PLOTS, EVALUATION_FILE, MODEL_CARD_FILE)


def track(
    settings: Settings, registry: ModelRegistry, manifest: ModelManifest, evaluation: Evaluation
) -> None:
    """Record a registered version's run, once. Whatever goes wrong is a warning."""
    try:
        _track(settings, registry, manifest, evaluation)
    except Exception as error:  # noqa: BLE001  the model is registered, and must not be lost to its notebook
        problem = next(iter(str(error).splitlines()), "")
        logger.warning(
            "MLflow has no run of version %s, which is registered all the same: %s: %s",
            manifest.version, type(error).__name__, problem,
        )  # fmt: skip


def _track(
    settings: Settings, registry: ModelRegistry, manifest: ModelManifest, evaluation: Evaluation
) -> None:
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)  # MLflow has no other way to be told
    from mlflow import MlflowClient

    uri = settings.mlflow_uri
    if not settings.mlflow_tracking_uri:
        (settings.var_dir / "mlflow").mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=uri)
    experiment = _experiment(settings, client)
    found = client.search_runs(
        [experiment], f"tags.`{_VERSION_TAG}` = '{manifest.version}' and attributes.status = 'FINISHED'"
    )
    if found:
        return
    run = client.create_run(experiment, run_name=manifest.version, tags=_tags(manifest))
    for name, value in _parameters(manifest).items():
        client.log_param(run.info.run_id, name, value)
    for name, figure in _figures(evaluation).items():
        client.log_metric(run.info.run_id, name, figure)
    with tempfile.TemporaryDirectory() as folder:
        for name in _SENT:
            (Path(folder) / name).write_bytes(registry.verified_file(manifest, name))
        client.log_artifacts(run.info.run_id, folder)
    client.set_terminated(run.info.run_id)


def _experiment(settings: Settings, client: Any) -> str:
    """The market's experiment; where no server keeps its files, they are under the folder for run-time files."""
    name = f"creditrisk_{settings.market}"
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    has_server = settings.mlflow_uri.startswith(("http://", "https://"))
    location = None if has_server else file_url(settings.var_dir / "mlflow" / "artifacts")
    return str(client.create_experiment(name, artifact_location=location))


def _tags(manifest: ModelManifest) -> dict[str, str]:
    return {
        _VERSION_TAG: manifest.version,
        "creditrisk.snapshot": manifest.snapshot,
        "creditrisk.gate": str(manifest.gate.verdict),
        "creditrisk.refused_because": "; ".join(manifest.gate.reasons),
        "creditrisk.code_version": manifest.code_version,
        "creditrisk.prediction_hash": manifest.prediction_hash,
    }


def _parameters(manifest: ModelManifest) -> dict[str, Any]:
    return {
        **manifest.spec,
        "snapshot": manifest.snapshot,
        "cut_date": manifest.split.cut_date,
        "decline_share": manifest.decline_share,
        "compared_with": manifest.compared_with,
    }


def _figures(evaluation: Evaluation) -> dict[str, float]:
    """Figures under names that sort together, intervals as ``…_low`` and ``…_high``."""
    figures = {"declined_share": evaluation.confusion.declined_share}
    for prefix, metrics in (
        ("", evaluation.metrics),
        ("baseline_", evaluation.baseline.metrics if evaluation.baseline else {}),
        ("champion_", evaluation.champion.metrics if evaluation.champion else {}),
    ):
        for name, estimate in metrics.items():
            figures[prefix + name] = estimate.value
            figures[f"{prefix}{name}_low"], figures[f"{prefix}{name}_high"] = estimate.low, estimate.high
    figures |= {f"importance_{entry.feature}": entry.mean for entry in evaluation.importance}
    return figures
