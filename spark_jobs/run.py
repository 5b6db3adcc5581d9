"""One run of the feature job: its phases in order, each timed, and the manifest they add up to."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from creditrisk.contract import LABEL_COLUMNS, RAW_COLUMNS, ROW_RULES, contract_fingerprint
from creditrisk.errors import ContractError, NoInputError
from creditrisk.provenance import code_version
from creditrisk.settings import Settings
from creditrisk.snapshots import InputFile, RowCounts, SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage
from spark_jobs import transforms, writing
from spark_jobs.configuration import is_local
from spark_jobs.digests import content_hash, customers_digest, quarantine_digest
from spark_jobs.landed import LandedFile, LandedFiles, find_landed, read_headers, require_input
from spark_jobs.reading import Header, local_copy, read_rows, rows_by_file
from spark_jobs.rules import LABEL_PREFIX
from spark_jobs.session import size_shuffles, start_session
from spark_jobs.statistics import loan_statistics


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is asked for. ``loans`` and ``labels`` are paths or URLs of files or folders."""

    as_of: date
    landed_until: date
    loans: str
    labels: str
    today: date
    event_log: Path | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """The landed files that a run reads, with their headers."""

    loans: LandedFiles
    loans_headers: dict[LandedFile, Header]
    labels: LandedFiles
    labels_headers: dict[LandedFile, Header]
    loans_url: str
    labels_url: str

    def on_this_machine(self, folder: Path) -> "Inputs":
        """The same with what lies in S3 copied here: Spark on one machine has no S3 client of its own."""
        return replace(
            self,
            loans=local_copy(self.loans, folder / "loans"),
            labels=local_copy(self.labels, folder / "labels"),
        )


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


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules made of the input: cached frames, and what was counted on the way."""

    loans: DataFrame
    labels: DataFrame | None
    facts: DataFrame
    inputs: list[InputFile]
    rows_in: int
    later: int
    kept: int
    labels_in: int


def build(
    settings: Settings, run: Run, started: float, session: SparkSession | None = None
) -> tuple[SnapshotManifest, bool]:
    """Build and commit the snapshot; its manifest, and whether it is new.

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
        inputs = _find_inputs(run)
    with watch.phase("start", since=started + watch.seconds["read"]):
        spark = session or start_session(settings, f"features {settings.market} {run.as_of}", run.event_log)
    try:
        with writing.staging_folder(settings, lake, run.as_of) as staged:
            if is_local(settings.spark_master):
                inputs = inputs.on_this_machine(staged / writing.INPUTS)
            return _build(spark, settings, run, watch, inputs, staged)
    finally:
        if session is None:
            spark.stop()
        else:
            spark.catalog.clearCache()


def _find_inputs(run: Run) -> Inputs:
    # Loans of a day to come are still to land: running the date again would give something else.
    if run.as_of > run.today:
        raise ContractError(f"as_of: {run.as_of} has not come yet, today is {run.today}")
    loans = find_landed(run.loans, run.landed_until, run.today)
    labels = find_landed(run.labels, run.landed_until, run.today)
    require_input(loans, run.landed_until)
    return Inputs(
        loans=loans,
        loans_headers=read_headers(loans, RAW_COLUMNS),
        labels=labels,
        labels_headers=read_headers(labels, LABEL_COLUMNS),
        loans_url=loans.root.url,
        labels_url=labels.root.url,
    )


def _build(
    spark: SparkSession, settings: Settings, run: Run, watch: Stopwatch, inputs: Inputs, staged: Path
) -> tuple[SnapshotManifest, bool]:
    with watch.phase("rules"):
        judged = _judge(spark, inputs, run)
    with watch.phase("windows"):
        good = transforms.good_loans(judged.loans, judged.facts)
        featured = transforms.with_features(good).persist(StorageLevel.MEMORY_AND_DISK)
        statistics, loans_digest, newest_loan_date = loan_statistics(featured)
    with watch.phase("write"):
        customers = transforms.customer_rows(featured, run.as_of)
        snapshot_folder = staged / writing.SNAPSHOT
        writing.write_parquet(transforms.loan_rows(featured), snapshot_folder / writing.LOANS)
        writing.write_parquet(customers, snapshot_folder / writing.CUSTOMERS)
        writing.write_training_set(transforms.training_set(featured), snapshot_folder / writing.TRAINING_SET)
        refused = _write_quarantine(spark, judged, inputs, staged / writing.QUARANTINE)
        customers_are, refused_are = customers_digest(customers), quarantine_digest(refused)
        hashed = content_hash(run.as_of, loans_digest, customers_are, refused_are)
        counts, by_rule = _counts(judged, refused, loans_digest, customers_are)
        files = writing.file_hashes(snapshot_folder)
    manifest = SnapshotManifest(
        snapshot=str(SnapshotId(run.as_of, hashed[:12])),
        market=settings.market,
        as_of=run.as_of,
        landed_until=run.landed_until,
        content_hash=hashed,
        loans_digest=loans_digest,
        customers_digest=customers_are,
        quarantine_digest=refused_are,
        contract_fingerprint=contract_fingerprint(),
        code_version=code_version(),
        created_at=datetime.now(UTC),
        inputs=judged.inputs,
        counts=counts,
        quarantined_by_rule=by_rule,
        newest_loan_date=newest_loan_date,
        features=statistics,
        files=files,
        timings_seconds=watch.total(),
    )
    is_new = writing.commit(SnapshotCatalog(Storage(settings.lake_root)), staged, manifest)
    return manifest, is_new


