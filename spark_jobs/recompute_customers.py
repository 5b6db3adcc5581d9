"""Works out sampled customers' rows again, by the feature job's own code from the landed files it read.

    python -m spark_jobs.recompute_customers --sample reports/2021-01-10/skew-sample-0001.json --lake file:///srv/lake

Also runs as a file under ``spark-submit``. The last line of its output is the key of what it wrote into the lake.
"""

import sys
from pathlib import Path

if not __package__:  # run as a file: the checkout is not on the path yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse

from creditrisk.settings import Settings
from spark_jobs.command_line import add_lake, ended, settings_of
from spark_jobs.recomputing import recompute, recompute_lines


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 when the rows are in the lake; else 1 or 65 with one line, the last, on what is wrong."""
    return ended(lambda: _run(*parse(arguments)))


def parse(arguments: list[str] | None) -> tuple[str, Settings]:
    """The key of the sample, and the settings with it."""
    parser = argparse.ArgumentParser(
        prog="recompute_customers", description="Work out sampled customers' rows again."
    )
    parser.add_argument("--sample", required=True, help="its key in the lake")
    add_lake(parser)
    asked = parser.parse_args(arguments)
    return asked.sample, settings_of(asked)


def _run(sample: str, settings: Settings) -> list[str]:
    key, recomputation = recompute(settings, sample)
    return [*recompute_lines(recomputation), key]


if __name__ == "__main__":
    sys.exit(main())
