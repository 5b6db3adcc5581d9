"""Retention done: what may go is found, and removed so that it can be interrupted anywhere and done again.

It holds the publishers' lock meanwhile, so that nothing is published or pointed back to that is about to go. The
decisions go first: what remains of them decides what else may go. A snapshot's or a version's manifest goes
before its files, after which no reader takes what is left of it for one.
"""

import logging
import time
from datetime import datetime, timedelta

from psycopg2 import extensions

from creditrisk.decision_days import decision_days, drop_day, named_by_days
from creditrisk.errors import ObjectExists, ObjectMissing
from creditrisk.look_store import remove_looks_before
from creditrisk.online_store import OnlineStore
from creditrisk.registry import MANIFEST, ModelRegistry, version_folder
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.removals import Kind, record_removal
from creditrisk.retention import Entry, Plan, plan
from creditrisk.settings import RetentionLimits, Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.stock import (
    decision_stock,
    named_as_newest,
    named_by_decisions,
    named_by_releases,
    named_by_store,
    quarantine_stock,
    snapshot_stock,
    version_stock,
)
from creditrisk.storage import Storage
from creditrisk.store_schema import StoreSchema
from creditrisk.traffic import remove_traffic_before

logger = logging.getLogger(__name__)

RELEASE_SECONDS = 15.0
"""Longer than a release takes between looking at a version and writing the record."""


def removal_plan(settings: Settings, now: datetime) -> Plan:
    """What would go at this moment; nothing is changed.

    Raises:
        SettingsError: there is no URL to reach the decision log with.
        StoreUnavailable, StorageError: what names things cannot be read, so that nothing may go.
    """
    schema = StoreSchema.of(settings)
    with schema.connected() as connection:
        return _planned(settings, schema, connection, now)


def remove_expired(settings: Settings, now: datetime, *, release_seconds: float = RELEASE_SECONDS) -> Plan:
    """Remove what may go; what went, and what stayed although it is old enough.

    Args:
        settings: say how long what is kept.
        now: the moment to count from.
        release_seconds: how long a release that is being made may take.

    Raises:
        SettingsError: there is no URL to reach the decision log with.
        StoreUnavailable, StorageError: something cannot be reached; what has gone by then is gone whole or
            will be at the next run.
    """
    schema = StoreSchema.of(settings)
    with schema.publishing() as connection:
        made = _planned(settings, schema, connection, now)
        going = {kind: [entry for entry in made.going if entry.kind is kind] for kind in Kind}
        lake = Storage(settings.lake_root)
        for entry in going[Kind.DECISIONS]:
            drop_day(connection, schema, datetime.fromisoformat(entry.name).date())
            record_removal(lake, *entry, at=now)
            logger.info("removed decisions of %s", entry.name)
        registry = ModelRegistry(Storage(settings.registry_root))
        released = _remove_versions(registry, going[Kind.VERSION], now, release_seconds)
        _remove_snapshots(SnapshotCatalog(lake), going[Kind.SNAPSHOT], now)
        for entry in going[Kind.QUARANTINE]:
            lake.remove_folder(f"quarantine/{entry.name[:10]}/{entry.name[11:]}")
        for entry in going[Kind.REPORTS]:
            lake.remove_folder(f"reports/{entry.name}")
        _remove_rows(connection, schema, settings.retention, now)
    stays = {(entry.kind, entry.name) for entry in released}
    return Plan(
        going=[entry for entry in made.going if (entry.kind, entry.name) not in stays],
        staying=[*made.staying, *released],
        young=made.young,
    )


