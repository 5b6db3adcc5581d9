"""A lake of one test's own: loans and labels to land, the job to run, and what it wrote to read back."""

import csv
import gzip
import io
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from pyspark.sql import SparkSession

from creditrisk.contract import RAW_COLUMNS
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage
from spark_jobs.run import Run, build
from spark_jobs.writing import Outcome

NAMES = tuple(column.name for column in RAW_COLUMNS)
TODAY = date(2021, 6, 1)
AS_OF = date(2020, 12, 31)

_GOOD = dict(
    loan_id="1", id="5008827", code_gender="F", flag_own_car="Y", flag_own_realty="N", cnt_children="0",
    amt_income_total="126000.0", name_income_type="Working", name_education_type="Higher education",
    name_family_status="Married", name_housing_type="House / apartment", days_birth="-12411", days_employed="-900",
    flag_mobil="1", flag_work_phone="0", flag_phone="0", flag_email="0", occupation_type="", cnt_fam_members="2.0",
    status="0", birthday="1980-05-17", job_start_date="2010-03-01", loan_date="2020-06-01", loan_amount="100.5",
)  # fmt: skip


def loan(loan_id: int, **changes: object) -> dict[str, str]:
    """A good row, but for what is changed."""
    return _GOOD | {"loan_id": str(loan_id)} | {name: str(value) for name, value in changes.items()}


def csv_text(rows: Iterable[Mapping[str, str]], names: tuple[str, ...] = NAMES) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([row[name] for name in names] for row in rows)
    return text.getvalue()


def line(row: Mapping[str, str]) -> str:
    return ",".join(row[name] for name in NAMES)


@dataclass
class Built:
    """A snapshot as its readers see it."""

    lake: Storage
    manifest: SnapshotManifest
    outcome: Outcome

    @property
    def is_new(self) -> bool:
        return self.outcome is Outcome.NEW

    @property
    def id(self) -> SnapshotId:
        return SnapshotId.parse(self.manifest.snapshot)

    def folder(self, key: str = "") -> Path:
        assert self.lake.local_root is not None
        return self.lake.local_root / self.id.folder / key

    def loans(self) -> dict[int, dict[str, Any]]:
        return {row["loan_id"]: row for row in parquet.read_table(self.folder("loans")).to_pylist()}

    def customers(self) -> dict[int, dict[str, Any]]:
        return {row["id"]: row for row in parquet.read_table(self.folder("customers")).to_pylist()}

    def quarantined(self) -> list[dict[str, Any]]:
        assert self.lake.local_root is not None
        rows: list[dict[str, Any]] = parquet.read_table(
            self.lake.local_root / self.id.quarantine_folder
        ).to_pylist()
        return rows

    def reasons(self) -> dict[str, set[str]]:
        """Broken rules by the row's raw text."""
        return {row["raw"]: {reason["rule"] for reason in row["reasons"]} for row in self.quarantined()}


class Lake:
    """A market's lake on disk."""

    def __init__(self, settings: Settings, spark: SparkSession) -> None:
        self.settings = settings
        self.spark = spark
        self.storage = Storage(settings.lake_root)
        self.catalog = SnapshotCatalog(self.storage)

    def land(
        self,
        rows: Iterable[Mapping[str, str]] | str,
        landed: date = AS_OF,
        name: str = "loans.csv",
        kind: str = "loans",
    ) -> Path:
        assert self.storage.local_root is not None
        path = self.storage.local_root / "raw" / kind / str(landed) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = rows if isinstance(rows, str) else csv_text(rows)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    def build(self, as_of: date = AS_OF, loans: str = "", landed_until: date | None = None) -> Built:
        run = Run(
            as_of=as_of,
            landed_until=landed_until or as_of,
            loans=loans or f"{self.settings.lake_root}/raw/loans",
            labels=f"{self.settings.lake_root}/raw/labels",
            today=TODAY,
        )
        manifest, outcome = build(self.settings, run, time.monotonic(), self.spark)
        return Built(self.storage, manifest, outcome)
