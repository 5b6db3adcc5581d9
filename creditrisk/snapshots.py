"""Feature snapshots in the lake: their ids, manifests, verdicts, and which one is in force for a date.

``features/<date>/<hash12>/`` holds a snapshot's files; its ``manifest.json`` is written last, and a
snapshot without one does not exist for any reader. ``features/<date>/current-0001.json``, …
name the snapshot in force for the date: created only if absent, the highest number wins.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from creditrisk.errors import (
    ObjectExists,
    ObjectMissing,
    SnapshotDamaged,
    SnapshotMissing,
    SnapshotNotPassed,
)
from creditrisk.storage import Storage

MANIFEST = "manifest.json"
_ID = re.compile(r"(\d{4}-\d{2}-\d{2})-([0-9a-f]{12})")


@dataclass(frozen=True, slots=True, order=True)
class SnapshotId:
    """``<date>-<first 12 hex digits of the content hash>``."""

    as_of: date
    hash12: str

    def __str__(self) -> str:
        return f"{self.as_of}-{self.hash12}"

    @property
    def folder(self) -> str:
        """Key of the snapshot's folder in the lake."""
        return f"features/{self.as_of}/{self.hash12}"

    @property
    def quarantine_folder(self) -> str:
        """Key of the folder of the rows that were refused."""
        return f"quarantine/{self.as_of}/{self.hash12}"

    @property
    def table_name(self) -> str:
        """Name of its table in the online store."""
        return f"features_{self.as_of:%Y%m%d}_{self.hash12}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id back.

        Raises:
            SnapshotMissing: the text is not a snapshot id.
        """
        match = _ID.fullmatch(text.strip())
        try:
            if match:
                return cls(date.fromisoformat(match[1]), match[2])
        except ValueError:
            pass
        raise SnapshotMissing(f"snapshot {text!r}: not an id of the form 2020-12-31-ab12cd34ef56")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RowCounts(_Record):
    """What became of the rows read: ``rows_in == kept + quarantined + later``."""

    rows_in: int
    kept: int
    repeated: int
    """Identical copies among the kept rows; ``kept - repeated`` loans go into the snapshot."""
    quarantined: int
    later: int
    """Rows of loans after the snapshot's date: not judged, counted only."""
    loans: int
    customers: int
    labels_in: int
    labels_quarantined: int


class FeatureStatistics(_Record):
    """One feature over all loan rows. Histogram edges are the contract's."""

    count: int
    nulls: int
    out_of_bounds: int
    min: float | None
    max: float | None
    mean: float | None
    quantiles: dict[str, float]
    """By probability, ``"0.01"`` to ``"0.99"``; empty where every value is missing."""
    histogram: list[int]


class InputFile(_Record):
    """A landed file that was read."""

    url: str
    landed: date
    rows: int
    sha256: str | None = None
    """Of its content, as it was read; None in manifests that are older than this field."""


class SnapshotManifest(_Record):
    """What a snapshot is, and how it came to be."""

    snapshot: str
    market: str
    as_of: date
    landed_until: date
    content_hash: str
    """SHA-256 over the digests below, independent of row order and partitioning."""
    loans_digest: str
    customers_digest: str
    quarantine_digest: str
    contract_fingerprint: str
    code_version: str
    created_at: datetime
    inputs: list[InputFile]
    counts: RowCounts
    quarantined_by_rule: dict[str, int]
    """A row that breaks several rules counts for each."""
    newest_loan_date: date | None
    features: dict[str, FeatureStatistics]
    files: dict[str, str]
    """SHA-256 of each file of the snapshot, by its key within the folder."""
    timings_seconds: dict[str, float]


class Verdict(StrEnum):
    """How a check, or the gate as a whole, ended."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_JUDGED = "not judged"


class Check(_Record):
    """One named check: its value, the limit it was held against, and how it ended."""

    name: str
    value: float | None
    warn_limit: float | None
    fail_limit: float | None
    verdict: Verdict
    sentence: str


class QualityReport(_Record):
    """The quality gate's verdict on a snapshot, and every check behind it."""

    snapshot: str
    verdict: Verdict
    compared_with: str | None
    judged_at: datetime
    checks: list[Check]


