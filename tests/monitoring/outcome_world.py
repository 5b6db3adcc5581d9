"""Loans, snapshots and training sets for tests of outcomes, written as the feature job and training write them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as parquet

from creditrisk.contract import COLUMN_ROLES
from creditrisk.registry import TRAINING_SET_FILE, version_folder
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId, Verdict
from creditrisk.storage import Storage
from tests.creditrisk.snapshot_factory import SnapshotFactory, customers_table, manifest_of

_FEATURES = {
    "age": 42,
    "years_on_the_job": None,
    "nb_previous_loans": 0,
    "avg_amount_loans_previous": None,
    "flag_own_car": 0,
    "code_gender": "F",
}
_TYPES = {"loan_id": pa.int64(), "id": pa.int64(), "loan_date": pa.date32(), "code_gender": pa.string()} | {
    "avg_amount_loans_previous": pa.float64()
}


class Loan(NamedTuple):
    """A loan, and what is known of it."""

    loan_id: int
    customer: int
    day: date
    status: int | None = None


def loans_table(loans: Sequence[Loan]) -> pa.Table:
    """Loans with the columns of a snapshot."""
    values: Mapping[str, Sequence[Any]] = {
        "loan_id": [loan.loan_id for loan in loans],
        "id": [loan.customer for loan in loans],
        "loan_date": [loan.day for loan in loans],
        **{name: [value] * len(loans) for name, value in _FEATURES.items()},
        "status": [loan.status for loan in loans],
    }
    return pa.table({name: pa.array(values[name], _TYPES.get(name, pa.int32())) for name in COLUMN_ROLES})


def write_snapshot(
    settings: Settings, as_of: date, loans: Sequence[Loan], *, verdict: Verdict | None = Verdict.PASS
) -> str:
    """Commit a snapshot of loans up to its date, with each customer's newest one; its id."""
    loans = [loan for loan in loans if loan.day <= as_of]
    newest = {loan.customer: loan for loan in sorted(loans, key=lambda each: (each.day, each.loan_id))}
    customers = customers_table(list(newest), as_of)
    for name, values in (
        ("loan_id", pa.array([loan.loan_id for loan in newest.values()], pa.int64())),
        ("loan_date", pa.array([loan.day for loan in newest.values()], pa.date32())),
    ):
        customers = customers.set_column(customers.schema.get_field_index(name), name, values)
    factory = SnapshotFactory(settings)
    contents = {}
    for key, table in (("customers/part-0.parquet", customers), ("loans/part-0.parquet", loans_table(loans))):
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink)
        contents[key] = sink.getvalue().to_pybytes()
    files = {key: hashlib.sha256(content).hexdigest() for key, content in contents.items()}
    # The statuses are part of what makes a snapshot another one.
    digest = f"{customers.num_rows}:{int(files['loans/part-0.parquet'][:15], 16)}"
    manifest = manifest_of(customers, as_of, files, market=settings.market, customers_digest=digest)
    for key, content in contents.items():
        factory.catalog.lake.create(f"{SnapshotId.parse(manifest.snapshot).folder}/{key}", content)
    factory.catalog.commit(manifest)
    if verdict:
        factory.judged(manifest, verdict)
    return manifest.snapshot


def write_training_set(settings: Settings, version: str, loans: Sequence[Loan]) -> None:
    """Put a version's own copy of its labelled loans into the registry, without the rest of the version."""
    sink = pa.BufferOutputStream()
    parquet.write_table(loans_table(loans), sink)
    Storage(settings.registry_root).create(
        f"{version_folder(version)}/{TRAINING_SET_FILE}", sink.getvalue().to_pybytes()
    )
