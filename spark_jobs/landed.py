"""Landed files: which ones a run reads, and whether their columns are the contract's."""

import csv
import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from creditrisk.contract import RawColumn
from creditrisk.errors import ContractError, HeaderError, NoInputError
from creditrisk.settings import file_url
from creditrisk.storage import Storage

CSV_SUFFIXES = (".csv", ".csv.gz")
PARQUET_SUFFIX = ".parquet"
NOT_BLANK = r"[^\x00-\x20]"
"""A line without such a character is no row."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHOLE_LINE = re.compile(rf"[\x00-\x20]*{NOT_BLANK}[^\r\n]*[\r\n]".encode())
_LONGEST_HEADER = 1 << 20
_UNREADABLE = (OSError, EOFError, zlib.error, csv.Error, ValueError)
"""What is raised by content that is not what the file's name says; an OSError is no storage's, which has its own."""


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A file of the input: its key below the input's root, and the day it landed."""

    key: str
    landed: date

    @property
    def is_parquet(self) -> bool:
        """Whether it is Parquet; CSV otherwise."""
        return self.key.endswith(PARQUET_SUFFIX)


@dataclass(frozen=True, slots=True)
class LandedFiles:
    """Files below one root."""

    root: Storage
    files: tuple[LandedFile, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """A file's column names in the file's order, and its first line that is not blank; a Parquet file has none."""

    names: tuple[str, ...]
    line: str | None = None


def find_landed(where: str, landed_until: date, today: date) -> LandedFiles:
    """Files that landed by a day, in the order of their keys.

    Args:
        where: a URL or a local path, of a file or of a folder. A folder of a landing day (``2020-12-31/…``) is read
            when the day has come; a file given by itself, or lying directly in the folder, counts as landed today.
        landed_until: the last landing day to read.
        today: the day of the run.

    Raises:
        ContractError: a folder is no landing day, or a file is neither CSV nor Parquet; all of them are listed.
    """
    url = where if "://" in where else file_url(Path(where))
    root, names = _listing(url)
    found, strange = [], []
    for key in names:
        if any(part.startswith((".", "_")) for part in key.split("/")):
            continue  # by custom a file that is still being written, or a marker
        folder = key.split("/")[0] if "/" in key else ""
        landed = _day(folder) if folder else today
        if folder and landed is not None and landed > landed_until:
            continue  # landed since: what lies there is for a later run to judge
        if landed is None or not key.endswith((*CSV_SUFFIXES, PARQUET_SUFFIX)):
            strange.append(key)
        else:
            found.append(LandedFile(key, landed))
    if strange:
        raise ContractError(
            f"{url}: not CSV (.csv, .csv.gz) or Parquet (.parquet) in a folder of a landing day"
            f" (YYYY-MM-DD): {', '.join(strange)}"
        )
    return LandedFiles(root, tuple(found))


def require_input(loans: LandedFiles, landed_until: date) -> None:
    """Raise where there is nothing to read.

    Raises:
        NoInputError: no loans file has landed.
    """
    if not loans.files:
        raise NoInputError(f"{loans.root.url}: no loans file has landed up to {landed_until}")


def read_headers(landed: LandedFiles, columns: Sequence[RawColumn]) -> dict[LandedFile, Header]:
    """The header of each file; a file without a single line is left out.

    Raises:
        HeaderError: columns are missing, extra or doubled, or a file is not what its name says; every one of every
            file is listed.
    """
    headers: dict[LandedFile, Header] = {}
    problems = []
    for file in landed.files:
        try:
            header = _header(landed.root, file)
        except _UNREADABLE as error:
            problems.append(f"{landed.root.url_of(file.key)}: cannot be read: {error}")
            continue
        if header.names:
            headers[file] = header
    wanted = {column.name for column in columns}
    for file, header in headers.items():
        names = header.names
        parts = {
            "missing": [column.name for column in columns if column.name not in names],
            "extra": [name for name in dict.fromkeys(names) if name not in wanted],
            "twice": [name for name in dict.fromkeys(names) if names.count(name) > 1],
        }
        told = [f"{what} {', '.join(map(repr, which))}" for what, which in parts.items() if which]
        if told:
            problems.append(f"{landed.root.url_of(file.key)}: {'; '.join(told)}")
    if problems:
        raise HeaderError("columns are not the contract's: " + " | ".join(problems))
    return headers


def _listing(url: str) -> tuple[Storage, list[str]]:
    """The input's root and the keys below it; of a single file, its folder and its name."""
    if url.endswith((*CSV_SUFFIXES, PARQUET_SUFFIX)):
        parent = Storage(url.rpartition("/")[0])
        name = url.rpartition("/")[2]
        if parent.local_root is not None:
            name = Path(Storage(url).local_root or "").name  # unescaped
        if parent.exists(name):
            return parent, [name]
    root = Storage(url)
    return root, root.keys()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _header(root: Storage, file: LandedFile) -> Header:
    with root.open(file.key) as content:
        if file.is_parquet:
            import pyarrow.parquet as parquet

            return Header(tuple(parquet.read_schema(content).names))
        line = _first_line(gzip.GzipFile(fileobj=content) if file.key.endswith(".gz") else content)
        return Header(tuple(next(csv.reader([line]), [])), line)


def _first_line(content: Any) -> str:
    """The first line that is not blank, as Spark sees it: a line ends with CR, LF or both.

    Raises:
        ValueError: there is none in a megabyte.
    """
    text = b""
    while not _WHOLE_LINE.match(text):
        if len(text) >= _LONGEST_HEADER:
            raise ValueError(f"no line of words in its first {_LONGEST_HEADER:,} bytes")
        # No more than is needed: whether the rest is whole is found by who reads it.
        chunk = content.read1(1 << 16)
        if not chunk:
            break
        text += chunk
    lines = re.split(r"[\r\n]+", text.decode("utf-8-sig", errors="replace"))
    return next((line for line in lines if re.search(NOT_BLANK, line)), "")
