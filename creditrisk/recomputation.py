"""Customers' rows worked out once more by the feature job's code: what monitoring asks for, and what came of it.

``reports/<day>/skew-sample-0001.json`` names decisions of a day and, by the snapshot they rest on, their customers.
``reports/<day>/skew-rows-0001-0001.json`` is the answer to it: one object, so there is the whole of it or nothing.
Nothing is overwritten: who asks or answers again takes the next number.
"""

import json
import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from creditrisk.errors import ObjectExists
from creditrisk.storage import Storage

_SAMPLE = re.compile(r"reports/(\d{4}-\d{2}-\d{2})/skew-sample-(\d{4,})\.json")
_ROWS = re.compile(r"skew-rows-(\d{4,})-(\d{4,})\.json")
_DATES = ("loan_date", "birthday", "job_start_date")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SkewSample(_Record):
    """Decisions of a day whose features are to be worked out again."""

    day: date
    decisions: list[str]
    """Their ids."""
    customers: dict[str, list[int]]
    """By snapshot, ascending."""


class RecomputedRows(_Record):
    """What the feature job's code makes of the landed files that one snapshot was made of."""

    snapshot: str
    code_version: str
    """Of the snapshot."""
    rows: list[dict[str, Any]] = []
    """``CUSTOMER_COLUMNS`` of those of the customers that there are."""
    problem: str | None = None
    """Why there are no rows."""
    changed_files: list[str] = []
    """A sentence for each landed file that is no longer the one that was read."""

    @field_validator("rows")
    @classmethod
    def _with_dates(cls, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: _value(name, value) for name, value in row.items()} for row in rows]


class Recomputation(_Record):
    """The answer to a sample."""

    sample: SkewSample
    code_version: str
    """Of the code that worked the rows out again."""
    snapshots: list[RecomputedRows]


def ask(lake: Storage, sample: SkewSample) -> str:
    """Put a sample into the lake; its key.

    Raises:
        StorageError: the lake cannot be read or written.
    """
    folder = f"reports/{sample.day}"
    while True:
        taken = [
            int(found[2]) for name in lake.names(folder) if (found := _SAMPLE.fullmatch(f"{folder}/{name}"))
        ]
        key = f"{folder}/skew-sample-{max(taken, default=0) + 1:04d}.json"
        if _created(lake, key, sample):
            return key


def sample_of(lake: Storage, key: str) -> SkewSample:
    """A sample by its key.

    Raises:
        ObjectMissing: there is none.
    """
    return SkewSample.model_validate_json(lake.read(key))


def answer(lake: Storage, key: str, recomputation: Recomputation) -> str:
    """Put the answer to a sample into the lake; its key.

    Raises:
        ValueError: ``key`` is not that of a sample.
        StorageError: the lake cannot be read or written.
    """
    sample = _SAMPLE.fullmatch(key)
    if sample is None:
        raise ValueError(f"{key}: not the key of a sample")
    folder = f"reports/{sample[1]}"
    while True:
        taken = [number for asked, number in _answers(lake, folder) if asked == int(sample[2])]
        made = f"{folder}/skew-rows-{sample[2]}-{max(taken, default=0) + 1:04d}.json"
        if _created(lake, made, recomputation):
            return made


def newest_recomputation(lake: Storage, day: date) -> Recomputation | None:
    """The last answer to the newest sample of a day that has one; None where there is none.

    Raises:
        StorageError: the lake cannot be read.
    """
    folder = f"reports/{day}"
    answers = _answers(lake, folder)
    if not answers:
        return None
    sample, number = max(answers)
    text = lake.read(f"{folder}/skew-rows-{sample:04d}-{number:04d}.json")
    return Recomputation.model_validate(json.loads(text))  # Python reads a float back as the very one


def _answers(lake: Storage, folder: str) -> Sequence[tuple[int, int]]:
    """The numbers of the samples and of their answers."""
    return [(int(found[1]), int(found[2])) for name in lake.names(folder) if (found := _ROWS.fullmatch(name))]


def _created(lake: Storage, key: str, record: _Record) -> bool:
    try:
        lake.create(key, json.dumps(record.model_dump(mode="json")).encode() + b"\n")
    except ObjectExists:
        return False  # somebody else's took the number
    return True


def _value(name: str, value: Any) -> Any:
    return date.fromisoformat(value) if name in _DATES and isinstance(value, str) else value
