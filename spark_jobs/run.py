"""One run of the feature job: its phases in order, each timed, and the manifest they add up to."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from creditrisk.contract import ROW_RULES, contract_fingerprint
from creditrisk.errors import ReadingUnsound
from creditrisk.provenance import code_version
from creditrisk.settings import Settings
from creditrisk.snapshots import InputFile, RowCounts, SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage
from spark_jobs import transforms, writing
from spark_jobs.configuration import is_local
from spark_jobs.digests import (
    CUSTOMER_NUMBER,
    content_hash,
    customer_number,
    loan_hashes,
    quarantine_digest,
    quarantine_digest_columns,
)
from spark_jobs.intake import Inputs, Intake, find_inputs, take_in
from spark_jobs.recorded_inputs import with_digests
from spark_jobs.rules import LABEL_PREFIX
from spark_jobs.session import start_session
from spark_jobs.snapshot_files import Totals, refused_by_rule, write_snapshot_files

SPOOLED = "rows"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is asked for. ``loans`` and ``labels`` are paths or URLs of files or folders."""

    as_of: date
    landed_until: date
    loans: str
    labels: str
    today: date
    event_log: Path | None = None


class Stopwatch:
    """Seconds by phase."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, since: float | None = None) -> Iterator[None]:
        """Count what happens inside, or since a moment, as the phase's."""
        begin = time.monotonic() if since is None else since
        yield
        self.seconds[name] = round(time.monotonic() - begin, 3)

    def total(self) -> dict[str, float]:
        """Seconds by phase, and the whole."""
        return {**self.seconds, "total": round(time.monotonic() - self.started, 3)}


def build(
    settings: Settings, run: Run, started: float, session: SparkSession | None = None
) -> tuple[SnapshotManifest, writing.Outcome]:
    """Build and commit the snapshot; its manifest, and what the run changed.

    Args:
        settings: this deployment's.
        run: what to build.
        started: when the process began, on the clock of ``time.monotonic``.
        session: a session to use and leave running; by default one is started and stopped.

    Raises:
        HeaderError: a file's columns are not the contract's.
        NoInputError: no loans file has landed.
        ContractError: the date has not come yet, or something strange lies among the landed files.
        StorageError: the lake cannot be read or written.
    """
    watch = Stopwatch(started)
    lake = Storage(settings.lake_root)
    with watch.phase("read"):
        inputs = find_inputs(run.loans, run.labels, run.as_of, run.landed_until, run.today)
    with ThreadPoolExecutor(1) as beside, writing.staging_folder(settings, lake, run.as_of) as staged:
        with watch.phase("start", since=started + watch.seconds["read"]):
            name = f"features {settings.market} {run.as_of}"
            spark = session or start_session(settings, name, run.event_log)
        try:
            if is_local(settings.spark_master):
                inputs = inputs.on_this_machine(staged / writing.INPUTS)
            computed = _computed(spark, run, watch, inputs, staged)
        finally:
            # Files are made without Spark, whose end takes half a second.
            ended = beside.submit(spark.stop if session is None else spark.catalog.clearCache)
        written = _written(settings, run, watch, computed, staged)
        ended.result()
    return written


@dataclass(frozen=True, slots=True)
class _Computed:
    """What Spark has made of the loans, besides the rows that it wrote aside."""

    intake: Intake
    inputs: list[InputFile]
    kept: int
    quarantine_digest: str


def _computed(spark: SparkSession, run: Run, watch: Stopwatch, inputs: Inputs, staged: Path) -> _Computed:
    with watch.phase("rules"):
        intake = take_in(spark, inputs, run.as_of, run.landed_until)
    with watch.phase("windows"), ThreadPoolExecutor(1) as beside:
        # Refused rows are few, and a hash takes one core for a moment: both get done while Spark is at the windows.
        refused = beside.submit(_write_quarantine, intake.refused, staged / writing.QUARANTINE)
        read = beside.submit(with_digests, intake.inputs, inputs.loans)
        kept = compute(intake.good, run.as_of, staged / SPOOLED)
        return _Computed(intake, read.result(), kept, refused.result())


