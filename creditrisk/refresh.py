"""The steps that follow a build: judge the snapshot, publish it, point back."""

from contextlib import suppress
from datetime import UTC, datetime

from creditrisk.contract import contract_fingerprint
from creditrisk.customer_rows import customer_rows
from creditrisk.errors import ContractError, QualityGateFailed, SnapshotMissing
from creditrisk.online_store import OnlineStore, Publication
from creditrisk.quality import judge
from creditrisk.settings import Settings
from creditrisk.snapshots import QualityReport, SnapshotCatalog, SnapshotId, SnapshotManifest, Verdict
from creditrisk.storage import Storage


def judge_snapshot(settings: Settings, snapshot: str) -> QualityReport:
    """Judge a snapshot against the newest published one of an earlier date, and store the verdict with it.

    A published snapshot that is no longer in the lake is passed over, and the verdict is a warning: the nights go on
    with what there is to compare with.

    Raises:
        SnapshotMissing: there is no such snapshot.
        QualityGateFailed: a check failed; the message has the sentence of every one that did.
    """
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    manifest = catalog.manifest(SnapshotId.parse(snapshot))
    reference, lost = _reference(catalog, OnlineStore(settings).published_before(manifest.as_of))
    report = judge(manifest, reference, settings.quality, judged_at=datetime.now(UTC), lost=lost)
    catalog.record_quality(report)
    if report.verdict is Verdict.FAIL:
        failed = " ".join(check.sentence for check in report.checks if check.verdict is Verdict.FAIL)
        raise QualityGateFailed(f"snapshot {snapshot}: not published, what is served stays. {failed}")
    return report


def _reference(
    catalog: SnapshotCatalog, published: list[SnapshotId]
) -> tuple[SnapshotManifest | None, list[SnapshotId]]:
    """The manifest of the first snapshot that is still in the lake, and the ones before it that are not."""
    for position, snapshot in enumerate(published):
        with suppress(SnapshotMissing):
            return catalog.manifest(snapshot), published[:position]
    return None, published


def publish_snapshot(settings: Settings, snapshot: str, *, publish_older: bool = False) -> Publication:
    """Serve a snapshot that the quality gate let through; nothing changes where it is being served already.

    Raises:
        SnapshotMissing: there is no such snapshot.
        SnapshotNotPassed: the quality gate failed it, or has not judged it.
        SnapshotDamaged: its files are not those its manifest was written for.
        ContractError: it was built for other features than this code's.
        OlderThanServed: a snapshot of a later date is being served, and ``publish_older`` is not set.
        StoreUnavailable: Postgres cannot be reached.
    """
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    manifest = catalog.require_passed(SnapshotId.parse(snapshot))
    _require_own_features(manifest)
    return OnlineStore(settings).publish(
        manifest, customer_rows(catalog.lake, manifest), publish_older=publish_older
    )


def point_back(settings: Settings, snapshot: str) -> Publication:
    """Serve again a snapshot that is still in the store.

    Raises:
        SnapshotMissing: it is not in the lake, or no longer in the store.
        ContractError: it was built for other features than this code's.
        StoreUnavailable: Postgres cannot be reached.
    """
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    manifest = catalog.manifest(SnapshotId.parse(snapshot))
    _require_own_features(manifest)
    return OnlineStore(settings).point_back(manifest)


def _require_own_features(manifest: SnapshotManifest) -> None:
    if manifest.contract_fingerprint != contract_fingerprint():
        raise ContractError(
            f"snapshot {manifest.snapshot}: built for the features {manifest.contract_fingerprint}, "
            f"this code's are {contract_fingerprint()}: build it again"
        )
