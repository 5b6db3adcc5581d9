"""What the page reads of the registry and the lake. Records there never change, so each is read once a process."""

from functools import lru_cache

from creditrisk.contract import contract_fingerprint
from creditrisk.errors import CreditRiskError, RegistryError
from creditrisk.registry import GateDecision, ModelManifest, ModelRegistry
from creditrisk.release import ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.snapshots import QualityReport, SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage


def releases(settings: Settings) -> list[ReleaseRecord]:
    """All release records, oldest first: one listing, and a read for each record that is new."""
    url = settings.registry_root
    return [_release(url, number) for number in ReleaseLedger(Storage(url)).numbers()]


def versions(settings: Settings, limit: int) -> list[ModelManifest]:
    """The newest model versions, refused ones too, newest first; damaged ones are left out."""
    url = settings.registry_root
    found: list[ModelManifest] = []
    for version in reversed(ModelRegistry(Storage(url)).folders()):
        if len(found) == limit:
            break
        manifest = version_of(settings, version)
        if manifest:
            found.append(manifest)
    return sorted(found, key=lambda manifest: (manifest.as_of, manifest.created_at), reverse=True)


def version_of(settings: Settings, version: str) -> ModelManifest | None:
    """A version's manifest; None where it is gone, was never finished, or cannot be read."""
    try:
        return _manifest(settings.registry_root, version)
    except RegistryError:
        return None


def unservable(settings: Settings, version: str) -> str | None:
    """Why a version may not serve, as its manifest tells; None where nothing speaks against it there."""
    manifest = version_of(settings, version)
    if manifest is None:
        return f"{version} is not in the registry."
    if manifest.gate.verdict is not GateDecision.ACCEPTED:
        return f"the model gate has refused {version}."
    if manifest.contract_fingerprint != contract_fingerprint():
        return f"{version} was made for other features than this code has."
    return None


def snapshot_of(settings: Settings, snapshot: str) -> SnapshotManifest | None:
    """A snapshot's manifest; None where it is gone or cannot be read."""
    try:
        return _snapshot(settings.lake_root, snapshot)
    except CreditRiskError:
        return None


def quality_of(settings: Settings, snapshot: str) -> QualityReport | None:
    """The quality gate's last verdict on a snapshot; None where there is none."""
    try:
        return SnapshotCatalog(Storage(settings.lake_root)).quality(SnapshotId.parse(snapshot))
    except CreditRiskError:
        return None


@lru_cache(maxsize=4096)
def _release(url: str, number: int) -> ReleaseRecord:
    return ReleaseLedger(Storage(url)).read(number)


@lru_cache(maxsize=256)
def _manifest(url: str, version: str) -> ModelManifest:
    return ModelRegistry(Storage(url)).manifest(version)


@lru_cache(maxsize=128)
def _snapshot(url: str, snapshot: str) -> SnapshotManifest:
    return SnapshotCatalog(Storage(url)).manifest(SnapshotId.parse(snapshot))
