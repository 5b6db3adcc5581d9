"""Removing a generated history from a market."""

from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog
from creditrisk.storage import Storage
from creditrisk.store_schema import StoreSchema
from local.demo_snapshots import GENERATED
from local.demo_tables import DemoTables
from local.demo_telling import STEM


def remove(settings: Settings) -> list[str]:
    """Remove a generated history from a market; what went, for a person.

    The snapshot that is served and those that the feature job built stay: they are what the job makes of files, and the
    next night builds its own.
    """
    schema, lake = StoreSchema.of(settings), Storage(settings.lake_root)
    with schema.connected() as connection:
        tables = DemoTables(connection, schema)
        days = tables.days()
        if days is None:
            return [f"Market {settings.market} has no generated history."]
        removed = tables.remove(*days)
    files = [key for kind in ("loans", "labels") for key in lake.keys(f"raw/{kind}") if f"/{STEM}-" in key]
    for key in files:
        lake.remove(key)
    catalog = SnapshotCatalog(lake)
    generated = [
        snapshot
        for snapshot in catalog.folders()
        if catalog.exists(snapshot) and catalog.manifest(snapshot).code_version == GENERATED
    ]
    for snapshot in generated:
        lake.remove_folder(f"features/{snapshot.as_of}")
        lake.remove_folder(snapshot.quarantine_folder)
    rows = ", ".join(f"{count:,} of {table}" for table, count in removed.items())
    return [
        f"Removed from market {settings.market}: {rows}; {len(files)} landed files, {len(generated)} snapshots."
    ]
