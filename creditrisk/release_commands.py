"""The command line's release commands: what versions there are, who serves, who served when, and changing it."""

import argparse
from typing import Any

from creditrisk.acting_user import acting_user
from creditrisk.errors import ChallengeRefused, ReleaseError, VersionDamaged
from creditrisk.registry import ModelManifest, ModelRegistry
from creditrisk.release import ReleaseRecord, release_time
from creditrisk.release_ledger import ReleaseLedger, abort, challenge, promote, roll_back
from creditrisk.settings import Settings
from creditrisk.storage import Storage

TIME_HELP = "such as 2021-01-15 or 2021-01-15T10:30:00+00:00; in the market's time zone by default"


def add_release_commands(commands: Any) -> None:
    """Add the commands to an argument parser's subparsers."""
    versions = commands.add_parser("versions", help="list the registered model versions, newest last")
    versions.set_defaults(run=_versions)
    releases = commands.add_parser("releases", help="list the release records, newest last")
    releases.add_argument("--at", metavar="TIME", help=f"only the one in force then; {TIME_HELP}")
    releases.set_defaults(run=_releases)

    promotion = commands.add_parser("promote", help="put a model version into service")
    promotion.add_argument("version")
    _add_who_and_why(promotion)
    promotion.set_defaults(run=_promote)

    rollback = commands.add_parser("roll-back", help="put the version that served before back into service")
    rollback.add_argument("--to", metavar="VERSION", help="an earlier version; by default the one before")
    _add_who_and_why(rollback)
    rollback.set_defaults(run=_roll_back)

    challenging = commands.add_parser(
        "challenge", help="let a model version challenge the champion, or grow its share"
    )
    challenging.add_argument("version")
    challenging.add_argument(
        "--share",
        type=float,
        default=0.0,
        help="of customers whom it decides on, from 0 to 1; a challenge starts at 0, where it only scores"
        " beside the champion, and its share only grows",
    )
    _add_who_and_why(challenging)
    challenging.set_defaults(run=_challenge)

    aborting = commands.add_parser("abort", help="end the challenge; the champion goes on")
    aborting.add_argument("version", nargs="?", help="by default the one that challenges")
    _add_who_and_why(aborting)
    aborting.set_defaults(run=_abort)

    at = commands.add_parser("served-at", help="say which version served at a time: releases --at")
    at.add_argument("at", metavar="time", help=TIME_HELP)
    at.set_defaults(run=_releases)


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
        print(_version_line(manifest, release))
    for problem in damaged:
        print(problem)


def _version_line(manifest: ModelManifest, release: ReleaseRecord | None) -> str:
    auc = manifest.metrics.get("roc_auc")
    figure = f"ROC AUC {auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f})" if auc else "no ROC AUC"
    reasons = f": {'; '.join(manifest.gate.reasons)}" if manifest.gate.reasons else ""
    mark = ""
    if release is not None and manifest.version in (release.champion, release.challenger):
        mark = "  serves" if manifest.version == release.champion else f"  challenges at {release.share:.4g}"
    return (
        f"{manifest.version}  {manifest.created_at:%Y-%m-%d %H:%M} UTC  snapshot {manifest.snapshot}"
        f"  {manifest.spec.get('estimator', '')}  {figure}  {manifest.gate.verdict}{reasons}{mark}"
    )


def _releases(settings: Settings, arguments: argparse.Namespace) -> None:
    ledger = ReleaseLedger(Storage(settings.registry_root))
    if arguments.at is not None:
        print(_release_line(settings, ledger.served_at(release_time(arguments.at, settings.zone))))
        return
    history = ledger.history()
    if not history:
        print("Nothing has been released yet.")
    for record in history:
        print(_release_line(settings, record))


def _challenge(settings: Settings, arguments: argparse.Namespace) -> None:
    record = challenge(
        settings,
        arguments.version,
        arguments.share,
        by=acting_user(arguments, ReleaseError),
        reason=arguments.reason,
    )
    print(_release_line(settings, record))


def _abort(settings: Settings, arguments: argparse.Namespace) -> None:
    newest = ReleaseLedger(Storage(settings.registry_root)).newest()
    challenger = newest.challenger if newest else None
    version = arguments.version or challenger
    if version is None or version != challenger:
        raise ChallengeRefused(f"abort: {version or 'nothing'}: does not challenge")
    print(
        _release_line(
            settings,
            abort(settings, version, by=acting_user(arguments, ReleaseError), reason=arguments.reason),
        )
    )


def _promote(settings: Settings, arguments: argparse.Namespace) -> None:
    record = promote(
        settings, arguments.version, by=acting_user(arguments, ReleaseError), reason=arguments.reason
    )
    print(_release_line(settings, record))


def _roll_back(settings: Settings, arguments: argparse.Namespace) -> None:
    record = roll_back(
        settings, by=acting_user(arguments, ReleaseError), reason=arguments.reason, to=arguments.to
    )
    print(_release_line(settings, record))


def _release_line(settings: Settings, record: ReleaseRecord) -> str:
    at = record.at.astimezone(settings.zone)
    challenger = f", {record.challenger} challenges at {record.share:.4g}" if record.challenger else ""
    return (
        f"release {record.number}  {at:%Y-%m-%d %H:%M:%S %Z}  {record.action}  {record.champion} serves"
        f"{challenger}  by {record.by}: {record.reason}"
    )