def _judge(spark: SparkSession, inputs: Inputs, run: Run) -> Judged:
    """Read everything once, judge it, and find what rows of one loan say of one another."""
    loans_rows = read_rows(spark, inputs.loans, inputs.loans_headers, RAW_COLUMNS)
    if loans_rows is None:
        raise NoInputError(f"{inputs.loans_url}: every loans file landed up to {run.landed_until} is empty")
    labels_rows = read_rows(spark, inputs.labels, inputs.labels_headers, LABEL_COLUMNS)
    loans = transforms.judged_loans(loans_rows, run.as_of).persist(StorageLevel.MEMORY_AND_DISK)
    labels = None
    labels_in = 0
    if labels_rows is not None:
        labels = transforms.judged_labels(labels_rows, run.as_of).persist(StorageLevel.MEMORY_AND_DISK)
        labels_in = labels.count()
    by_file = (
        loans.groupBy("source")
        .agg(F.count("*").alias("rows"), F.count_if("is_later").alias("later"))
        .collect()
    )
    rows_in = sum(row["rows"] for row in by_file)
    size_shuffles(spark, rows_in + labels_in)
    facts = transforms.loan_facts(loans, labels).persist(StorageLevel.MEMORY_AND_DISK)
    if facts.where("is_conflicting").count():
        facts = transforms.by_value(facts, loans).persist(StorageLevel.MEMORY_AND_DISK)
    facts.count()  # known to be small, it is then joined without a shuffle
    return Judged(
        loans=loans,
        labels=labels,
        facts=facts,
        inputs=[
            InputFile(url=f"{inputs.loans_url}/{file.key}", landed=file.landed, rows=rows)
            for file, rows in rows_by_file(by_file, inputs.loans)
        ],
        rows_in=rows_in,
        later=sum(row["later"] for row in by_file),
        kept=transforms.good_loans(loans, facts).count(),
        labels_in=labels_in,
    )


def _write_quarantine(spark: SparkSession, judged: Judged, inputs: Inputs, folder: Path) -> DataFrame:
    """Write the refused rows of loans and labels, and return them as written."""
    refused = transforms.with_url(transforms.quarantine(judged.loans, judged.facts), inputs.loans_url)
    if judged.labels is not None:
        labels = judged.labels.where(F.col("reasons").isNotNull()).select("source", "raw", "reasons")
        refused = refused.unionByName(transforms.with_url(labels, inputs.labels_url))
    writing.write_parquet(refused, folder)
    return spark.read.parquet(f"file:{folder}")


def _counts(
    judged: Judged, refused: DataFrame, loans_digest: str, customers: str
) -> tuple[RowCounts, dict[str, int]]:
    """What became of the rows, and refused rows by rule in the contract's order.

    Raises:
        ContractError: rows were lost or doubled on the way.
    """
    rules = F.array_distinct("reasons.rule")
    found = refused.select(F.explode(rules).alias("rule")).groupBy("rule").count().collect()
    by_rule = {row["rule"]: row["count"] for row in found}
    is_label = F.startswith(F.col("reasons")[0]["rule"], F.lit(LABEL_PREFIX))
    split = refused.agg(F.count("*").alias("all"), F.count_if(is_label).alias("labels")).collect()[0]
    loans = int(loans_digest.partition(":")[0])
    counts = RowCounts(
        rows_in=judged.rows_in,
        kept=judged.kept,
        repeated=judged.kept - loans,
        quarantined=split["all"] - split["labels"],
        later=judged.later,
        loans=loans,
        customers=int(customers.partition(":")[0]),
        labels_in=judged.labels_in,
        labels_quarantined=split["labels"],
    )
    if counts.rows_in != counts.kept + counts.quarantined + counts.later or counts.repeated < 0:
        raise ContractError(f"rows in = kept + quarantined + later does not hold: {counts}")
    order = [rule.name for rule in ROW_RULES]
    known = [rule for rule in order if rule in by_rule]
    return counts, {rule: by_rule[rule] for rule in [*known, *sorted(by_rule.keys() - set(order))]}
