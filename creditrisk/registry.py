"""Model versions in the registry: their manifests, and loading one that can be trusted.

``models/<as_of>/<version>/`` holds a version's files; its ``manifest.json`` is written last, with the
SHA-256 of every other file, and a version without one does not exist for any reader. A pickle runs code when
it is loaded: nothing is unpickled before every file, the feature contract and the libraries have been checked.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from creditrisk.contract import contract_fingerprint
from creditrisk.errors import (
    ContractMismatch,
    LibraryMismatch,
    ObjectExists,
    ObjectMissing,
    VersionDamaged,
    VersionMissing,
    VersionRefused,
)
from creditrisk.provenance import library_versions
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage

MANIFEST = "manifest.json"
MODEL_FILE = "model.joblib"
REFERENCE_FILE = "reference.npz"
"""Arrays ``rows`` (n, 5), NaN where a value is missing, and ``probabilities`` (n,) that the model gave them."""

TRAINING_SET_FILE = "training_set.parquet"
"""A version's own copy of the loans that it was made from, each with its ``side``."""

JUDGED_SIDE = "test"
"""The side of the newest days' loans, of customers whom the version has not learnt from: it was judged on them."""

PICKLE_LIBRARIES = ("scikit-learn", "numpy", "joblib")
"""What unpickles a model must be, to the release, what pickled it."""

_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})-[0-9a-f]{10}")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Record):
    """A figure with its interval."""

    value: float
    low: float
    high: float


class GateDecision(StrEnum):
    """What the model gate says of a version."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class GateCheck(_Record):
    """One named check of the model gate: its value, the limit it was held against, and how it ended."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    verdict: Verdict
    sentence: str


class ModelGateReport(_Record):
    """The model gate's verdict. ``reasons`` are the sentences of the checks that failed: none, if accepted."""

    verdict: GateDecision
    reasons: list[str]
    checks: list[GateCheck]


class SideCounts(_Record):
    """Labelled loans of one side of the split."""

    rows: int
    customers: int
    positives: int


class SplitRecord(_Record):
    """How the labelled loans were split. Fitting, calibration and validation lie before the cut date."""

    salt: str
    first_date: date
    cut_date: date
    last_date: date
    sides: dict[str, SideCounts]


class ModelManifest(_Record):
    """What a model version is, and everything that determined it."""

    version: str
    as_of: date
    created_at: datetime
    snapshot: str
    market: str
    spec: dict[str, JsonValue]
    seed: int
    contract_fingerprint: str
    code_version: str
    image: str | None = None
    """The container image that trained it, where there was one."""
    library_versions: dict[str, str]
    split: SplitRecord
    decline_share: float
    threshold: float
    """``decision = 1 if probability >= threshold``."""
    prediction_hash: str
    """SHA-256 of the probabilities of the test rows in the order of their loan ids, as 64-bit little-endian floats."""
    compared_with: str | None
    """The champion that it was judged against."""
    metrics: dict[str, Estimate]
    """On test rows, intervals bootstrapped by customer."""
    gate: ModelGateReport
    files: dict[str, str] = Field(min_length=1)
    """SHA-256 of each file of the version, by its name within the folder."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version, verified and unpickled."""

    manifest: ModelManifest
    model: Any
    """A fitted scikit-learn classifier of the contract's features, in their order."""
    reference_rows: npt.NDArray[np.float64]
    """Shape (n, 5), NaN where a value is missing."""
    reference_probabilities: npt.NDArray[np.float64]
    """Shape (n,): what the model gave the rows when it was trained."""


