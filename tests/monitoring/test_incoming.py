"""Landed loans of a real lake against those of the month before: CSV, gzip and Parquet, with the file's mess."""

import gzip
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from creditrisk.metric_store import Measure
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from local.generate_loans import generate_loans
from monitoring.incoming import incoming_measures, loans_by_day

DAY = date(2021, 1, 10)
COLUMNS = ("birthday", "job_start_date", "flag_own_car", "loan_amount")


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 700 loans a day for three months, and a few bad rows."""
    path = tmp_path_factory.mktemp("loans") / "loans.csv"
    generate_loans(path, customers=3000, days=90, seed=5, newest=DAY)
    return path


def settings_of(folder: Path) -> Settings:
    return Settings(_env_file=None, var_dir=folder, market="t")


def lake_of(folder: Path) -> Storage:
    return Storage(settings_of(folder).lake_root)


def by_part(measures: list[Measure]) -> dict[str, Measure]:
    return {each.part: each for each in measures}


def test_a_healthy_fortnight_moves_nothing(loans: Path, tmp_path: Path) -> None:
    lake_of(tmp_path).create("raw/loans/2021-01-10/loans.csv", loans)
    settings = settings_of(tmp_path)
    for back in range(14):
        measures = incoming_measures(settings, DAY - timedelta(days=back))
        assert {each.part for each in measures} == {f"{w}/{c}" for w in ("day", "week") for c in COLUMNS}
        for each in measures:
            assert each.verdict is Verdict.PASS, each.words


def test_a_column_that_changes_is_found_and_the_others_are_not_blamed(loans: Path, tmp_path: Path) -> None:
    header, *lines = (line.split(",") for line in loans.read_text().splitlines())
    rows = [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)]
    for row in rows:
        if row["loan_date"] == str(DAY):
            row["loan_amount"] = str(float(row["loan_amount"]) * 1.5)
    file = tmp_path / "changed.parquet"
    parquet.write_table(pa.table({name: [row[name] for row in rows] for name in header}), file)
    lake_of(tmp_path).create("raw/loans/2021-01-10/loans.parquet", file)
    found = by_part(incoming_measures(settings_of(tmp_path), DAY))
    assert {part for part, each in found.items() if each.verdict is not Verdict.PASS} == {"day/loan_amount"}
    assert found["day/loan_amount"].verdict is Verdict.FAIL
    assert "loan_amount of incoming loans" in found["day/loan_amount"].words


def test_files_of_every_kind_are_read_and_older_folders_are_not(loans: Path, tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    lines = loans.read_text().splitlines()
    header, rows = lines[0], [line for line in lines[1:] if f",{DAY}," in line]
    part, zipped, unread = (
        "\n".join([header, *rows[begin : begin + 100], ""]).encode() for begin in (0, 100, 300)
    )
    backwards = [",".join(reversed(line.split(","))) for line in (header, *rows[200:300])]
    lake.create("raw/loans/2021-01-10/a.csv", part)
    lake.create("raw/loans/2021-01-11/b.csv.gz", gzip.compress(zipped))
    lake.create("raw/loans/2021-01-11/deeper/c.csv", "\n".join([*backwards, ""]).encode())
    lake.create("raw/loans/2021-01-09/d.csv", unread)  # no loan lands before its date
    lake.create("raw/loans/2021-01-10/_e.csv", unread)
    lake.create("raw/loans/2021-01-10/broken.parquet", b"not Parquet")
    lake.create("raw/loans/2021-01-10/short.csv", b"loan_id,id\n1,2\n")
    found = loans_by_day(lake, DAY - timedelta(days=1), DAY)
    assert list(found) == [DAY]
    assert {column: each.rows for column, each in found[DAY].items()} == dict.fromkeys(COLUMNS, 300)


def test_a_file_that_lands_twice_and_its_copy_of_another_kind_count_once(loans: Path, tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    header, *lines = loans.read_text().splitlines()
    rows = [line for line in lines if f",{DAY}," in line and line.count(",") == header.count(",")][:100]
    again = "\n".join([header, *rows[50:], *rows[50:], ""]).encode()
    table = pa.Table.from_pylist([dict(zip(header.split(","), row.split(","), strict=True)) for row in rows])
    numbered = table.set_column(
        table.column_names.index("loan_id"), "loan_id", table["loan_id"].cast(pa.int64())
    )
    parquet.write_table(numbered, tmp_path / "c.parquet")
    lake.create("raw/loans/2021-01-10/a.csv", "\n".join([header, *rows, ""]).encode())
    lake.create("raw/loans/2021-01-11/a.csv", again)
    lake.create("raw/loans/2021-01-12/c.parquet", tmp_path / "c.parquet")
    found = loans_by_day(lake, DAY - timedelta(days=1), DAY)
    assert {column: each.rows for column, each in found[DAY].items()} == dict.fromkeys(COLUMNS, 100)


def test_values_that_cannot_be_read_are_missing_and_the_year_3021_is_no_job(tmp_path: Path) -> None:
    lake = lake_of(tmp_path)
    header = "loan_id,loan_date,birthday,job_start_date,flag_own_car,loan_amount"
    rows = [
        "1,2021-01-10,1990-01-20,2018-01-10,Y,133.4",
        ",2021-01-10,1990-1-2,3021-09-18,maybe,NaN",
        ",2021-01-10,,,,",
        "4,2021-02-30,1990-01-20,2018-01-10,Y,133.4",
        "5,not a date,1990-01-20,2018-01-10,Y,133.4",
        "6,2021-01-10,too,few",
    ]
    lake.create("raw/loans/2021-01-10/a.csv", "\n".join([header, *rows, ""]).encode())
    of_day = loans_by_day(lake, DAY - timedelta(days=1), DAY)[DAY]
    assert {column: (each.values, each.missing) for column, each in of_day.items()} == dict.fromkeys(
        COLUMNS, (1, 2)
    )
    age = of_day["birthday"]
    assert age.grid.edges[np.flatnonzero(age.counts)[0] - 1] == 30  # years of 365 days before 2021-01-20
    assert of_day["flag_own_car"].counts.tolist() == [0, 1]


def test_few_loans_are_not_judged(tmp_path: Path) -> None:
    (first, *_) = incoming_measures(settings_of(tmp_path), DAY)
    assert (first.verdict, first.value) == (Verdict.NOT_JUDGED, None)
    assert "0 loans with 0 to compare with" in first.words
