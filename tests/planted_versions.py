"""Plants model versions in a registry without training: files, correct hashes, and the manifest last.

Bad ones too, with an accepted verdict: they are faultless on their reference rows, whose customers are over a hundred,
and err on everybody else. So nothing that is checked at load gives them away, but that one is too slow and one's
trees are not whole.
"""

import hashlib
import io
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator

from creditrisk.contract import contract_fingerprint
from creditrisk.provenance import library_versions
from creditrisk.registry import (
    MODEL_FILE,
    PICKLE_LIBRARIES,
    REFERENCE_FILE,
    GateDecision,
    ModelGateReport,
    ModelManifest,
    ModelRegistry,
    SplitRecord,
    version_folder,
)
from creditrisk.storage import Storage

ACCEPTED = ModelGateReport(verdict=GateDecision.ACCEPTED, reasons=[], checks=[])
REFUSED = ModelGateReport(verdict=GateDecision.REFUSED, reasons=["ROC AUC 0.41 is below 0.53"], checks=[])


def reference_file(rows: Any, probabilities: Any) -> bytes:
    """What ``reference.npz`` holds."""
    buffer = io.BytesIO()
    np.savez(buffer, rows=np.asarray(rows, dtype=float), probabilities=np.asarray(probabilities, dtype=float))
    return buffer.getvalue()


def manifest_of(version: str, files: dict[str, bytes], **changes: Any) -> ModelManifest:
    values: dict[str, Any] = {
        "version": version,
        "as_of": date.fromisoformat(version[:10]),
        "created_at": datetime(2021, 1, 1, tzinfo=UTC),
        "snapshot": f"{version[:10]}-ab12cd34ef56",
        "market": "mx",
        "spec": {"estimator": "forest"},
        "seed": 7,
        "contract_fingerprint": contract_fingerprint(),
        "code_version": "abc",
        "library_versions": library_versions(PICKLE_LIBRARIES),
        "split": SplitRecord(
            salt="s",
            first_date=date(2019, 1, 1),
            cut_date=date(2020, 7, 1),
            last_date=date(2020, 12, 30),
            sides={},
        ),
        "decline_share": 0.1,
        "threshold": 0.03,
        "prediction_hash": "0" * 64,
        "compared_with": None,
        "metrics": {},
        "gate": ACCEPTED,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    return ModelManifest.model_validate({**values, **changes})


def plant(
    storage: Storage, version: str, files: dict[str, bytes] | None = None, **changes: Any
) -> ModelManifest:
    """Commit a version; without ``files``, one whose model is not a pickle at all."""
    if files is None:
        files = {MODEL_FILE: b"not a pickle", REFERENCE_FILE: reference_file([[40, 3, 1, 100.0, 0]], [0.02])}
    for name, content in files.items():
        storage.create(f"{version_folder(version)}/{name}", content)
    manifest = manifest_of(version, files, **changes)
    ModelRegistry(storage).commit(manifest)
    return manifest


OLDEST_CUSTOMER = 100.5
"""No customer is older; every reference row of a bad version is."""

COPIES = 6000
"""How often the slow version has each of its trees."""


class Fault(StrEnum):
    """What a bad version does to customers who are not reference rows."""

    NONE = "decides as it was fitted to"
    INVERTED = "declines those whom it was fitted to approve of most"
    RAISING = "is at a loss: a tree goes on at a node that is not there"
    FAILING = "gives no probability"
    SLOW = "takes too long"
    DECLINING = "declines everybody"


def plant_boosting(
    storage: Storage,
    rows: npt.NDArray[np.float64],
    late: npt.NDArray[np.int_],
    fault: Fault,
    *,
    seed: int = 0,
) -> ModelManifest:
    """Commit a version that is fitted to rows and then given a fault; the threshold declines a tenth of the rows.

    Args:
        storage: the registry.
        rows: shape (n, 5), NaN where missing.
        late: shape (n,), what it is fitted to.
        fault: what is wrong with it.
        seed: of its fit.
    """
    boosting = HistGradientBoostingClassifier(max_iter=20, max_depth=4, random_state=seed).fit(rows, late)
    model = CalibratedClassifierCV(FrozenEstimator(boosting), method="sigmoid").fit(rows, late)
    if fault is Fault.INVERTED:
        _give(boosting, fault)
    threshold = float(np.quantile(model.predict_proba(rows)[:, 1], 0.9))
    if fault not in (
        Fault.NONE,
        Fault.INVERTED,
    ):  # only now: scikit-learn itself would read whatever lies there
        _give(boosting, fault)
    pickled = io.BytesIO()
    joblib.dump(model, pickled)
    reference = rows[:20].copy()
    reference[:, 0] += 100 - np.floor(reference[:, 0].min()) + 1
    files = {
        MODEL_FILE: pickled.getvalue(),
        REFERENCE_FILE: reference_file(reference, model.predict_proba(reference)[:, 1]),
    }
    version = f"2020-12-31-{hashlib.sha256(files[MODEL_FILE] + fault.encode()).hexdigest()[:10]}"
    return plant(storage, version, files, threshold=threshold, seed=seed)


def _give(boosting: HistGradientBoostingClassifier, fault: Fault) -> None:
    """Change a fitted model's trees. Each gets a new root, right of which, for the old, it is as it was."""
    predictors = [iteration[0] for iteration in boosting._predictors]
    if fault is Fault.SLOW:
        for predictor in predictors:
            predictor.nodes["value"] /= COPIES
        boosting._predictors = [[predictor] for predictor in predictors] * COPIES
    elif fault is Fault.DECLINING:
        _below_a_root(predictors[0], lambda nodes: nodes["value"].__iadd__(100.0))
    elif fault is Fault.INVERTED:
        for predictor in predictors:
            _below_a_root(predictor, lambda nodes: nodes["value"].__imul__(-1.0))
    elif fault is Fault.RAISING:
        _below_a_root(predictors[0], None)
    elif fault is Fault.FAILING:
        _below_a_root(predictors[0], lambda nodes: nodes["value"].fill(np.nan))


def _below_a_root(predictor: Any, change: Any) -> None:
    """Put a split by age above a tree; left of it a changed copy of the tree, or a place that does not exist."""
    old = predictor.nodes
    size = len(old)
    root, right = old[:1].copy(), old.copy()
    right["left"] += 1
    right["right"] += 1
    left = old.copy()[: size if change else 0]
    if change:
        change(left)
        left["left"] += 1 + size
        left["right"] += 1 + size
    root["feature_idx"], root["num_threshold"], root["is_leaf"] = 0, OLDEST_CUSTOMER, False
    root["missing_go_to_left"], root["is_categorical"] = False, False
    root["left"], root["right"] = (1 + size if change else 10**6), 1
    for nodes in (right, left):
        nodes["depth"] += 1
    predictor.nodes = np.concatenate((root, right, left))
