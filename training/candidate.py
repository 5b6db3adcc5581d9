"""A version before it is registered: the plan that determines it, and its files in the registry.

``candidate.json`` is written when all files of the training step are in place, ``gate.json`` when they have
been judged. Until the manifest is there, none of it exists for any reader.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from creditrisk.contract import contract_fingerprint
from creditrisk.errors import CandidateUnfinished, ObjectExists, ObjectMissing, VersionDamaged
from creditrisk.provenance import code_version, library_versions
from creditrisk.registry import MANIFEST, ModelGateReport, SplitRecord, version_folder
from creditrisk.settings import ModelGateLimits, Settings
from creditrisk.snapshots import SnapshotManifest
from creditrisk.storage import Storage

CANDIDATE_FILE = "candidate.json"
GATE_FILE = "gate.json"
EVALUATION_FILE = "evaluation.json"
MODEL_CARD_FILE = "model_card.md"

LIBRARIES = ("scikit-learn", "numpy", "joblib", "scipy", "threadpoolctl", "pyarrow", "matplotlib")
"""What a version's numbers and files depend on."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingPlan(_Record):
    """Everything that determines a version; its hash is the version's name."""

    snapshot: str
    market: str
    as_of: date
    spec: dict[str, JsonValue]
    contract_fingerprint: str
    code_version: str
    training_code: str
    """SHA-256 of the sources of this package: a checkout that differs from its commit makes other versions."""
    library_versions: dict[str, str]
    decline_share: float
    test_days_share: float
    limits: ModelGateLimits
    champion: str | None

    @classmethod
    def of(
        cls,
        settings: Settings,
        snapshot: SnapshotManifest,
        spec: dict[str, JsonValue],
        champion: str | None,
    ) -> Self:
        """The plan for training a spec on a snapshot now."""
        return cls(
            snapshot=snapshot.snapshot,
            market=settings.market,
            as_of=snapshot.as_of,
            spec=spec,
            contract_fingerprint=contract_fingerprint(),
            code_version=code_version(),
            training_code=_training_code(),
            library_versions=library_versions(LIBRARIES),
            decline_share=settings.decline_share,
            test_days_share=settings.test_days_share,
            limits=settings.model_gate,
            champion=champion,
        )

    @property
    def version(self) -> str:
        """``<as_of>-<10 hex digits>``."""
        return f"{self.as_of}-{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:10]}"


class Candidate(_Record):
    """What the training step made."""

    plan: TrainingPlan
    created_at: datetime
    image: str | None
    split: SplitRecord
    threshold: float
    declined_share: float
    prediction_hash: str
    files: dict[str, str]
    """SHA-256 of each file, by name."""


class CandidateFolder:
    """A version's folder in the registry while it is being made. No file in it is ever overwritten."""

    def __init__(self, registry: Storage, version: str) -> None:
        self.version = version
        self._registry = registry
        self._folder = version_folder(version)

    def candidate(self) -> Candidate:
        """What the training step made.

        Raises:
            CandidateUnfinished: it has not ended.
            VersionDamaged: its record cannot be read.
        """
        try:
            return Candidate.model_validate_json(self.read(CANDIDATE_FILE))
        except ObjectMissing:
            raise CandidateUnfinished(f"version {self.version}: not trained yet: run train first") from None
        except ValidationError:
            raise VersionDamaged(
                f"version {self.version}: {CANDIDATE_FILE} cannot be read: run train again"
            ) from None

    def gate(self) -> ModelGateReport:
        """The verdict.

        Raises:
            CandidateUnfinished: it has not been judged.
        """
        try:
            return ModelGateReport.model_validate_json(self.read(GATE_FILE))
        except ObjectMissing:
            raise CandidateUnfinished(f"version {self.version}: not judged yet: run judge first") from None

    def is_trained(self) -> bool:
        """Whether the training step has ended and left every file whole."""
        try:
            candidate = self.candidate()
            for name in candidate.files:
                self.verified(candidate, name)
        except (CandidateUnfinished, VersionDamaged):
            return False
        return True

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            ObjectMissing: there is none of that name.
        """
        return self._registry.read(f"{self._folder}/{name}")

    def verified(self, candidate: Candidate, name: str) -> bytes:
        """A file of the training step.

        Raises:
            VersionDamaged: it is gone, or is not the file that was written.
        """
        try:
            content = self.read(name)
        except ObjectMissing:
            raise VersionDamaged(f"version {self.version}: {name} is gone: run train again") from None
        if sha256(content) != candidate.files[name]:
            raise VersionDamaged(
                f"version {self.version}: {name} is not the file that was trained: run train again"
            )
        return content

    def upload(self, files: Mapping[str, bytes], candidate: Candidate) -> None:
        """Put the training step's files in place of whatever an interrupted one left, the record last.

        Raises:
            ObjectExists: somebody else is writing, or has registered, the same version.
        """
        if self.is_trained():  # by somebody else meanwhile: a later step may be at work on it
            return
        if not self._registry.exists(f"{self._folder}/{MANIFEST}"):
            self._registry.remove_unfinished(self._folder)
        for name in candidate.files:
            self._registry.create(f"{self._folder}/{name}", files[name])
        self._registry.create(
            f"{self._folder}/{CANDIDATE_FILE}", candidate.model_dump_json(indent=2).encode() + b"\n"
        )

    def write_once(self, name: str, content: BaseModel | str) -> None:
        """Write a file of a later step; what an earlier try of the step wrote stays."""
        text = content if isinstance(content, str) else content.model_dump_json(indent=2) + "\n"
        with suppress(ObjectExists):
            self._registry.create(f"{self._folder}/{name}", text.encode())


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def _training_code() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()
