"""``python -m local run|start|stop|status``: the whole system on this machine."""

import argparse
import sys
from collections.abc import Sequence

import httpx

from creditrisk.errors import CreditRiskError
from creditrisk.settings import Settings, load_settings
from local.progress import Progress, StackError, fail

SAMPLE = "sample"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m local", description="The whole system on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="<command>")
    run = commands.add_parser("run", help="start everything and take loans all the way to decisions")
    run.add_argument(
        "--loans",
        default="",
        help=f"a loans file of your own, or '{SAMPLE}'; empty: what ran last, at first a sample",
    )
    for name, what in (
        ("start", "start every service"),
        ("stop", "stop every service"),
        ("status", "tell what is up"),
    ):
        commands.add_parser(name, help=what)
    arguments = parser.parse_args(argv)
    try:
        return _run(arguments, load_settings())
    except (CreditRiskError, StackError) as error:
        return fail(error)
    except httpx.HTTPError as error:
        request = error.request
        return fail(
            StackError(f"no answer to {request.method} {request.url} ({error}); what is up: make status")
        )
    except KeyboardInterrupt:
        return fail(StackError("interrupted; what was started stays up: make status, make stop"))


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    from local import stack

    if arguments.command == "run":
        from local.walkthrough import walk_through

        walk_through(settings, arguments.loans)
    elif arguments.command == "start":
        stack.start(settings, Progress())
    elif arguments.command == "stop":
        stopped = stack.stop(settings)
        print(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")
    else:
        states = stack.status(settings)
        for name, state in states.items():
            print(f"{name:22} {state}")
        return 1 if "down" in states.values() else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