def _written(
    settings: Settings, run: Run, watch: Stopwatch, computed: _Computed, staged: Path
) -> tuple[SnapshotManifest, writing.Outcome]:
    with watch.phase("write"):
        folder = staged / writing.SNAPSHOT
        totals = write_snapshot_files(staged / SPOOLED, folder, transforms.online_names())
        hashed = content_hash(
            run.as_of, totals.loans_digest, totals.customers_digest, computed.quarantine_digest
        )
        counts, by_rule = _counts(computed, totals, staged / writing.QUARANTINE)
        files = writing.file_hashes(folder)
    manifest = SnapshotManifest(
        snapshot=str(SnapshotId(run.as_of, hashed[:12])),
        market=settings.market,
        as_of=run.as_of,
        landed_until=run.landed_until,
        content_hash=hashed,
        loans_digest=totals.loans_digest,
        customers_digest=totals.customers_digest,
        quarantine_digest=computed.quarantine_digest,
        contract_fingerprint=contract_fingerprint(),
        code_version=code_version(),
        created_at=datetime.now(UTC),
        inputs=computed.inputs,
        counts=counts,
        quarantined_by_rule=by_rule,
        newest_loan_date=totals.newest_loan_date,
        features=totals.features,
        files=files,
        timings_seconds=watch.total(),
    )
    return manifest, writing.commit(SnapshotCatalog(Storage(settings.lake_root)), staged, manifest)


def compute(good: DataFrame, as_of: date, spooled: Path) -> int:
    """Write a row a loan with all that the files are made of; how many rows were kept, identical copies and all.

    These are observed behind the shuffle, in the tasks that write: each of those counts once, however often it was tried.
    """
    kept, names = Observation("kept"), transforms.online_names()
    marked = transforms.with_copies_marked(good).observe(kept, F.count("*").alias("kept"))
    rows = transforms.snapshot_rows(transforms.with_features(marked), as_of)
    hashed = rows.withColumns({**loan_hashes(), CUSTOMER_NUMBER: customer_number(names)})
    writing.write_parquet(hashed, spooled, compression="uncompressed", dictionary=False)
    return int(kept.get["kept"])


def _write_quarantine(refused: DataFrame, folder: Path) -> str:
    """Write the refused rows; their digest."""
    told = Observation("refused")
    aggregates = quarantine_digest_columns()
    writing.write_parquet(
        refused.observe(told, *(column.alias(name) for name, column in aggregates.items())), folder
    )
    return quarantine_digest(told.get)


def _counts(computed: _Computed, totals: Totals, quarantine_folder: Path) -> tuple[RowCounts, dict[str, int]]:
    """What became of the rows, and refused rows by rule in the contract's order.

    Raises:
        ReadingUnsound: rows were lost or doubled on the way.
    """
    by_rule, labels = refused_by_rule(quarantine_folder, LABEL_PREFIX)
    intake = computed.intake
    counts = RowCounts(
        rows_in=intake.rows_in,
        kept=computed.kept,
        repeated=computed.kept - totals.loans,
        quarantined=int(computed.quarantine_digest.partition(":")[0]) - labels,
        later=intake.later,
        loans=totals.loans,
        customers=totals.customers,
        labels_in=intake.labels_in,
        labels_quarantined=labels,
    )
    if counts.rows_in != counts.kept + counts.quarantined + counts.later or counts.repeated < 0:
        raise ReadingUnsound(f"rows in = kept + quarantined + later does not hold: {counts}")
    order = [rule.name for rule in ROW_RULES]
    known = [rule for rule in order if rule in by_rule]
    return counts, {rule: by_rule[rule] for rule in [*known, *sorted(by_rule.keys() - set(order))]}
