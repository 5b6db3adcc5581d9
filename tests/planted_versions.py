"""Plants model versions in a registry without training: files, correct hashes, and the manifest last."""

import hashlib
import io
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

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
