"""What came in: every row read once, judged, and counted; and what rows of one loan say of one another."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from creditrisk.contract import LABEL_COLUMNS, RAW_COLUMNS
from creditrisk.errors import ContractError, NoInputError
from creditrisk.snapshots import InputFile
from spark_jobs import transforms
from spark_jobs.judging import LABELS, LOANS, Kind, State, examined, of_state, sifted
from spark_jobs.landed import LandedFile, LandedFiles, find_landed, read_headers, require_input
from spark_jobs.loan_facts import differing_loans, loan_facts, rows_of
from spark_jobs.reading import Header, LandedRows, local_copy, read_rows, rows_by_file
from spark_jobs.session import size_shuffles, without_generated_code


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


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of the rows read: ``rows_in`` is those of ``good``, ``refused`` and ``later`` together.

    ``good`` is :func:`spark_jobs.transforms.good_loans`, ``refused`` :func:`spark_jobs.transforms.quarantine` of loans and
    labels with the files' URLs.
    """

    good: DataFrame
    refused: DataFrame
    inputs: list[InputFile]
    rows_in: int
    later: int
    labels_in: int


@dataclass(frozen=True, slots=True)
class _Judged:
    """Rows of a kind, cached: all of them at a glance, the doubtful ones examined."""

    sifted: DataFrame
    examined: DataFrame
    examined_good: int
    by_file: list[Any]
    rows: int
    later: int
    doubtful: int

    def good(self) -> DataFrame:
        """Rows that break no rule by themselves."""
        good = of_state(self.sifted, State.GOOD).drop("landed", "header")
        if not self.examined_good:
            return good
        return good.unionByName(of_state(self.examined, State.GOOD).drop("reasons"))

    def claiming(self) -> DataFrame:
        """Rows, good or refused, that name a loan."""
        named = self.examined.where((F.col("state") != State.LATER.value) & F.col("loan_id").isNotNull())
        return of_state(self.sifted, State.GOOD).drop("landed", "header").unionByName(named.drop("reasons"))

    def refused(self) -> DataFrame:
        """Rows that break a rule by themselves."""
        return of_state(self.examined, State.REFUSED)


def find_inputs(loans: str, labels: str, as_of: date, landed_until: date, today: date) -> Inputs:
    """The files that a run for a date reads.

    Raises:
        ContractError: the date has not come yet, or something strange lies among the landed files.
        HeaderError: a file's columns are not the contract's.
        NoInputError: no loans file has landed.
    """
    # Loans of a day to come are still to land: running the date again would give something else.
    if as_of > today:
        raise ContractError(f"as_of: {as_of} has not come yet, today is {today}")
    found_loans = find_landed(loans, landed_until, today)
    found_labels = find_landed(labels, landed_until, today)
    require_input(found_loans, landed_until)
    return Inputs(
        loans=found_loans,
        loans_headers=read_headers(found_loans, RAW_COLUMNS),
        labels=found_labels,
        labels_headers=read_headers(found_labels, LABEL_COLUMNS),
        loans_url=found_loans.root.url,
        labels_url=found_labels.root.url,
    )


def take_in(spark: SparkSession, inputs: Inputs, as_of: date, landed_until: date) -> Intake:
    """Read everything once, judge it, and find what rows of one loan say of one another.

    Raises:
        NoInputError: every loans file is empty.
    """
    loans_rows = read_rows(spark, inputs.loans, inputs.loans_headers, RAW_COLUMNS)
    if loans_rows is None:
        raise NoInputError(f"{inputs.loans_url}: every loans file landed up to {landed_until} is empty")
    labels_rows = read_rows(spark, inputs.labels, inputs.labels_headers, LABEL_COLUMNS)
    loans = _judged(spark, loans_rows, LOANS, as_of)
    labels = _judged(spark, labels_rows, LABELS, as_of) if labels_rows is not None else None
    size_shuffles(spark, loans.rows + (labels.rows if labels else 0))
    facts = loan_facts(loans.claiming(), labels.good() if labels else None).persist(
        StorageLevel.MEMORY_AND_DISK
    )
    suspected = facts.agg(F.count_if("is_suspected")).collect()[0][0]
    suspects = differing = None
    if suspected:
        suspects = rows_of(facts.where("is_suspected"), loans.claiming()).persist(
            StorageLevel.MEMORY_AND_DISK
        )
        with without_generated_code(spark, suspected):
            differing = differing_loans(suspects).persist(StorageLevel.MEMORY_AND_DISK)
            if not differing.count():
                suspects = differing = None
    refused = transforms.with_url(
        transforms.quarantine(loans.refused(), suspects, differing), inputs.loans_url
    )
    if labels:
        refused_labels = transforms.quarantine(labels.refused(), None, None)
        refused = refused.unionByName(transforms.with_url(refused_labels, inputs.labels_url))
    return Intake(
        good=transforms.good_loans(loans.good(), differing, facts if labels else None),
        refused=refused,
        inputs=[
            InputFile(url=f"{inputs.loans_url}/{file.key}", landed=file.landed, rows=rows)
            for file, rows in rows_by_file(loans.by_file, inputs.loans)
        ],
        rows_in=loans.rows,
        later=loans.later,
        labels_in=labels.rows if labels else 0,
    )


def _judged(spark: SparkSession, landed: LandedRows, kind: Kind, as_of: date) -> _Judged:
    glanced = sifted(landed, kind, as_of).persist(StorageLevel.MEMORY_AND_DISK)
    by_file = (
        glanced.groupBy("source")
        .agg(
            F.count("*").alias("rows"),
            F.count_if(F.col("state") == State.LATER.value).alias("later"),
            F.count_if(F.col("state") == State.DOUBTFUL.value).alias("doubtful"),
        )
        .collect()
    )
    doubtful = sum(row["doubtful"] for row in by_file)
    with without_generated_code(spark, doubtful):
        looked_at = examined(of_state(glanced, State.DOUBTFUL), landed.headers, kind, as_of).persist(
            StorageLevel.MEMORY_AND_DISK
        )
        told = looked_at.agg(
            F.count_if(F.col("state") == State.LATER.value).alias("later"),
            F.count_if(F.col("state") == State.GOOD.value).alias("good"),
        ).collect()[0]
    return _Judged(
        sifted=glanced,
        examined=looked_at,
        examined_good=told["good"],
        by_file=by_file,
        rows=sum(row["rows"] for row in by_file),
        later=sum(row["later"] for row in by_file) + told["later"],
        doubtful=doubtful,
    )
