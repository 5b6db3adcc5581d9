"""A snapshot's customers as the text that COPY reads."""

import csv
import hashlib
import io
from datetime import date

import pytest

from creditrisk.contract import CUSTOMER_COLUMNS
from creditrisk.customer_rows import customer_rows
from creditrisk.errors import SnapshotDamaged
from creditrisk.settings import Settings, file_url
from creditrisk.snapshots import SnapshotId
from tests.creditrisk.snapshot_factory import SnapshotFactory, customers_table

MONDAY = date(2020, 12, 28)


@pytest.fixture
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> SnapshotFactory:
    return SnapshotFactory(Settings(_env_file=None, lake_url=file_url(tmp_path_factory.mktemp("a lake"))))


def test_every_value_comes_through_as_it_is(snapshots: SnapshotFactory) -> None:
    manifest = snapshots.write(MONDAY, range(-5, 60))
    text = b"".join(customer_rows(snapshots.catalog.lake, manifest)).decode()
    rows = list(csv.reader(io.StringIO(text)))
    expected = customers_table(range(-5, 60), MONDAY).to_pylist()
    assert len(rows) == 65
    for row, customer in zip(rows, expected, strict=True):
        for name, value in zip(CUSTOMER_COLUMNS, row, strict=True):
            if isinstance(customer[name], float):
                assert float(value) == customer[name]
            else:
                assert value == ("" if customer[name] is None else str(customer[name]))


def test_memory_is_bounded_by_batches_of_rows(snapshots: SnapshotFactory) -> None:
    manifest = snapshots.write(MONDAY, range(150_000), parts=1, customers_digest="not needed here")
    chunks = [chunk.count(b"\n") for chunk in customer_rows(snapshots.catalog.lake, manifest)]
    assert chunks == [65_536, 65_536, 150_000 - 2 * 65_536]


def test_what_is_not_parquet_is_said_to_be_damaged(snapshots: SnapshotFactory) -> None:
    manifest = snapshots.write(MONDAY, parts=1)
    key = "customers/part-00009.parquet"
    snapshots.catalog.lake.create(f"{SnapshotId.parse(manifest.snapshot).folder}/{key}", b"no rows")
    named = manifest.model_copy(update={"files": {key: hashlib.sha256(b"no rows").hexdigest()}})
    with pytest.raises(SnapshotDamaged, match="not readable as Parquet"):
        next(customer_rows(snapshots.catalog.lake, named))
