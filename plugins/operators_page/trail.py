"""Where a decision came from: the customer's row in the snapshot, and the raw loans as they landed."""

import csv
import gzip
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as parquet

from creditrisk.errors import CreditRiskError
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotManifest
from creditrisk.storage import Storage

SECONDS = 10.0
"""How long landed files are searched for a customer's loans."""

MOST = 100
_CUSTOMER = "id"
_TURN = threading.Lock()


@dataclass(frozen=True, slots=True)
class RawLoan:
    """A landed row of a customer's."""

    file: str
    landed: str
    row: dict[str, str]


@dataclass(frozen=True, slots=True)
class RawLoans:
    """What the landed files have of a customer, and whether all of them were searched."""

    loans: list[RawLoan]
    is_whole: bool
    problems: list[str]


def search(settings: Settings, manifest: SnapshotManifest, customer: int) -> RawLoans | str:
    """What :func:`raw_loans` finds; in words why not, where somebody else is searching: it would take two processors."""
    if not _TURN.acquire(blocking=False):  # who waits here would keep a thread of Airflow's API from its work
        return f"Somebody else is searching the landed files, for {SECONDS:g} seconds at most: ask again in a moment."
    try:
        return raw_loans(settings, manifest, customer)
    finally:
        _TURN.release()


def raw_loans(settings: Settings, manifest: SnapshotManifest, customer: int) -> RawLoans:
    """Search the files that a snapshot was made of, the newest first, within a time limit."""
    deadline = time.monotonic() + SECONDS
    found = RawLoans([], True, [])
    for source in sorted(manifest.inputs, key=lambda one: one.landed, reverse=True):
        key = _key(settings, source.url)
        if key is None:
            found.problems.append(f"{source.url}: lies outside the lake, and is not read from here")
            continue
        try:
            for row in _rows_of(Storage(settings.lake_root), key, customer, deadline):
                found.loans.append(RawLoan(key.rsplit("/", 1)[-1], str(source.landed), row))
                if len(found.loans) >= MOST:
                    return RawLoans(found.loans, False, found.problems)
        except TimeoutError:
            return RawLoans(found.loans, False, found.problems)
        except (CreditRiskError, OSError, EOFError, zlib.error, ValueError) as error:
            found.problems.append(f"{key}: {next(iter(str(error).splitlines()), type(error).__name__)}")
    found.loans.sort(key=lambda loan: (loan.row.get("loan_date") or "", loan.row.get("loan_id") or ""))
    return found


def _key(settings: Settings, url: str) -> str | None:
    """The key of a landed file within the lake; None where it is elsewhere, such as a path given by hand."""
    root = settings.lake_root.rstrip("/") + "/"
    if url.startswith(root):
        return url.removeprefix(root)
    with suppress(ValueError):
        there, here = urlsplit(url), urlsplit(root)
        if there.path.startswith(here.path) and there.netloc == here.netloc:
            return there.path.removeprefix(here.path)
    return None


def _rows_of(lake: Storage, key: str, customer: int, deadline: float) -> Iterator[dict[str, str]]:
    with lake.open(key) as file:
        if key.endswith(".parquet"):
            for batch in parquet.ParquetFile(file).iter_batches():
                _look_at_clock(deadline)
                yield from (_text(row) for row in batch.to_pylist() if row.get(_CUSTOMER) == customer)
            return
        text = gzip.GzipFile(fileobj=file) if key.endswith(".gz") else file
        names = next(csv.reader([text.readline().decode(errors="replace").lstrip("\ufeff")]), [])
        wanted = str(customer).encode()
        for number, line in enumerate(text):
            if number % 10_000 == 0:
                _look_at_clock(deadline)
            if wanted in line:
                values = next(csv.reader([line.decode(errors="replace").rstrip("\r\n")]), [])
                row = dict(zip(names, values, strict=False))
                if row.get(_CUSTOMER, "").strip() == str(customer):
                    yield row


def _look_at_clock(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError


def _text(row: dict[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}
