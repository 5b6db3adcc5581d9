"""What the jobs' command lines have in common: where the lake is, and how they end."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from creditrisk.errors import MAY_PASS, CreditRiskError
from creditrisk.settings import Settings, file_url, load_settings
from spark_jobs.report import failure_line

FOR_A_PERSON = 65
"""The exit code where another try cannot help until somebody has mended the input: EX_DATAERR of sysexits.h."""


def add_lake(parser: argparse.ArgumentParser) -> None:
    """Let a command line say which market's lake it is for."""
    parser.add_argument("--lake", help="file:// or s3:// URL, or a path; default: CREDITRISK_LAKE_URL")
    parser.add_argument("--market", help="default: CREDITRISK_MARKET")


def settings_of(asked: argparse.Namespace) -> Settings:
    """This deployment's settings, with the lake and the market that were asked for."""
    chosen = {"market": asked.market} if asked.market else {}
    if asked.lake:
        chosen["lake_url"] = asked.lake if "://" in asked.lake else file_url(Path(asked.lake))
    return load_settings(**chosen)


def ended(job: Callable[[], Sequence[str]]) -> int:
    """Do a job and print its lines: 0; or with one line on stderr, the last, on what is wrong, 65 or 1.

    It is 65 where nothing but somebody's hand mends it, and 1 where another try may go well, or nobody knows.
    """
    try:
        lines = job()
    except CreditRiskError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 1 if isinstance(error, MAY_PASS) else FOR_A_PERSON
    except Exception as error:  # noqa: BLE001 - told in full, and in one line at the end, where a log is read
        traceback.print_exc()
        print(failure_line(error), file=sys.stderr, flush=True)
        return 1
    print("\n".join(lines), flush=True)
    return 0
