"""Example rows that a snapshot's job refused, from the lake: a few for each rule, however many there are."""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow.parquet as parquet

from creditrisk.errors import CreditRiskError
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId
from creditrisk.storage import Storage

EXAMPLES = 3
"""Rows shown of each rule."""

_FILES, _ROWS = 20, 20_000
"""How much of the quarantine is looked into for examples."""


@dataclass(frozen=True, slots=True)
class Example:
    """A row that broke a rule."""

    source: str
    raw: str
    field: str
    value: str


def examples_of(settings: Settings, snapshot: str) -> dict[str, list[Example]]:
    """Example rows by rule; empty where the quarantine is gone or was never written."""
    try:
        return _examples(settings.lake_root, SnapshotId.parse(snapshot).quarantine_folder)
    except (CreditRiskError, OSError, ValueError):  # pyarrow's errors are among the last two
        return {}


@lru_cache(maxsize=64)
def _examples(url: str, folder: str) -> dict[str, list[Example]]:
    lake = Storage(url)
    found: dict[str, list[Example]] = defaultdict(list)
    read = 0
    for key in [key for key in lake.keys(folder) if key.endswith(".parquet")][:_FILES]:
        with lake.open(key) as file:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    _take(row, found)
                read += batch.num_rows
                if read >= _ROWS:
                    return dict(found)
    return dict(found)


def _take(row: dict[str, Any], found: dict[str, list[Example]]) -> None:
    for reason in row["reasons"] or ():
        if len(found[reason["rule"]]) < EXAMPLES:
            name = str(row["source"]).rsplit("/", 1)[-1]
            found[reason["rule"]].append(
                Example(name, row["raw"] or "", reason["field"] or "", reason["value"] or "")
            )
