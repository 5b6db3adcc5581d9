"""What came in: every row read once, judged, and counted; and what rows of one loan say of one another."""

from concurrent.futures import Executor, ThreadPoolExecutor
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
from spark_jobs.judging import LABELS, LOANS, Kind, State, doubtful, examined, of_state, sifted
from spark_jobs.landed import Header, LandedFile, LandedFiles, find_landed, read_headers, require_input
from spark_jobs.loan_facts import compared, loan_facts, others_of
from spark_jobs.reading import LandedRows, local_copy, read_rows, rows_by_file
from spark_jobs.session import size_shuffles, without_generated_code

_IDS_IN_A_TASK = 1_000_000
_IS_GOOD_AFTER_ALL = f"was_doubtful AND state = {State.GOOD.value} AND NOT is_conflicting"


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


class _Glanced:
    """Rows of a kind, cached, as they look at a glance; and how many there are."""

    def __init__(self, landed: LandedRows, kind: Kind, as_of: date, beside: Executor) -> None:
        self._headers, self._kind, self._as_of = landed.headers, kind, as_of
        self._sifted = sifted(landed, kind, as_of).persist(StorageLevel.MEMORY_AND_DISK)
        self._counted = beside.submit(_rows_by_file(self._sifted).collect)
        # What is to become of doubtful rows is planned while all rows are read.
        self._doubtful = self._examined(repeated=0)

    @property
    def by_file(self) -> list[Any]:
        """Counts by ``source``, once every row has been read."""
        return self._counted.result()

    def count(self, name: str) -> int:
        """All files' ``rows``, ``later``, ``doubtful`` or ``repeated`` (lines of headers that are too many)."""
        return sum(row[name] for row in self.by_file)

    def plain(self) -> DataFrame:
        """Rows that are good at a glance."""
        return of_state(self._sifted, State.GOOD).drop("landed", "header")

    def examined(self) -> DataFrame:
        """Rows that are not."""
        repeated = self.count("repeated")
        return self._examined(repeated) if repeated else self._doubtful

    def _examined(self, repeated: int) -> DataFrame:
        return examined(doubtful(self._sifted, repeated), self._headers, self._kind, self._as_of)


@dataclass(frozen=True, slots=True)
class _LookedAt:
    """Rows that took a close look, cached: see :func:`spark_jobs.loan_facts.compared`."""

    rows: DataFrame
    later: int
    good: int
    conflicting: int

    def good_rows(self) -> DataFrame:
        """Doubtful rows that turned out to be good."""
        return self.rows.where(_IS_GOOD_AFTER_ALL)


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
    with ThreadPoolExecutor(1) as beside:
        loans = _Glanced(loans_rows, LOANS, as_of, beside)
        labels = _Glanced(labels_rows, LABELS, as_of, beside) if labels_rows is not None else None
    size_shuffles(spark, loans.count("rows") + (labels.count("rows") if labels else 0))
    good_labels, refused_labels = _take_labels(spark, labels) if labels else (None, None)
    facts = loan_facts(loans.plain(), good_labels).persist(StorageLevel.MEMORY_AND_DISK)
    looked_at = _looked_at(spark, loans, facts)
    refused = transforms.with_url(transforms.quarantine(looked_at.rows), inputs.loans_url)
    if refused_labels is not None:
        refused = refused.unionByName(transforms.with_url(refused_labels, inputs.labels_url))
    good = loans.plain()
    if looked_at.good:
        good = good.unionByName(looked_at.good_rows().select(*good.columns))
    conflicting = looked_at.rows.where("is_conflicting") if looked_at.conflicting else None
    return Intake(
        good=transforms.good_loans(good, conflicting, facts if labels else None),
        refused=refused,
        inputs=[
            InputFile(url=f"{inputs.loans_url}/{file.key}", landed=file.landed, rows=rows)
            for file, rows in rows_by_file(loans.by_file, inputs.loans)
        ],
        rows_in=loans.count("rows"),
        later=loans.count("later") + looked_at.later,
        labels_in=labels.count("rows") if labels else 0,
    )


def _rows_by_file(rows: DataFrame) -> DataFrame:
    of = {state: F.count_if(F.col("state") == state.value) for state in State}
    repeated = F.greatest(of[State.HEADER] - 1, F.lit(0))
    return rows.groupBy("source").agg(
        (F.count("*") - of[State.HEADER] + repeated).alias("rows"),
        of[State.HEADER].alias("headers"),
        repeated.alias("repeated"),
        of[State.LATER].alias("later"),
        (of[State.DOUBTFUL] + repeated).alias("doubtful"),
    )


def _take_labels(spark: SparkSession, labels: _Glanced) -> tuple[DataFrame, DataFrame]:
    """Good labels, and refused ones as :func:`spark_jobs.transforms.quarantine`."""
    with without_generated_code(spark, labels.count("doubtful")):
        rows = labels.examined().persist(StorageLevel.MEMORY_AND_DISK)
        rows.count()
    good = labels.plain().unionByName(of_state(rows, State.GOOD).drop("reasons"))
    return good, transforms.quarantine(rows)


def _looked_at(spark: SparkSession, loans: _Glanced, facts: DataFrame) -> _LookedAt:
    """A close look at each row that is doubtful, or is of a loan of which rows may differ."""
    in_question = loans.count("doubtful") + facts.agg(F.count_if("is_suspected")).collect()[0][0]
    with without_generated_code(spark, in_question):
        looked_into = loans.examined().persist(StorageLevel.MEMORY_AND_DISK)
    others = others_of(looked_into, loans.plain(), facts, are_few=in_question <= _IDS_IN_A_TASK)
    others.persist(StorageLevel.MEMORY_AND_DISK)
    with without_generated_code(spark, in_question):
        rows = compared(looked_into, others).persist(StorageLevel.MEMORY_AND_DISK)
        told = rows.agg(
            F.count_if(F.col("state") == State.LATER.value).alias("later"),
            F.count_if(F.expr(_IS_GOOD_AFTER_ALL)).alias("good"),
            F.count_if("is_conflicting").alias("conflicting"),
        ).collect()[0]
    return _LookedAt(rows, **told.asDict())
