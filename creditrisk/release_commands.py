"""The command line's release commands: what versions there are, who serves, who served when, and changing it."""

import argparse
import getpass
from datetime import datetime
from typing import Any

from creditrisk.errors import ReleaseError, VersionDamaged
from creditrisk.registry import ModelManifest, ModelRegistry
from creditrisk.release import ReleaseRecord, served_at
from creditrisk.release_ledger import ReleaseLedger, promote, roll_back
from creditrisk.settings import Settings
from creditrisk.storage import Storage


def add_release_commands(commands: Any) -> None:
    """Add the commands to an argument parser's subparsers."""
    versions = commands.add_parser("versions", help="list the registered model versions, newest last")
    versions.set_defaults(run=_versions)
    releases = commands.add_parser("releases", help="list the release records, newest last")
    releases.set_defaults(run=_releases)

    promotion = commands.add_parser("promote", help="put a model version into service")
    promotion.add_argument("version")
    _add_who_and_why(promotion)
    promotion.set_defaults(run=_promote)

    rollback = commands.add_parser("roll-back", help="put the version that served before back into service")
    rollback.add_argument("--to", metavar="VERSION", help="an earlier version; by default the one before")
    _add_who_and_why(rollback)
    rollback.set_defaults(run=_roll_back)

    at = commands.add_parser("served-at", help="say which version served at a time")
    at.add_argument(
        "time", help="such as 2021-01-15 or 2021-01-15T10:30:00+00:00; the market's time zone by default"
    )
    at.set_defaults(run=_served_at)


def _add_who_and_why(command: argparse.ArgumentParser) -> None:
    command.add_argument("--by", help="who does it; by default the user of this machine")
    command.add_argument("--reason", required=True, help="kept in the release record")


def _versions(settings: Settings, _: argparse.Namespace) -> None:
    storage = Storage(settings.registry_root)
    registry = ModelRegistry(storage)
    release = ReleaseLedger(storage).newest()
    versions = registry.versions()
    if not versions:
        print(f"No model version in the registry {storage.url} yet: run train_model first.")
        return
    readable, damaged = [], []
    for version in versions:
        try:
            readable.append(registry.manifest(version))
        except VersionDamaged as error:
            damaged.append(str(error))
    for manifest in sorted(readable, key=lambda manifest: manifest.created_at):
        print(
            _version_line(manifest, is_champion=release is not None and release.champion == manifest.version)
        )
    for problem in damaged:
        print(problem)


def _version_line(manifest: ModelManifest, *, is_champion: bool) -> str:
    auc = manifest.metrics.get("roc_auc")
    figure = f"ROC AUC {auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f})" if auc else "no ROC AUC"
    reasons = f": {'; '.join(manifest.gate.reasons)}" if manifest.gate.reasons else ""
    mark = "  serves" if is_champion else ""
    return (
        f"{manifest.version}  {manifest.created_at:%Y-%m-%d %H:%M} UTC  snapshot {manifest.snapshot}"
        f"  {manifest.spec.get('estimator', '')}  {figure}  {manifest.gate.verdict}{reasons}{mark}"
    )


def _releases(settings: Settings, _: argparse.Namespace) -> None:
    history = ReleaseLedger(Storage(settings.registry_root)).history()
    if not history:
        print("Nothing has been released yet.")
    for record in history:
        print(_release_line(settings, record))


def _promote(settings: Settings, arguments: argparse.Namespace) -> None:
    record = promote(settings, arguments.version, by=_who(arguments), reason=arguments.reason)
    print(_release_line(settings, record))


def _roll_back(settings: Settings, arguments: argparse.Namespace) -> None:
    record = roll_back(settings, by=_who(arguments), reason=arguments.reason, to=arguments.to)
    print(_release_line(settings, record))


def _served_at(settings: Settings, arguments: argparse.Namespace) -> None:
    time = _time(settings, arguments.time)
    record = served_at(ReleaseLedger(Storage(settings.registry_root)).history(), time)
    if record is None:
        print(f"No version served at {time.isoformat()}: nothing had been released yet.")
    else:
        print(_release_line(settings, record))


def _time(settings: Settings, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ReleaseError(f"time: {text!r}: not an ISO 8601 date or time such as 2021-01-15T10:30") from None
    return time if time.tzinfo else time.replace(tzinfo=settings.zone)


def _release_line(settings: Settings, record: ReleaseRecord) -> str:
    at = record.at.astimezone(settings.zone)
    return (
        f"release {record.number}  {at:%Y-%m-%d %H:%M:%S %Z}  {record.action}  {record.champion} serves"
        f"  by {record.by}: {record.reason}"
    )


def _who(arguments: argparse.Namespace) -> str:
    if arguments.by:
        return str(arguments.by)
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise ReleaseError("by: this machine does not know the user's name: give --by") from None
