"""What the training step makes: a version's files, and the record that names them."""

import io
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import joblib
import numpy as np

from creditrisk.errors import RegistryError
from creditrisk.provenance import container_image
from creditrisk.registry import MODEL_FILE, REFERENCE_FILE, TRAINING_SET_FILE, ModelRegistry, SplitRecord
from creditrisk.scoring import flatten, verify
from creditrisk.storage import Storage
from training.candidate import EVALUATION_FILE, Candidate, TrainingPlan, sha256
from training.dataset import FloatArray, Loans, encode_training_set
from training.evaluation import Rival, evaluate, permutation_importance, prediction_hash
from training.fitting import DecidingModel, fit_baseline, fit_deciding_model, late_probabilities
from training.plots import draw_plots
from training.specs import validated_spec
from training.split import Side

logger = logging.getLogger(__name__)

BASELINE = "logistic baseline"
REFERENCE_ROWS = 256


def make_files(
    storage: Storage, plan: TrainingPlan, parts: Mapping[Side, Loans], split: SplitRecord
) -> tuple[Candidate, dict[str, bytes]]:
    """The training step's record, and the content of its files by name."""
    deciding = fit_deciding_model(validated_spec(plan.spec), parts, plan.decline_share)
    test = parts[Side.TEST]
    probabilities = deciding.probabilities(test)
    logger.info("Fitted %s on %s loans.", plan.spec["estimator"], f"{len(parts[Side.TRAIN]):,}")
    baseline = Rival(BASELINE, late_probabilities(fit_baseline(parts), test))
    champion, why_not = _champion(storage, plan.champion, test)
    evaluation = evaluate(
        test,
        probabilities,
        deciding.threshold,
        baseline=baseline,
        champion=champion,
        champion_not_compared=why_not,
        importance=permutation_importance(deciding.model, test),
    )
    rivals = [baseline, champion] if champion else [baseline]
    files = {
        MODEL_FILE: _pickled(deciding),
        REFERENCE_FILE: _reference(deciding, test, probabilities),
        TRAINING_SET_FILE: encode_training_set(parts.items()),
        EVALUATION_FILE: evaluation.model_dump_json(indent=2).encode() + b"\n",
        **draw_plots(evaluation, test.late, probabilities, deciding.threshold, rivals),
    }
    auc = evaluation.metrics["roc_auc"]
    logger.info(
        "Evaluated on %s loans of %s other customers from %s on: ROC AUC %.4f (%.4f to %.4f).",
        f"{len(test):,}", f"{split.sides[Side.TEST].customers:,}", split.cut_date, auc.value, auc.low, auc.high,
    )  # fmt: skip
    candidate = Candidate(
        plan=plan,
        created_at=datetime.now(UTC),
        image=container_image(),
        split=split,
        threshold=deciding.threshold,
        declined_share=deciding.declined_share,
        prediction_hash=prediction_hash(probabilities),
        files={name: sha256(content) for name, content in files.items()},
    )
    return candidate, files


def _champion(storage: Storage, version: str | None, test: Loans) -> tuple[Rival | None, str | None]:
    """The champion's probabilities, or why there are none."""
    if version is None:
        return None, None
    try:
        loaded = ModelRegistry(storage).load(version)
    except RegistryError as error:
        logger.warning("The champion cannot be compared with: %s", error)
        return None, f"the champion cannot be loaded: {error}"
    return Rival(version, late_probabilities(loaded.model, test)), None


def _pickled(deciding: DecidingModel) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(deciding.model, buffer, compress=3)
    return buffer.getvalue()


def _reference(deciding: DecidingModel, test: Loans, probabilities: FloatArray) -> bytes:
    """Rows from the lowest probability to the highest, on which whoever serves the model must agree with it."""
    order = np.argsort(probabilities, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(REFERENCE_ROWS, len(order))).round().astype(int)]
    verify(flatten(deciding.model), test.features[chosen], probabilities[chosen], deciding.threshold)
    buffer = io.BytesIO()
    np.savez(buffer, rows=test.features[chosen], probabilities=probabilities[chosen])
    return buffer.getvalue()
