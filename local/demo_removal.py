"""Removing a generated history from a market, so that it is as if there had been none."""

from dataclasses import dataclass

from creditrisk.online_store import OnlineStore
from creditrisk.refresh import publish_snapshot
from creditrisk.settings import Settings
from creditrisk.snapshots import MANIFEST, SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage
from creditrisk.store_schema import StoreSchema
from local.demo_snapshots import GENERATED
from local.demo_tables import DemoTables
from local.demo_telling import STEM


@dataclass(frozen=True, slots=True)
class _Snapshots:
    """The committed snapshots of a market: the history's, and its own."""

    catalog: SnapshotCatalog
    of_history: list[SnapshotId]
    own: list[SnapshotId]

    @classmethod
    def of(cls, catalog: SnapshotCatalog) -> "_Snapshots":
        committed = [snapshot for snapshot in catalog.folders() if catalog.exists(snapshot)]
        of_history = [each for each in committed if _is_of_history(catalog.manifest(each))]
        return cls(catalog, of_history, [each for each in committed if each not in of_history])

    def remove(self, kept: SnapshotId | None) -> int:
        """Remove the history's, but for one; of each date one of the market's own is in force again, if there is one."""
        lake = self.catalog.lake
        going = [each for each in self.of_history if each != kept]
        for snapshot in going:
            others = [each for each in (*self.own, kept) if each and each.as_of == snapshot.as_of]
            if others:
                self.catalog.put_in_force(others[0])
            lake.remove(f"{snapshot.folder}/{MANIFEST}")
            lake.remove_folder(snapshot.folder if others else f"features/{snapshot.as_of}")
            lake.remove_folder(snapshot.quarantine_folder)
        return len(going)


def remove(settings: Settings) -> list[str]:
    """Remove a generated history from a market; what went, for a person.

    The newest snapshot of the market's own is served again; where it has none, the history's last one goes on being
    served, as a service without features would help nobody.
    """
    schema, lake = StoreSchema.of(settings), Storage(settings.lake_root)
    snapshots = _Snapshots.of(SnapshotCatalog(lake))
    served = OnlineStore(settings).served()
    goes_back = served in snapshots.of_history and bool(snapshots.own)
    if goes_back:
        served = snapshots.own[-1]
    going = [str(each) for each in snapshots.of_history if each != served]
    with schema.connected() as connection:
        tables = DemoTables(connection, schema)
        days = tables.days()
        rows = tables.remove(*days, going) if days else {}
    if goes_back:  # once the ledger knows the history's no more, so that none of its tables is kept
        publish_snapshot(settings, str(served), publish_older=True)
    files = [key for kind in ("loans", "labels") for key in lake.keys(f"raw/{kind}") if f"/{STEM}-" in key]
    for key in files:
        lake.remove(key)
    if days:
        reports = (day for day in lake.folders("reports") if str(days[0]) <= day <= str(days[1]))
        for day in reports:
            lake.remove_folder(f"reports/{day}")
    removed = snapshots.remove(served)
    if not (rows or files or removed):
        return [f"Market {settings.market} has no generated history."]
    counts = ", ".join(f"{count:,} of {table}" for table, count in rows.items())
    return [
        f"Removed from market {settings.market}: {counts or 'no rows'}; {len(files)} landed files, {removed} snapshots.",
        f"Served now: {served}.",
    ]


def _is_of_history(manifest: SnapshotManifest) -> bool:
    """Whether a snapshot was written for a history, or built from its files."""
    return manifest.code_version == GENERATED or any(f"/{STEM}-" in file.url for file in manifest.inputs)
