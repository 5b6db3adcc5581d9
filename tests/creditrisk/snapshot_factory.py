"""Snapshots for tests, without Spark: customers written by pyarrow, with the manifest the job would write.

``SnapshotFactory.write`` commits one to the lake of its settings and, unless told otherwise, records a passed gate.
The loans and ``features.csv`` are left out: what publishes and serves reads the customers alone.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from creditrisk.contract import (
    AMOUNT_UNIT,
    CUSTOMER_COLUMNS,
    CUSTOMER_DIGEST_COLUMNS,
    FEATURES,
    contract_fingerprint,
)
from creditrisk.settings import Settings
from creditrisk.snapshots import (
    FeatureStatistics,
    QualityReport,
    RowCounts,
    SnapshotCatalog,
    SnapshotId,
    SnapshotManifest,
    Verdict,
)
from creditrisk.storage import Storage

_DATES = ("loan_date", "birthday", "job_start_date")
_INTS = (
    "age",
    "years_on_the_job",
    "nb_previous_loans",
    "flag_own_car",
    "loan_count",
    "loan_count_before_newest_day",
)
_EPOCH = date(1970, 1, 1)


def customers_table(ids: Sequence[int], as_of: date, seed: int = 1) -> pa.Table:
    """Customers with plausible histories; some have no job, some no loan before the newest day."""
    chance = np.random.default_rng(seed)
    count = len(ids)
    today = (as_of - _EPOCH).days
    newest = today - chance.integers(0, 400, count)
    birthday = newest - chance.integers(20 * 365, 70 * 365, count)
    started = newest - chance.integers(0, 6 * 365, count)
    unemployed = chance.random(count) < 0.17
    earlier = chance.integers(0, 40, count) * (chance.random(count) > 0.05)
    on_newest_day = chance.integers(1, 3, count)
    earlier_sum = earlier * chance.integers(100 * AMOUNT_UNIT, 900 * AMOUNT_UNIT, count)
    years = np.floor((today - started) / 365).astype(int)
    columns: dict[str, Any] = {
        "id": pa.array(np.asarray(ids, dtype=np.int64)),
        "loan_id": pa.array(np.asarray(ids, dtype=np.int64) * 100 + 7),
        "loan_date": newest,
        "age": (today - birthday) // 365,
        "years_on_the_job": pa.array(years.astype(np.int32), mask=unemployed),
        "nb_previous_loans": earlier + on_newest_day - 1,
        "avg_amount_loans_previous": pa.array(
            earlier_sum / np.maximum(earlier * AMOUNT_UNIT, 1).astype(float), mask=earlier == 0
        ),
        "flag_own_car": chance.integers(0, 2, count),
        "birthday": birthday,
        "job_start_date": pa.array(started.astype(np.int32), mask=unemployed).cast(pa.date32()),
        "loan_count": earlier + on_newest_day,
        "amount_sum_micros": earlier_sum + on_newest_day * 250 * AMOUNT_UNIT,
        "loan_count_before_newest_day": earlier,
        "amount_sum_micros_before_newest_day": earlier_sum,
    }
    for name, values in columns.items():
        if isinstance(values, np.ndarray):
            kind = pa.int32() if name in (*_INTS, *_DATES) else pa.int64()
            columns[name] = pa.array(values).cast(kind)
        if name in _DATES:
            columns[name] = columns[name].cast(pa.date32())
    return pa.table({name: columns[name] for name in CUSTOMER_COLUMNS})


def customers_digest(customers: pa.Table) -> str:
    """The digest as the contract describes it, row by row in Python."""
    total = 0
    for row in customers.select(list(CUSTOMER_DIGEST_COLUMNS)).to_pylist():
        line = "|".join("" if row[name] is None else str(row[name]) for name in CUSTOMER_DIGEST_COLUMNS)
        total += int(hashlib.md5(line.encode()).hexdigest()[:15], 16)  # noqa: S324 - a checksum
    return f"{customers.num_rows}:{total}"


def statistics_of(
    values: Sequence[float | None], edges: Sequence[float], **changes: Any
) -> FeatureStatistics:
    """A feature's statistics, counted from its values."""
    known = np.asarray([value for value in values if value is not None], dtype=float)
    bins = np.searchsorted(np.asarray(edges), known, side="right")
    quantiles = {str(p): float(np.quantile(known, p)) for p in (0.01, 0.25, 0.5, 0.75, 0.99) if known.size}
    statistics = FeatureStatistics(
        count=known.size,
        nulls=len(values) - known.size,
        out_of_bounds=0,
        min=float(known.min()) if known.size else None,
        max=float(known.max()) if known.size else None,
        mean=float(known.mean()) if known.size else None,
        quantiles=quantiles,
        histogram=np.bincount(bins, minlength=len(edges) + 1).tolist(),
    )
    return statistics.model_copy(update=changes)


