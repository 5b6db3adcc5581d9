"""What a market has stored that retention may remove, and what names it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from creditrisk.decision_days import NamedByDay
from creditrisk.errors import RegistryError, SnapshotDamaged, SnapshotMissing
from creditrisk.online_store import OnlineStore
from creditrisk.registry import ModelRegistry, version_folder
from creditrisk.release import ReleaseRecord
from creditrisk.removals import Kind
from creditrisk.retention import NEWEST_KEPT, Stored
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, Verdict
from creditrisk.storage import Storage

Named = dict[tuple[Kind, str], str]
"""What is named, with by what, in words."""


@dataclass(frozen=True, slots=True)
class Stock:
    """Things that are stored, and what is named for their own sake."""

    stored: list[Stored]
    named: Named


def decision_stock(days: Iterable[date]) -> list[Stored]:
    """The days that have decisions."""
    return [
        Stored(Kind.DECISIONS, str(day), datetime.combine(day + timedelta(days=1), time(), UTC))
        for day in days
    ]


def snapshot_stock(catalog: SnapshotCatalog) -> Stock:
    """Snapshots, committed or not; one whose manifest cannot be read is named, so that somebody looks at it."""
    stored, named = [], {}
    for snapshot in catalog.folders():
        name = str(snapshot)
        try:
            stored.append(Stored(Kind.SNAPSHOT, name, _aware(catalog.manifest(snapshot).created_at)))
        except SnapshotMissing:
            stored += _unfinished(catalog.lake, Kind.SNAPSHOT, name, snapshot.folder)
        except SnapshotDamaged as damage:
            stored.append(Stored(Kind.SNAPSHOT, name, datetime.min.replace(tzinfo=UTC)))
            named[Kind.SNAPSHOT, name] = str(damage)
    return Stock(stored, named)


def quarantine_stock(lake: Storage) -> list[Stored]:
    """Quarantined rows by snapshot, and reports by date."""
    folders = [
        (Kind.QUARANTINE, f"{day}-{name}", f"quarantine/{day}/{name}")
        for day in lake.folders("quarantine")
        for name in lake.folders(f"quarantine/{day}")
    ]
    folders += [(Kind.REPORTS, day, f"reports/{day}") for day in lake.folders("reports")]
    written = [(kind, name, lake.newest_change(folder)) for kind, name, folder in folders]
    return [Stored(kind, name, since) for kind, name, since in written if since]


def version_stock(registry: ModelRegistry) -> Stock:
    """Model versions, registered or not; one whose manifest cannot be read is named."""
    stored, named = [], {}
    for version in registry.folders():
        try:
            stored.append(Stored(Kind.VERSION, version, _aware(registry.manifest(version).created_at)))
        except RegistryError as error:
            if registry.exists(version):
                stored.append(Stored(Kind.VERSION, version, datetime.min.replace(tzinfo=UTC)))
                named[Kind.VERSION, version] = str(error)
            else:
                stored += _unfinished(registry.storage, Kind.VERSION, version, version_folder(version))
    return Stock(stored, named)


def named_by_releases(history: Iterable[ReleaseRecord], registry: ModelRegistry) -> Named:
    """Every version that a release record names, and the snapshot it was trained on."""
    named: Named = {}
    for record in history:
        for role, version in (("champion", record.champion), ("challenger", record.challenger)):
            if version and (Kind.VERSION, version) not in named:
                named[Kind.VERSION, version] = f"{role} of release {record.number}"
                try:
                    snapshot = registry.manifest(version).snapshot
                except RegistryError:
                    continue  # there is nothing to read its snapshot from; the version itself stays
                named.setdefault(
                    (Kind.SNAPSHOT, snapshot),
                    f"version {version}, of release {record.number}, learnt from it",
                )
    return named


def named_by_store(store: OnlineStore) -> Named:
    """The snapshot being served, and those that can be pointed back to."""
    named: Named = {
        (Kind.SNAPSHOT, str(snapshot)): "in the online store, to be pointed back to"
        for snapshot in store.kept()
    }
    served = store.served()
    if served:
        named[Kind.SNAPSHOT, str(served)] = "being served"
    return named


def named_as_newest(catalog: SnapshotCatalog, in_force: dict[date, SnapshotId]) -> Named:
    """The newest dates' snapshots in force, and the newest that passed the quality gate."""
    newest_first = [in_force[day] for day in sorted(in_force, reverse=True)]
    named: Named = {
        (Kind.SNAPSHOT, str(snapshot)): f"one of the newest {NEWEST_KEPT}"
        for snapshot in newest_first[:NEWEST_KEPT]
    }
    for snapshot in newest_first:
        report = catalog.quality(snapshot)
        if report and report.verdict in (Verdict.PASS, Verdict.WARN):
            named.setdefault((Kind.SNAPSHOT, str(snapshot)), "the newest that passed the quality gate")
            break
    return named


def named_by_decisions(found: Iterable[NamedByDay]) -> Named:
    """Snapshots and versions of kept decisions, with how many of them and the last one's day."""
    totals: dict[tuple[Kind, str], tuple[int, date]] = {}
    for by_day in found:
        names = {(Kind.SNAPSHOT, by_day.snapshot)}
        names |= {(Kind.VERSION, version) for version in by_day.versions}
        for name in names:
            count, last = totals.get(name, (0, by_day.day))
            totals[name] = (count + by_day.decisions, max(last, by_day.day))
    return {
        name: f"{count:,} kept decision{'s' if count != 1 else ''}, the last of {last}"
        for name, (count, last) in totals.items()
    }


def _unfinished(storage: Storage, kind: Kind, name: str, folder: str) -> list[Stored]:
    changed = storage.newest_change(folder)
    return [Stored(kind, name, changed, is_finished=False)] if changed else []


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
