import gzip
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from creditrisk.contract import RAW_COLUMNS
from creditrisk.errors import HeaderError
from creditrisk.settings import file_url
from creditrisk.storage import Storage
from local.landing import land, look_at
from local.progress import StackError

TODAY = date(2026, 11, 24)
KEYS = ("id", "loan_id", "loan_date")
OTHERS = [column.name for column in RAW_COLUMNS if column.name not in KEYS]
"""Columns that a row below leaves empty: what is in them is the row rules' business."""


def csv_of(*rows: str) -> str:
    """A file with the contract's columns, of rows that have the keys alone."""
    return "\n".join([",".join([*KEYS, *OTHERS]), *(row + "," * len(OTHERS) for row in rows), ""])


CSV = csv_of(
    "7,1,2026-11-20",
    "7,2,3021-01-01",
    "9,3,2026-11-23",
    "x,4,2026-13-01",
    "11,5,2026-11-24T10:00:00",
    "12,6,2026-11-22,one too many",
    "9,7,",
)


def test_the_newest_loan_is_not_in_the_future_and_is_a_date(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text(CSV)
    loans = look_at(tmp_path / "loans.csv", TODAY)
    assert (loans.newest, loans.customers) == (date(2026, 11, 23), (7, 9, 11))


def test_a_packed_file_and_a_parquet_file_say_the_same(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "loans.csv.gz", "wt") as file:
        file.write(CSV)
    pa.parquet.write_table(
        pa.table(
            {
                **{name: ["", ""] for name in ("loan_id", *OTHERS)},
                "id": [7, 9],
                "loan_date": [date(2026, 11, 23), date(3021, 1, 1)],
            }
        ),
        tmp_path / "loans.parquet",
    )
    assert look_at(tmp_path / "loans.csv.gz", TODAY).newest == date(2026, 11, 23)
    parquet = look_at(tmp_path / "loans.parquet", TODAY)
    assert (parquet.newest, parquet.customers) == (date(2026, 11, 23), (7, 9))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("loans.csv", b"", "no loan_date up to today"),
        ("loans.csv", csv_of("1,1,3021-01-01").encode(), "no loan_date up to today"),
        ("loans.csv", csv_of("x,1,2026-11-20").encode(), "no id that is a number"),
        ("loans.csv", csv_of(f'"{"x" * 200_000}",1,2026-11-20').encode(), "field larger than field limit"),
        ("loans.csv.gz", gzip.compress(CSV.encode() * 100)[:-20], "ended before the end-of-stream marker"),
        ("loans.CSV", CSV.encode(), r"has to end in \.csv"),
        ("loans.txt", CSV.encode(), r"has to end in \.csv"),
        ("_loans.csv", CSV.encode(), "not to begin with"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StackError, match=f"LOANS=.*{message}"):
        look_at(tmp_path / name, TODAY)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("loans.csv", b"id,loan_date\n1,2026-11-20\n", "missing 'loan_id'"),
        ("loans.csv.gz", CSV.encode(), "cannot be read"),
        ("loans.parquet", CSV.encode(), "cannot be read"),
    ],
)
def test_a_file_that_every_later_run_would_stumble_over_does_not_land(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HeaderError, match=message):
        look_at(tmp_path / name, TODAY)


@pytest.mark.parametrize(
    "content", ["\ufeff".encode() + CSV.encode(), CSV.encode() + b"\xe9", b"\n" + CSV.encode()]
)
def test_a_file_that_the_job_can_read_can_be_landed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "loans.csv").write_bytes(content)
    assert look_at(tmp_path / "loans.csv", TODAY).newest == date(2026, 11, 23)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"LOANS=.*none\.csv: no such file"):
        look_at(tmp_path / "none.csv", TODAY)


def test_the_same_content_lands_once_and_other_content_beside_it(tmp_path: Path) -> None:
    lake = Storage(file_url(tmp_path / "a lake" / "mx"))
    file = tmp_path / "loans.csv"
    file.write_text(CSV)
    first = land(look_at(file, TODAY), lake)
    assert land(look_at(file, TODAY), lake) == first
    assert first.startswith("raw/loans/2026-11-23/loans-")
    assert first.endswith(".csv")
    assert lake.read(first) == CSV.encode()
    file.write_text(CSV + "13,8,2026-11-23\n")
    second = land(look_at(file, TODAY), lake)
    assert lake.keys("raw/loans") == sorted([first, second])