def version_folder(version: str) -> str:
    """Key of a version's folder in the registry.

    Raises:
        VersionMissing: the text is not a version id.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise VersionMissing(f"version {version!r}: not an id of the form 2020-12-31-0a1b2c3d4e")
    return f"models/{match[1]}/{version}"


class ModelRegistry:
    """Reads and commits model versions in one market's registry."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def versions(self) -> list[str]:
        """Ids of all committed versions, refused ones too, by snapshot date."""
        return [version for version in self.folders() if self.exists(version)]

    def folders(self) -> list[str]:
        """Ids of all versions that have a folder, committed or not, by snapshot date."""
        return [
            name
            for day in self.storage.folders("models")
            for name in self.storage.folders(f"models/{day}")
            if _VERSION.fullmatch(name) and name.startswith(day)
        ]

    def exists(self, version: str) -> bool:
        """Whether the version has been committed."""
        return self.storage.exists(f"{version_folder(version)}/{MANIFEST}")

    def manifest(self, version: str) -> ModelManifest:
        """The manifest of a committed version, refused or not.

        Raises:
            VersionMissing: there is no such version, or it was never finished.
            VersionDamaged: its manifest cannot be read, or is another version's.
        """
        key = f"{version_folder(version)}/{MANIFEST}"
        try:
            manifest = ModelManifest.model_validate_json(self.storage.read(key))
        except ObjectMissing:
            raise VersionMissing(f"version {version}: not in the registry {self.storage.url}") from None
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(str(part) for part in problem["loc"]) or "all of it"
            raise VersionDamaged(f"version {version}: {MANIFEST}: {field}: {problem['msg']}") from None
        if manifest.version != version:
            raise VersionDamaged(f"version {version}: {MANIFEST} is that of {manifest.version}")
        return manifest

    def commit(self, manifest: ModelManifest) -> None:
        """Make a version exist, its files being in place. Committing it again changes nothing."""
        content = manifest.model_dump_json(indent=2).encode() + b"\n"
        try:
            self.storage.create(f"{version_folder(manifest.version)}/{MANIFEST}", content)
        except ObjectExists:
            there = self.manifest(manifest.version)
            if there.files != manifest.files:
                raise VersionDamaged(
                    f"version {manifest.version}: committed before, with other files"
                ) from None

    def verified_file(self, manifest: ModelManifest, name: str) -> bytes:
        """One of a version's files.

        Raises:
            VersionDamaged: it is not the file that the manifest was written for, or is gone.
        """
        expected = manifest.files.get(name)
        if expected is None:
            raise VersionDamaged(f"version {manifest.version}: {MANIFEST} names no file {name}")
        try:
            content = self.storage.read(f"{version_folder(manifest.version)}/{name}")
        except ObjectMissing:
            raise VersionDamaged(f"version {manifest.version}: {name} is gone") from None
        if hashlib.sha256(content).hexdigest() != expected:
            raise VersionDamaged(
                f"version {manifest.version}: {name} is not the file that was registered (its SHA-256 differs)"
            )
        return content

    def require_servable(self, version: str) -> ModelManifest:
        """The manifest of a version that may be put into service: all is checked but the unpickling.

        Raises:
            VersionMissing, VersionDamaged, VersionRefused, ContractMismatch, LibraryMismatch: it may not.
        """
        manifest, _ = self._verified(version)
        return manifest

    def load(self, version: str) -> LoadedModel:
        """A version that may serve, unpickled after every check.

        Raises:
            VersionMissing: there is no such version.
            VersionRefused: the model gate refused it.
            ContractMismatch: it was made for other features.
            LibraryMismatch: another release of a library pickled it.
            VersionDamaged: a file is gone, or is not the one that was registered.
        """
        manifest, files = self._verified(version)
        try:
            with np.load(io.BytesIO(files[REFERENCE_FILE]), allow_pickle=False) as arrays:
                rows = np.asarray(arrays["rows"], dtype=np.float64)
                probabilities = np.asarray(arrays["probabilities"], dtype=np.float64)
        except (OSError, ValueError, KeyError) as error:
            raise VersionDamaged(f"version {version}: {REFERENCE_FILE}: {error}") from None
        import joblib

        try:
            model = joblib.load(io.BytesIO(files[MODEL_FILE]))
        except Exception as error:  # noqa: BLE001  an unpickler raises whatever it stumbles over
            raise VersionDamaged(
                f"version {version}: {MODEL_FILE}: cannot be unpickled: {type(error).__name__}: {error}"
            ) from None
        return LoadedModel(manifest, model, rows, probabilities)

    def _verified(self, version: str) -> tuple[ModelManifest, Mapping[str, bytes]]:
        """The manifest, and the bytes of the files to load: those that were checked, not read again."""
        manifest = self.manifest(version)
        if manifest.gate.verdict is not GateDecision.ACCEPTED:
            reasons = "; ".join(manifest.gate.reasons)
            raise VersionRefused(f"version {version}: refused by the model gate: {reasons}")
        if manifest.contract_fingerprint != contract_fingerprint():
            raise ContractMismatch(
                f"version {version}: made for feature contract {manifest.contract_fingerprint},"
                f" this code has {contract_fingerprint()}: train a new one"
            )
        require_same_libraries(manifest)
        kept = {}
        for name in sorted({*manifest.files, MODEL_FILE, REFERENCE_FILE}):
            content = self.verified_file(manifest, name)
            if name in (MODEL_FILE, REFERENCE_FILE):
                kept[name] = content
        return manifest, kept


def require_same_libraries(manifest: ModelManifest) -> None:
    """Return if the libraries that pickle are those of the version's training.

    Raises:
        LibraryMismatch: one is of another release; the message lists every such one.
    """
    installed = library_versions(PICKLE_LIBRARIES)
    differing = [
        f"{name} {manifest.library_versions.get(name, 'unknown')} there, {installed.get(name, 'none')} here"
        for name in PICKLE_LIBRARIES
        if manifest.library_versions.get(name) != installed.get(name) or name not in installed
    ]
    if differing:
        raise LibraryMismatch(
            f"version {manifest.version}: made with other libraries: {', '.join(differing)}: train a new one"
        )
