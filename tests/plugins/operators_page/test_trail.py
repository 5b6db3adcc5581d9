import gzip
import io
from datetime import date

import pyarrow as pa
import pyarrow.parquet as parquet

from creditrisk.settings import Settings
from creditrisk.snapshots import InputFile
from creditrisk.storage import Storage
from tests.airflow_environment import prepare
from tests.creditrisk.snapshot_factory import SnapshotFactory

prepare()

from plugins.operators_page import trail  # noqa: E402


def test_a_customer_s_landed_rows_are_found_in_csv_and_parquet_by_column_and_told_by_date(
    market_settings: Settings,
) -> None:
    lake = Storage(market_settings.lake_root)
    lake.create(
        "raw/loans/2021-01-01/a.csv",
        b'id,loan_id,loan_date,note\n7,1,2020-12-30,"x, 7"\n8,7,2020-12-30,7\n77,2,2020-12-30,\n',
    )
    buffer = io.BytesIO()
    parquet.write_table(
        pa.table({"loan_id": [3, 4], "id": [7, 9], "loan_date": [date(2020, 12, 29)] * 2}), buffer
    )
    lake.create("raw/loans/2021-01-02/b.parquet", buffer.getvalue())
    inputs = [
        InputFile(url=lake.url_of("raw/loans/2021-01-01/a.csv"), landed=date(2021, 1, 1), rows=3),
        InputFile(url=lake.url_of("raw/loans/2021-01-02/b.parquet"), landed=date(2021, 1, 2), rows=2),
        InputFile(url=lake.url_of("raw/loans/2021-01-02/gone.csv"), landed=date(2021, 1, 2), rows=2),
        InputFile(url="file:///etc/passwd", landed=date(2021, 1, 2), rows=2),
    ]
    manifest = SnapshotFactory(market_settings).write(date(2021, 1, 2), inputs=inputs)
    found = trail.raw_loans(market_settings, manifest, 7)
    assert [(loan.row["loan_id"], loan.row["loan_date"], loan.file) for loan in found.loans] == [
        ("3", "2020-12-29", "b.parquet"),
        ("1", "2020-12-30", "a.csv"),
    ]
    assert found.is_whole
    assert sorted(problem.split(": ")[0] for problem in found.problems) == [
        "file:///etc/passwd", "raw/loans/2021-01-02/gone.csv",
    ]  # fmt: skip


def test_packed_files_are_searched_too_and_a_broken_one_is_told(market_settings: Settings) -> None:
    lake = Storage(market_settings.lake_root)
    packed = gzip.compress(b"id,loan_id,loan_date\n8,1,2020-12-30\n7,2,2020-12-30\n")
    lake.create("raw/loans/2021-01-01/a.csv.gz", packed)
    lake.create("raw/loans/2021-01-01/cut.csv.gz", packed[:-12])
    lake.create("raw/loans/2021-01-01/plain.csv.gz", b"id,loan_id\n7,3\n")
    names = ("a", "cut", "plain")
    inputs = [
        InputFile(url=lake.url_of(f"raw/loans/2021-01-01/{name}.csv.gz"), landed=date(2021, 1, 1), rows=2)
        for name in names
    ]
    manifest = SnapshotFactory(market_settings).write(date(2021, 1, 2), inputs=inputs)
    found = trail.raw_loans(market_settings, manifest, 7)
    assert [(loan.row["loan_id"], loan.file) for loan in found.loans] == [("2", "a.csv.gz")]
    assert [problem.split(": ")[0].rsplit("/", 1)[-1] for problem in found.problems] == [
        "cut.csv.gz", "plain.csv.gz",
    ]  # fmt: skip


def test_one_person_searches_at_a_time_and_the_others_are_told_so(market_settings: Settings) -> None:
    manifest = SnapshotFactory(market_settings).write(date(2021, 1, 2), inputs=[])
    with trail._TURN:
        said = trail.search(market_settings, manifest, 7)
        assert (
            said
            == "Somebody else is searching the landed files, for 10 seconds at most: ask again in a moment."
        )
    assert trail.search(market_settings, manifest, 7) == trail.RawLoans([], True, [])
    assert not trail._TURN.locked()