def manifest_of(customers: pa.Table, as_of: date, files: dict[str, str], **changes: Any) -> SnapshotManifest:
    """The manifest of a snapshot of these customers, each with their newest loan alone."""
    digest = customers_digest(customers) if "customers_digest" not in changes else changes["customers_digest"]
    content_hash = hashlib.sha256(digest.encode()).hexdigest()
    count = customers.num_rows
    counts = dict.fromkeys(("repeated", "quarantined", "later", "labels_in", "labels_quarantined"), 0)
    manifest = SnapshotManifest(
        snapshot=str(SnapshotId(as_of, content_hash[:12])),
        market="mx",
        as_of=as_of,
        landed_until=as_of,
        content_hash=content_hash,
        loans_digest=digest,
        customers_digest=digest,
        quarantine_digest="0:0",
        contract_fingerprint=contract_fingerprint(),
        code_version="tests",
        created_at=datetime(2021, 1, 1, tzinfo=UTC),
        inputs=[],
        counts=RowCounts(rows_in=count, kept=count, loans=count, customers=count, **counts),
        quarantined_by_rule={},
        newest_loan_date=as_of - timedelta(days=1),
        features={
            feature.name: statistics_of(customers[feature.name].to_pylist(), feature.histogram_edges)
            for feature in FEATURES
        },
        files=files,
        timings_seconds={},
    )
    return manifest.model_copy(update=changes)


@dataclass
class SnapshotFactory:
    """Writes snapshots to one lake."""

    settings: Settings
    catalog: SnapshotCatalog = field(init=False)

    def __post_init__(self) -> None:
        self.catalog = SnapshotCatalog(Storage(self.settings.lake_root))

    def write(
        self,
        as_of: date,
        ids: Sequence[int] = range(1, 21),
        *,
        seed: int = 1,
        parts: int = 2,
        verdict: Verdict | None = Verdict.PASS,
        change: Callable[[pa.Table], pa.Table] | None = None,
        **changes: Any,
    ) -> SnapshotManifest:
        """Commit a snapshot of customers with these ids.

        Args:
            as_of: its date.
            ids: the customers.
            seed: of their histories.
            parts: how many files they are spread over.
            verdict: the gate's, recorded with it; None leaves it unjudged.
            change: done to the customers before they are written (and hashed as files), after the digest is taken.
            changes: fields of the manifest to replace.
        """
        customers = customers_table(ids, as_of, seed)
        manifest = manifest_of(customers, as_of, {}, market=self.settings.market, **changes)
        snapshot = SnapshotId.parse(manifest.snapshot)
        written = change(customers) if change else customers
        files = {}
        step = -(-written.num_rows // parts) or 1
        for part in range(parts):
            sink = pa.BufferOutputStream()
            parquet.write_table(written.slice(part * step, step), sink)
            content = sink.getvalue().to_pybytes()
            key = f"customers/part-{part:05d}.parquet"
            files[key] = hashlib.sha256(content).hexdigest()
            self.catalog.lake.create(f"{snapshot.folder}/{key}", content)
        manifest = manifest.model_copy(update={"files": files})
        self.catalog.commit(manifest)
        if verdict:
            self.judged(manifest, verdict)
        return manifest

    def judged(self, manifest: SnapshotManifest, verdict: Verdict) -> None:
        """Record a verdict of the quality gate, without checks."""
        self.catalog.record_quality(
            QualityReport(
                snapshot=manifest.snapshot,
                verdict=verdict,
                compared_with=None,
                judged_at=datetime(2021, 1, 1, tzinfo=UTC),
                checks=[],
            )
        )
