"""Landing a loans file in the lake, and what has to be known of it first."""

import csv
import gzip
import hashlib
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from creditrisk.contract import RAW_COLUMNS
from creditrisk.errors import ObjectExists
from creditrisk.storage import Storage
from local.progress import StackError
from spark_jobs.landed import CSV_SUFFIXES, PARQUET_SUFFIX, find_landed, read_headers

_CUSTOMERS = 200


@dataclass(frozen=True, slots=True)
class LoansFile:
    """A loans file of the user's, or a generated one."""

    path: Path
    newest: date
    """The newest loan date that is not in the future."""
    customers: tuple[int, ...]
    """Ids of some customers, in the file's order."""


def look_at(path: Path, today: date) -> LoansFile:
    """Read through a CSV file, plain or ``.gz``, or a Parquet file, in bounded memory.

    What the feature job cannot read is refused here: once landed, a file stays, and every later run would meet it.

    Raises:
        StackError: it is missing, is no such file, or has no usable ``id`` and ``loan_date``.
        HeaderError: its columns are not the contract's.
    """
    if not path.is_file():
        raise StackError(f"LOANS={path}: no such file")
    if not path.name.endswith((*CSV_SUFFIXES, PARQUET_SUFFIX)) or path.name.startswith((".", "_")):
        raise StackError(
            f"LOANS={path}: its name has to end in .csv, .csv.gz or .parquet and not to begin with . or _"
        )
    try:
        read_headers(find_landed(str(path), today, today), RAW_COLUMNS)
        is_parquet = path.name.endswith(PARQUET_SUFFIX)
        newest, customers = (_look_at_parquet if is_parquet else _look_at_csv)(path, today)
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise StackError(f"LOANS={path}: cannot be read: {error}") from None
    if newest is None or not customers:
        raise StackError(f"LOANS={path}: no loan_date up to today in it, or no id that is a number")
    return LoansFile(path, newest, tuple(customers))


def _look_at_csv(path: Path, today: date) -> tuple[date | None, list[int]]:
    newest = ""
    customers: dict[int, None] = {}
    opened = gzip.open if path.suffix == ".gz" else Path.open
    # What is no UTF-8 is the row rules' business.
    with opened(path, "rt", newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.reader(file)
        header = next((row for row in rows if "".join(row).strip()), [])
        if not header:
            return None, []
        key, day = header.index("id"), header.index("loan_date")
        for row in rows:
            if len(row) != len(header):
                continue
            if newest < row[day] <= str(today) and _is_date(row[day]):
                newest = row[day]
            if len(customers) < _CUSTOMERS and row[key].isdecimal():
                customers[int(row[key])] = None
    return (date.fromisoformat(newest) if newest else None), list(customers)


def _look_at_parquet(path: Path, today: date) -> tuple[date | None, list[int]]:
    import pyarrow.parquet as parquet

    newest: date | None = None
    customers: dict[int, None] = {}
    for batch in parquet.ParquetFile(path).iter_batches(columns=["id", "loan_date"]):
        for row in batch.to_pylist():
            text = str(row["loan_date"])[:10]
            if _is_date(text) and date.fromisoformat(text) <= today:
                newest = max(newest or date.min, date.fromisoformat(text))
            if len(customers) < _CUSTOMERS and str(row["id"]).isdecimal():
                customers[int(row["id"])] = None
    return newest, list(customers)


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2020-12-31") and bool(date.fromisoformat(text))
    except ValueError:
        return False


def land(loans: LoansFile, lake: Storage) -> str:
    """Put the file into the lake and return its key; the same content is never there twice.

    It lands on the day of its newest loan, as if it had come that night: a run for that date then reads it
    without being told to.
    """
    digest = hashlib.sha256()
    with loans.path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    stem, dot, suffixes = loans.path.name.partition(".")
    key = f"raw/loans/{loans.newest}/{stem}-{digest.hexdigest()[:12]}{dot}{suffixes}"
    with suppress(ObjectExists):
        lake.create(key, loans.path)
    return key