class SnapshotCatalog:
    """Reads and commits snapshots in one market's lake."""

    def __init__(self, lake: Storage) -> None:
        self.lake = lake

    def exists(self, snapshot: SnapshotId) -> bool:
        """Whether the snapshot has been committed."""
        return self.lake.exists(f"{snapshot.folder}/{MANIFEST}")

    def manifest(self, snapshot: SnapshotId) -> SnapshotManifest:
        """The manifest of a committed snapshot.

        Raises:
            SnapshotMissing: there is no such snapshot, or it was never finished.
            SnapshotDamaged: its manifest cannot be read.
        """
        try:
            return SnapshotManifest.model_validate_json(self.lake.read(f"{snapshot.folder}/{MANIFEST}"))
        except ObjectMissing:
            raise SnapshotMissing(f"snapshot {snapshot}: not in the lake {self.lake.url}") from None
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(str(part) for part in problem["loc"]) or "all of it"
            raise SnapshotDamaged(f"snapshot {snapshot}: {MANIFEST}: {field}: {problem['msg']}") from None

    def commit(self, manifest: SnapshotManifest) -> None:
        """Make a snapshot exist, its files being in place, and put it in force for its date."""
        snapshot = SnapshotId.parse(manifest.snapshot)
        with suppress(ObjectExists):  # the same content, committed by an earlier run of the date
            self.lake.create(f"{snapshot.folder}/{MANIFEST}", _json(manifest))
        self.put_in_force(snapshot)

    def current(self, as_of: date) -> SnapshotId | None:
        """The snapshot in force for a date, or None."""
        numbers = self._numbered(f"features/{as_of}", "current")
        if not numbers:
            return None
        record = json.loads(self.lake.read(f"features/{as_of}/current-{numbers[-1]:04d}.json"))
        return SnapshotId.parse(record["snapshot"])

    def put_in_force(self, snapshot: SnapshotId) -> None:
        """Name a committed snapshot as the one for its date; nothing changes where it already is."""
        while self.current(snapshot.as_of) != snapshot:
            folder = f"features/{snapshot.as_of}"
            number = next(reversed(self._numbered(folder, "current")), 0) + 1
            try:
                self.lake.create(
                    f"{folder}/current-{number:04d}.json", json.dumps({"snapshot": str(snapshot)}).encode()
                )
            except ObjectExists:
                continue  # somebody else's record took the number: look again

    def folders(self) -> list[SnapshotId]:
        """Every snapshot that has a folder, committed or not, by date."""
        found = [
            f"{day}-{name}"
            for day in self.lake.folders("features")
            for name in self.lake.folders(f"features/{day}")
        ]
        return [SnapshotId.parse(name) for name in found if _ID.fullmatch(name)]

    def dates(self) -> list[date]:
        """Dates that have a snapshot in force, oldest first."""
        days = [date.fromisoformat(name) for name in self.lake.folders("features")]
        return [day for day in days if self._numbered(f"features/{day}", "current")]

    def newest(self) -> SnapshotId:
        """The snapshot in force for the newest date.

        Raises:
            SnapshotMissing: there is none.
        """
        for day in reversed(self.dates()):
            current = self.current(day)
            if current:
                return current
        raise SnapshotMissing(f"no snapshot in the lake {self.lake.url}: run refresh_features first")

    def record_quality(self, report: QualityReport) -> None:
        """Store the gate's verdict with the snapshot; a verdict that changes nothing is not written again."""
        snapshot = SnapshotId.parse(report.snapshot)
        last = self.quality(snapshot)
        if last and last.model_dump(exclude={"judged_at"}) == report.model_dump(exclude={"judged_at"}):
            return
        number = next(reversed(self._numbered(snapshot.folder, "quality")), 0) + 1
        self.lake.create(f"{snapshot.folder}/{_quality_name(number)}", _json(report))

    def quality(self, snapshot: SnapshotId) -> QualityReport | None:
        """The gate's last verdict on a snapshot, or None where it has not been judged."""
        numbers = self._numbered(snapshot.folder, "quality")
        if not numbers:
            return None
        return QualityReport.model_validate_json(
            self.lake.read(f"{snapshot.folder}/{_quality_name(numbers[-1])}")
        )

    def require_passed(self, snapshot: SnapshotId) -> SnapshotManifest:
        """The manifest of a snapshot that the quality gate let through.

        Raises:
            SnapshotMissing: there is no such snapshot.
            SnapshotNotPassed: the gate failed it, or has not judged it.
        """
        manifest = self.manifest(snapshot)
        report = self.quality(snapshot)
        if report is None:
            raise SnapshotNotPassed(f"snapshot {snapshot}: the quality gate has not judged it yet")
        if report.verdict not in (Verdict.PASS, Verdict.WARN):
            failed = "; ".join(check.sentence for check in report.checks if check.verdict is Verdict.FAIL)
            raise SnapshotNotPassed(f"snapshot {snapshot}: refused by the quality gate: {failed}")
        return manifest

    def _numbered(self, folder: str, stem: str) -> list[int]:
        """Numbers of the records of a kind in a folder, ascending; ``quality.json`` itself is number 1."""
        pattern = re.compile(rf"{stem}(?:-(\d{{4}}))?\.json")
        matches = (pattern.fullmatch(name) for name in self.lake.names(folder))
        return sorted(int(match[1] or 1) for match in matches if match)


def _quality_name(number: int) -> str:
    return "quality.json" if number == 1 else f"quality-{number:04d}.json"


def _json(record: BaseModel) -> bytes:
    data: Any = record.model_dump(mode="json")
    return (json.dumps(data, indent=2) + "\n").encode()
