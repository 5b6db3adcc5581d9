"""Loans for tests, without Spark: seeded, with a signal in them, written as the snapshot the job would write."""

import hashlib
import io
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from creditrisk.contract import COLUMN_ROLES, FEATURE_NAMES, contract_fingerprint
from creditrisk.settings import Settings
from creditrisk.snapshots import (
    QualityReport,
    RowCounts,
    SnapshotCatalog,
    SnapshotId,
    SnapshotManifest,
    Verdict,
)
from creditrisk.storage import Storage
from training.dataset import Loans

AS_OF = date(2020, 12, 31)
SMALL_FOREST = '{"estimator": "forest", "trees": 10, "depth": 4, "smallest_leaf": 10}'

_TYPES = {
    "loan_id": pa.int64(),
    "id": pa.int64(),
    "loan_date": pa.date32(),
    "avg_amount_loans_previous": pa.float64(),
    "code_gender": pa.string(),
}


def make_loans(customers: int = 1500, seed: int = 1, *, leak: bool = False) -> Loans:
    """About six loans a customer over 400 days; the young without a car are late more often.

    With ``leak``, the mean amount of previous loans gives the label away.
    """
    chance = np.random.default_rng(seed)
    ids = np.repeat(5_000_000 + np.arange(customers), chance.integers(1, 12, customers))
    count = len(ids)
    first = np.searchsorted(ids, ids)
    ages = chance.integers(20, 70, customers)[ids - 5_000_000].astype(float)
    cars = chance.integers(0, 2, customers)[ids - 5_000_000].astype(float)
    jobs = np.where(chance.random(count) < 0.15, np.nan, chance.integers(0, 20, count))
    number = (np.arange(count) - first).astype(float)
    logit = -3.2 + 1.6 * (ages < 35) + 0.9 * (cars == 0) - 0.05 * np.nan_to_num(jobs)
    late = (chance.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    amounts = np.where(number == 0, np.nan, 100 + chance.gamma(2.0, 20.0, count))
    if leak:
        amounts = 100.0 + 50 * late + chance.random(count)
    return Loans(
        loan_ids=chance.permutation(count).astype(np.int64) + 1000,
        customers=ids.astype(np.int64),
        loan_dates=np.datetime64("2019-11-01") + chance.integers(0, 400, count),
        features=np.column_stack([ages, jobs, number, amounts, cars]),
        late=late,
        genders=np.where(chance.random(count) < 0.1, "", np.where(ids % 3 == 0, "M", "F")),
    )


def loans_table(loans: Loans, statuses: list[int | None] | None = None) -> Any:
    """Loans as the job writes them; ``statuses`` in place of their labels."""
    columns: dict[str, Any] = {
        "loan_id": loans.loan_ids,
        "id": loans.customers,
        "loan_date": loans.loan_dates.astype("datetime64[D]"),
        **{name: loans.features[:, place] for place, name in enumerate(FEATURE_NAMES)},
        "status": loans.late if statuses is None else statuses,
        "code_gender": [gender or None for gender in loans.genders.tolist()],
    }
    arrays = [
        pa.array(columns[name], from_pandas=True).cast(_TYPES.get(name, pa.int32())) for name in COLUMN_ROLES
    ]
    return pa.table(arrays, names=list(COLUMN_ROLES))


def write_snapshot(
    settings: Settings,
    table: Any,
    *,
    files: int = 2,
    as_of: date = AS_OF,
    verdict: Verdict | None = Verdict.PASS,
    **changes: Any,
) -> str:
    """Commit a snapshot of some files and record a verdict; its id."""
    lake = Storage(settings.lake_root)
    step = -(-table.num_rows // files)
    contents = {}
    for number in range(files):
        buffer = io.BytesIO()
        pq.write_table(table.slice(number * step, step), buffer)
        contents[f"loans/part-{number}.parquet"] = buffer.getvalue()
    whole = hashlib.sha256(b"".join(contents.values())).hexdigest()
    snapshot = SnapshotId(as_of, whole[:12])
    for name, content in contents.items():
        lake.create(f"{snapshot.folder}/{name}", content)
    counts = dict.fromkeys(RowCounts.model_fields, 0)
    values: dict[str, Any] = {
        "snapshot": str(snapshot),
        "market": settings.market,
        "as_of": as_of,
        "landed_until": as_of,
        "content_hash": whole,
        "loans_digest": "0:0",
        "customers_digest": "0:0",
        "quarantine_digest": "0:0",
        "contract_fingerprint": contract_fingerprint(),
        "code_version": "abc",
        "created_at": datetime(2021, 1, 1, tzinfo=UTC),
        "inputs": [],
        "counts": counts,
        "quarantined_by_rule": {},
        "newest_loan_date": as_of,
        "features": {},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "timings_seconds": {},
    }
    catalog = SnapshotCatalog(lake)
    catalog.commit(SnapshotManifest.model_validate({**values, **changes}))
    if verdict is not None:
        catalog.record_quality(
            QualityReport(
                snapshot=str(snapshot),
                verdict=verdict,
                compared_with=None,
                judged_at=datetime(2021, 1, 1, tzinfo=UTC),
                checks=[],
            )
        )
    return str(snapshot)
