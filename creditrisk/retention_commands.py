"""The command line's retention command: remove what is older than the settings keep, and say why the rest stays."""

import argparse
from datetime import UTC, datetime
from typing import Any

from creditrisk.removing import removal_plan, remove_expired
from creditrisk.settings import Settings


def add_retention_commands(commands: Any) -> None:
    """Add the command to an argument parser's subparsers."""
    retain = commands.add_parser(
        "retain", help="remove decisions, snapshots, quarantine and versions that need not be kept any longer"
    )
    retain.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")
    retain.set_defaults(run=_retain)


def _retain(settings: Settings, arguments: argparse.Namespace) -> None:
    act = removal_plan if arguments.dry_run else remove_expired
    done = act(settings, datetime.now(UTC))
    print("\n".join(done.lines(settings.retention)))
