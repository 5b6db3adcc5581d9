"""What is learnt from: labelled loans of a snapshot that passed, whole and in one order."""

from dataclasses import fields
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from creditrisk.errors import (
    ContractError,
    SnapshotDamaged,
    SnapshotMissing,
    SnapshotNotPassed,
    VersionDamaged,
)
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId, Verdict
from creditrisk.storage import Storage
from tests.training.made_loans import loans_table, write_snapshot
from training.dataset import (
    Loans,
    decode_training_set,
    encode_training_set,
    passed_snapshot,
    read_loans,
)


def read(settings: Settings, snapshot: str) -> Loans:
    return read_loans(Storage(settings.lake_root), passed_snapshot(settings, snapshot))


def assert_same(left: Loans, right: Loans) -> None:
    for column in fields(Loans):
        np.testing.assert_array_equal(getattr(left, column.name), getattr(right, column.name))


def ordered(loans: Loans) -> Loans:
    order = np.argsort(loans.loan_ids)
    return Loans(*(getattr(loans, column.name)[order] for column in fields(Loans)))


def file_of(settings: Settings, snapshot: str, number: int = 0) -> Path:
    root = Storage(settings.lake_root).local_root
    assert root
    return root / SnapshotId.parse(snapshot).folder / f"loans/part-{number}.parquet"


def test_rows_come_in_one_order_whatever_the_files(settings: Settings, loans: Loans) -> None:
    table = loans_table(loans)
    shuffled = table.take(np.random.default_rng(3).permutation(table.num_rows))
    for snapshot in (write_snapshot(settings, table), write_snapshot(settings, shuffled, files=5)):
        assert_same(read(settings, snapshot), ordered(loans))


def test_loans_without_a_status_are_left_out(settings: Settings, loans: Loans) -> None:
    statuses = [int(late) if number % 3 else None for number, late in enumerate(loans.late)]
    snapshot = write_snapshot(settings, loans_table(loans, statuses))
    assert_same(read(settings, snapshot), ordered(loans.where(np.arange(len(loans)) % 3 > 0)))


def test_a_changed_file_is_refused(settings: Settings, loans: Loans) -> None:
    snapshot = write_snapshot(settings, loans_table(loans))
    file = file_of(settings, snapshot, 1)
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(SnapshotDamaged, match=r"part-1.parquet: is not the file of the manifest"):
        read(settings, snapshot)


def test_a_file_that_is_gone_is_named(settings: Settings, loans: Loans) -> None:
    snapshot = write_snapshot(settings, loans_table(loans))
    file_of(settings, snapshot).unlink()
    with pytest.raises(SnapshotDamaged, match=r"part-0.parquet: is gone"):
        read(settings, snapshot)


def test_other_columns_are_refused(settings: Settings, loans: Loans) -> None:
    table = loans_table(loans).rename_columns(
        ["loan_id", "id", "loan_date", "age", "x", "y", "z", "car", "status", "g"]
    )
    with pytest.raises(SnapshotDamaged, match="are not the contract's"):
        read(settings, write_snapshot(settings, table))


def test_a_loan_that_is_there_twice_is_refused(settings: Settings, loans: Loans) -> None:
    table = loans_table(loans)
    snapshot = write_snapshot(settings, pa.concat_tables([table, table.slice(0, 1)]))
    with pytest.raises(SnapshotDamaged, match="loan_id: a loan is there more than once"):
        read(settings, snapshot)


@pytest.mark.parametrize("verdict", [None, Verdict.FAIL])
def test_a_snapshot_that_did_not_pass_is_refused(
    settings: Settings, loans: Loans, verdict: Verdict | None
) -> None:
    snapshot = write_snapshot(settings, loans_table(loans), verdict=verdict)
    with pytest.raises(SnapshotNotPassed, match=snapshot):
        passed_snapshot(settings, snapshot)
    with pytest.raises(SnapshotMissing, match="has passed the quality gate"):
        passed_snapshot(settings, None)


def test_the_newest_that_passed_is_the_default(settings: Settings, loans: Loans) -> None:
    table = loans_table(loans)
    older = write_snapshot(settings, table, as_of=date(2020, 12, 30), verdict=Verdict.WARN)
    write_snapshot(settings, table, as_of=date(2020, 12, 29))
    write_snapshot(settings, table, as_of=date(2020, 12, 31), verdict=Verdict.FAIL)
    assert passed_snapshot(settings, None).snapshot == older


def test_a_snapshot_of_another_contract_is_refused(settings: Settings, loans: Loans) -> None:
    snapshot = write_snapshot(settings, loans_table(loans), contract_fingerprint="f" * 16)
    with pytest.raises(ContractError, match="build the snapshot again"):
        passed_snapshot(settings, snapshot)


def test_a_training_set_is_decoded_as_it_was_encoded(loans: Loans) -> None:
    first, second = loans.where(loans.late == 1), loans.where(loans.late == 0)
    content = encode_training_set([("train", first), ("test", second)])
    decoded = decode_training_set(content)
    assert list(decoded) == ["train", "test"]
    assert_same(decoded["train"], first)
    assert_same(decoded["test"], second)
    assert encode_training_set(decoded.items()) == content


def test_another_parquet_file_is_no_training_set(settings: Settings, loans: Loans) -> None:
    file = file_of(settings, write_snapshot(settings, loans_table(loans)))
    with pytest.raises(VersionDamaged, match="training set: columns"):
        decode_training_set(file.read_bytes())