def _planned(
    settings: Settings, schema: StoreSchema, connection: extensions.connection, now: datetime
) -> Plan:
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    registry = ModelRegistry(Storage(settings.registry_root))
    in_force = {day: current for day in catalog.dates() if (current := catalog.current(day))}
    days = decision_stock(decision_days(connection, schema))
    going = {
        entry.name for entry in plan(days, {}, {}, settings.retention, now).going
    }  # no decision names another
    kept = [datetime.fromisoformat(day.name).date() for day in days if day.name not in going]
    snapshots, versions = snapshot_stock(catalog), version_stock(registry)
    named = (
        snapshots.named
        | versions.named
        | named_by_decisions(named_by_days(connection, schema, kept))
        | named_as_newest(catalog, in_force)
        | named_by_releases(ReleaseLedger(registry.storage).history(), registry)
        | named_by_store(OnlineStore(settings))
    )
    stored = [*days, *snapshots.stored, *quarantine_stock(catalog.lake), *versions.stored]
    return plan(stored, named, in_force, settings.retention, now)


def _remove_rows(
    connection: extensions.connection, schema: StoreSchema, limits: RetentionLimits, now: datetime
) -> None:
    """Remove rows that nothing names."""
    for what, days, remove in (
        ("counts of requests", limits.traffic_days, remove_traffic_before),
        ("looks of the judge of releases", limits.looks_days, remove_looks_before),
    ):
        if days:
            gone = remove(connection, schema, now - timedelta(days=days))
            logger.info("removed %d %s that were older than %d days", gone, what, days)


def _remove_versions(
    registry: ModelRegistry, going: list[Entry], now: datetime, release_seconds: float
) -> list[Entry]:
    """Remove versions, but for those that were released after it was looked who is.

    Whoever releases a version looks at its manifest first and writes the record then. So all manifests are taken
    away, and the records read once more when a release that had seen one has been written.
    """
    storage = registry.storage
    manifests: dict[str, bytes] = {}
    for entry in going:
        key = f"{version_folder(entry.name)}/{MANIFEST}"
        try:
            manifests[entry.name] = storage.read(key)
        except ObjectMissing:
            continue
        record_removal(storage, *entry, at=now)
        storage.remove(key)
    if manifests:
        time.sleep(release_seconds)
    named = named_by_releases(ReleaseLedger(storage).history(), registry)
    released = []
    for entry in going:
        if by := named.get((Kind.VERSION, entry.name)):
            _put_back(storage, entry.name, manifests.get(entry.name))
            released.append(Entry(entry.kind, entry.name, by))
        else:
            storage.remove_folder(version_folder(entry.name))
            logger.info("removed version %s", entry.name)
    return released


def _put_back(storage: Storage, version: str, manifest: bytes | None) -> None:
    if manifest is not None:
        try:
            storage.create(f"{version_folder(version)}/{MANIFEST}", manifest)
        except ObjectExists:  # registered again meanwhile
            return


def _remove_snapshots(catalog: SnapshotCatalog, going: list[Entry], now: datetime) -> None:
    """Remove snapshots, of each date the one in force last."""
    snapshots = {SnapshotId.parse(entry.name): entry for entry in going}
    in_force = {snapshot: catalog.current(snapshot.as_of) == snapshot for snapshot in snapshots}
    for snapshot in sorted(snapshots, key=lambda one: (one.as_of, in_force[one], one.hash12)):
        if catalog.exists(snapshot):
            record_removal(catalog.lake, *snapshots[snapshot], at=now)
        _remove_snapshot(catalog, snapshot)
        logger.info("removed snapshot %s", snapshot)


def _remove_snapshot(catalog: SnapshotCatalog, snapshot: SnapshotId) -> None:
    """Remove a snapshot. With the last of a date go the names of its snapshot in force, the oldest name first.

    The newest name counts, so none that was replaced comes into force again, however it is interrupted.
    """
    lake, day = catalog.lake, f"features/{snapshot.as_of}"
    others = [name for name in lake.folders(day) if name != snapshot.hash12]
    if not any(catalog.exists(SnapshotId(snapshot.as_of, other)) for other in others):
        for name in sorted(name for name in lake.names(day) if name.startswith("current-")):
            lake.remove(f"{day}/{name}")
    lake.remove(f"{snapshot.folder}/{MANIFEST}")
    lake.remove_folder(snapshot.folder)
