import gzip
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from creditrisk.settings import file_url
from creditrisk.storage import Storage
from local.landing import land, look_at
from local.progress import StackError

TODAY = date(2026, 11, 24)
CSV = """id,loan_id,loan_date
7,1,2026-11-20
7,2,3021-01-01
9,3,2026-11-23
x,4,2026-13-01
11,5,2026-11-24T10:00:00
12,6,2026-11-22,one too many
9,7,
"""


def test_the_newest_loan_is_not_in_the_future_and_is_a_date(tmp_path: Path) -> None:
    (tmp_path / "loans.csv").write_text(CSV)
    loans = look_at(tmp_path / "loans.csv", TODAY)
    assert (loans.newest, loans.customers) == (date(2026, 11, 23), (7, 9, 11))


def test_a_packed_file_and_a_parquet_file_say_the_same(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "loans.csv.gz", "wt") as file:
        file.write(CSV)
    pa.parquet.write_table(
        pa.table({"id": [7, 9], "loan_date": [date(2026, 11, 23), date(3021, 1, 1)]}),
        tmp_path / "loans.parquet",
    )
    assert look_at(tmp_path / "loans.csv.gz", TODAY).newest == date(2026, 11, 23)
    parquet = look_at(tmp_path / "loans.parquet", TODAY)
    assert (parquet.newest, parquet.customers) == (date(2026, 11, 23), (7, 9))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,amount\n1,2\n", "no column loan_date in its first line"),
        ("", "no column id and no column loan_date"),
        ("id,loan_date\n1,3021-01-01\n", "no loan_date up to today"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "loans.csv").write_text(content)
    with pytest.raises(StackError, match=message):
        look_at(tmp_path / "loans.csv", TODAY)


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
