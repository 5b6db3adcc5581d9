"""The feature job: builds the feature snapshot of one date from the loans that have landed.

    python -m spark_jobs.build_features --as-of 2020-12-31 --lake file:///srv/lake

Also runs as a file under ``spark-submit``. The last line of its output is the snapshot's id.
"""

import sys
from pathlib import Path

if not __package__:  # run as a file: the checkout is not on the path yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
import os
import time
from datetime import date, datetime

from creditrisk.settings import Settings
from spark_jobs.command_line import add_lake, ended, settings_of
from spark_jobs.report import report_lines
from spark_jobs.run import Run, build


def main(arguments: list[str] | None = None) -> int:
    """Run the job; 0 when the snapshot is committed; else 1 or 65 with one line, the last, on what is wrong."""
    return ended(lambda: _run(*parse(arguments)))


def parse(arguments: list[str] | None) -> tuple[Run, Settings]:
    """What is asked for, and the settings with it."""
    parser = argparse.ArgumentParser(
        prog="build_features", description="Build the feature snapshot of one date."
    )
    parser.add_argument("--as-of", type=date.fromisoformat, required=True, help="the snapshot's date")
    parser.add_argument("--loans", help="file, folder or URL; default: <lake>/<market>/raw/loans")
    parser.add_argument("--labels", help="file, folder or URL; default: <lake>/<market>/raw/labels")
    parser.add_argument(
        "--landed-until", type=date.fromisoformat, help="read folders landed by this day; default: the date"
    )
    add_lake(parser)
    parser.add_argument(
        "--profile", action="store_true", help="keep Spark's event log under var/spark/events"
    )
    asked = parser.parse_args(arguments)
    settings = settings_of(asked)
    run = Run(
        as_of=asked.as_of,
        landed_until=asked.landed_until or asked.as_of,
        loans=asked.loans or f"{settings.lake_root}/raw/loans",
        labels=asked.labels or f"{settings.lake_root}/raw/labels",
        today=datetime.now(settings.zone).date(),
        event_log=settings.var_dir.absolute() / "spark" / "events" if asked.profile else None,
    )
    return run, settings


def _run(run: Run, settings: Settings) -> list[str]:
    manifest, outcome = build(settings, run, _process_start())
    return [*report_lines(manifest, outcome), manifest.snapshot]


def _process_start() -> float:
    """When this process began, on the clock of ``time.monotonic``: Python's own start counts too."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        age = 0.0
    return time.monotonic() - age


if __name__ == "__main__":
    sys.exit(main())
