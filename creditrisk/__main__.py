"""The command line: ``python -m creditrisk <command>``; ``--help`` lists the commands."""

import argparse
import sys
from collections.abc import Callable, Sequence

from creditrisk.errors import CreditRiskError
from creditrisk.key_commands import add_key_commands
from creditrisk.release_commands import add_release_commands
from creditrisk.retention_commands import add_retention_commands
from creditrisk.settings import Settings, load_settings
from creditrisk.snapshot_commands import add_snapshot_commands

Command = Callable[[Settings, argparse.Namespace], None]


def build_parser() -> argparse.ArgumentParser:
    """All commands, each with its help; the function that runs it is its ``run`` default."""
    parser = argparse.ArgumentParser(
        prog="python -m creditrisk", description="Credit-risk features, models, decisions."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="<command>")
    add_snapshot_commands(commands)
    add_release_commands(commands)
    add_retention_commands(commands)
    add_key_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error is one line on stderr and exit code 1."""
    arguments = build_parser().parse_args(argv)
    try:
        arguments.run(load_settings(), arguments)
    except CreditRiskError as error:
        print(f"creditrisk: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
