"""Loading a snapshot's customers: all that the manifest was written for, or none of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from creditrisk.errors import (
    SnapshotDamaged,
)
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotManifest
from tests.creditrisk.published_market import MONDAY, TUESDAY, publish, served_rows, table_of, tables, the_id
from tests.creditrisk.snapshot_factory import SnapshotFactory


def without_last(customers: pa.Table) -> pa.Table:
    return customers.slice(0, customers.num_rows - 1)


def twice_the_first(customers: pa.Table) -> pa.Table:
    return pa.concat_tables([customers, customers.slice(0, 1)])


def one_year_older(customers: pa.Table) -> pa.Table:
    return customers.set_column(3, "age", pc.add(customers["age"], 1))


def another_mean(customers: pa.Table) -> pa.Table:
    return customers.set_column(6, "avg_amount_loans_previous", pc.add(customers[6], 1e-9))


def without_birthdays(customers: pa.Table) -> pa.Table:
    return customers.drop_columns(["birthday"])


def too_old(customers: pa.Table) -> pa.Table:
    return customers.set_column(3, "age", pa.array([40_000] * customers.num_rows))


def unknown_age(customers: pa.Table) -> pa.Table:
    return customers.set_column(3, "age", pa.array([None] * customers.num_rows, pa.int32()))


class TestDamage:
    @pytest.fixture(autouse=True)
    def served(self, snapshots: SnapshotFactory) -> Iterator[None]:
        """What is served before is served after, and nothing of the damaged snapshot is left."""
        manifest = snapshots.write(MONDAY, [1, 2])
        publish(snapshots, manifest)
        yield
        assert [row[0] for row in served_rows(snapshots.settings)] == [1, 2]
        assert tables(snapshots.settings) == {table_of(manifest)}

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (without_last, "Postgres has 19 customers"),
            (twice_the_first, r"Key \(id\)=\(1\) is duplicated"),
            (one_year_older, "Postgres has 20 customers with digest 20:"),
            (another_mean, "avg_amount_loans_previous of [0-9]+ customers is not"),
            (without_birthdays, "has no column birthday"),
            (too_old, "out of range for type smallint"),
            (unknown_age, 'null value in column "age"'),
        ],
    )
    def test_rows_that_are_not_the_manifests_are_refused(
        self, snapshots: SnapshotFactory, change: Any, says: str
    ) -> None:
        manifest = snapshots.write(TUESDAY, change=change)
        with pytest.raises(SnapshotDamaged, match=f"snapshot {manifest.snapshot}: .*{says}"):
            publish(snapshots, manifest)

    def test_a_file_with_another_hash_is_refused_before_its_rows_are_read(
        self, snapshots: SnapshotFactory
    ) -> None:
        manifest = snapshots.write(TUESDAY)
        path = file_of(snapshots, manifest, "customers/part-00001.parquet")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(SnapshotDamaged, match=r"part-00001\.parquet is damaged: its SHA-256 is"):
            publish(snapshots, manifest)

    def test_a_missing_file_is_refused(self, snapshots: SnapshotFactory) -> None:
        manifest = snapshots.write(TUESDAY)
        file_of(snapshots, manifest, "customers/part-00000.parquet").unlink()
        with pytest.raises(SnapshotDamaged, match=r"part-00000\.parquet is missing"):
            publish(snapshots, manifest)

    def test_a_manifest_without_customers_is_refused(self, snapshots: SnapshotFactory) -> None:
        manifest = snapshots.write(TUESDAY).model_copy(update={"files": {"features.csv": "0" * 64}})
        with pytest.raises(SnapshotDamaged, match="names no customers file"):
            publish(snapshots, manifest)


def file_of(snapshots: SnapshotFactory, manifest: SnapshotManifest, key: str) -> Path:
    root = snapshots.catalog.lake.local_root
    assert root is not None
    return root / the_id(manifest).folder / key


def test_customers_come_from_s3_too(market_settings: Settings, s3_url: str) -> None:
    snapshots = SnapshotFactory(market_settings.model_copy(update={"lake_url": s3_url}))
    publish(snapshots, snapshots.write(MONDAY, [5, 6, 7]))
    assert [row[0] for row in served_rows(market_settings)] == [5, 6, 7]
