"""The command line's snapshot commands: what there is, what the gate says, what is served, and changing it."""

import argparse
from typing import Any

from creditrisk.errors import QualityGateFailed, SettingsError, StoreUnavailable
from creditrisk.online_store import OnlineStore
from creditrisk.quality import report_text
from creditrisk.refresh import judge_snapshot, point_back, publish_snapshot
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage


def add_snapshot_commands(commands: Any) -> None:
    """Add the commands to an argument parser's subparsers."""
    snapshots = commands.add_parser("snapshots", help="list the snapshots: judged, published, served")
    snapshots.add_argument("--switches", action="store_true", help="list instead what was served when")
    snapshots.set_defaults(run=_snapshots)

    quality = commands.add_parser("quality", help="judge a snapshot and show every check")
    quality.add_argument("snapshot")
    quality.set_defaults(run=_quality)

    publish = commands.add_parser("publish", help="serve a snapshot that the quality gate let through")
    publish.add_argument("snapshot")
    publish.add_argument("--publish-older", action="store_true", help="even though a newer one is served")
    publish.set_defaults(run=_publish)

    back = commands.add_parser("point-back", help="serve again a snapshot that is still in the online store")
    back.add_argument("snapshot")
    back.set_defaults(run=_point_back)

    migrate = commands.add_parser("migrate", help="apply the online store's schema changes that are missing")
    migrate.set_defaults(run=_migrate)


def _snapshots(settings: Settings, arguments: argparse.Namespace) -> None:
    if arguments.switches:
        _switches(settings)
        return
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    store_states, unknown = _store_states(settings)
    in_force = {catalog.current(day) for day in catalog.dates()} - {None}
    snapshots = sorted({snapshot for snapshot in in_force if snapshot} | set(store_states))
    if not snapshots:
        print(f"No snapshot in the lake {catalog.lake.url} yet: run refresh_features first.")
    for snapshot in snapshots:
        report = catalog.quality(snapshot)
        judged = f"quality: {report.verdict}" if report else "not judged"
        date_state = "in force for its date" if snapshot in in_force else "no longer in force"
        state = store_states.get(snapshot, unknown)
        print(f"{snapshot}  {date_state:21}  {judged:13}  {state}")


def _store_states(settings: Settings) -> tuple[dict[SnapshotId, str], str]:
    """What the online store has to say of the snapshots that it knows, and of every other."""
    try:
        store = OnlineStore(settings)
        served, kept, switches = store.served(), store.kept(), store.switches()
    except (SettingsError, StoreUnavailable) as error:
        print(f"(What is served is not known. {error})")
        return {}, "published: not known"
    states = {
        switch.snapshot: f"last served from {switch.at.astimezone(settings.zone):%Y-%m-%d %H:%M}"
        for switch in switches
    }
    for snapshot in states:
        if snapshot == served:
            states[snapshot] = f"SERVED since {states[snapshot].removeprefix('last served from ')}"
        elif snapshot in kept:
            states[snapshot] += ", kept: can be pointed back to"
    return states, "never published"


def _switches(settings: Settings) -> None:
    for switch in OnlineStore(settings).switches():
        at = switch.at.astimezone(settings.zone)
        print(
            f"{at:%Y-%m-%d %H:%M:%S %Z}  {switch.action:10}  {switch.snapshot}  {switch.customers:,} customers"
        )


def _quality(settings: Settings, arguments: argparse.Namespace) -> None:
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    snapshot = SnapshotId.parse(arguments.snapshot)
    try:
        report = judge_snapshot(settings, arguments.snapshot)
    except QualityGateFailed:
        recorded = catalog.quality(snapshot)
        if recorded:
            print(report_text(recorded))
        raise
    print(report_text(report))


def _publish(settings: Settings, arguments: argparse.Namespace) -> None:
    publication = publish_snapshot(settings, arguments.snapshot, publish_older=arguments.publish_older)
    print(publication.sentence)


def _point_back(settings: Settings, arguments: argparse.Namespace) -> None:
    print(point_back(settings, arguments.snapshot).sentence)


def _migrate(settings: Settings, _: argparse.Namespace) -> None:
    applied = OnlineStore(settings).migrate()
    print("\n".join(f"Applied {name}." for name in applied) or "The schema is up to date.")
