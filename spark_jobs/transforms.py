"""The feature definitions for whole tables: DataFrame → DataFrame, by window functions.

``creditrisk.features`` says the same for one row; the tests hold the two against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from creditrisk.contract import (
    AMOUNT_UNIT,
    COLUMN_ROLES,
    CUSTOMER_COLUMNS,
    DAYS_PER_YEAR,
    LABEL_COLUMNS,
    RAW_COLUMNS,
    TRAINING_SET_COLUMNS,
    RawColumn,
)
from spark_jobs.parsing import present, value_of
from spark_jobs.rules import (
    CONFLICTING_LOAN_ID,
    LABEL_PREFIX,
    MALFORMED_LINE,
    is_plainly_good_label,
    is_plainly_good_loan,
    label_violations,
    loan_violations,
    reason,
    reasons_of,
)

_ROW_COLUMNS = ("is_later", "reasons", "raw", "source")


def judged_loans(rows: DataFrame, as_of: date) -> DataFrame:
    """Loans' rows as values, each with why it is refused.

    Args:
        rows: see :func:`spark_jobs.reading.read_rows`, with the contract's raw columns.
        as_of: rows of loans after this date are *later*, and not judged.

    Returns:
        ``loan_id``, ``id``, ``loan_date``, ``birthday``, ``job_start_date``, ``amount_micros``, ``flag_own_car``,
        ``status``, ``code_gender``, ``identity`` (equal for rows of the same text), ``canonical`` (the row's fields in
        the contract's order, null where ``raw`` is that), ``is_later``, ``reasons`` (null where the row is good),
        ``raw``, ``source``. All values are null in a malformed row.
    """
    kept = ("loan_id", "id", "loan_date", "birthday", "job_start_date", "loan_amount")
    judged = _judged(rows, _Judging(RAW_COLUMNS, kept, "loan_date", MALFORMED_LINE), as_of)
    return judged.select(
        "loan_id",
        "id",
        "loan_date",
        "birthday",
        "job_start_date",
        F.col("loan_amount").alias("amount_micros"),
        (F.col("text_flag_own_car") == "Y").cast("int").alias("flag_own_car"),
        F.col("text_status").try_cast("int").alias("status"),
        F.col("text_code_gender").alias("code_gender"),
        F.xxhash64("canonical").alias("identity"),
        F.when(F.col("canonical") != F.col("raw"), F.col("canonical")).alias("canonical"),
        *_ROW_COLUMNS,
    )


def judged_labels(rows: DataFrame, as_of: date) -> DataFrame:
    """Late labels' rows as values: ``loan_id``, ``known_on``, ``status`` and as in :func:`judged_loans`."""
    kept = ("loan_id", "known_on")
    judged = _judged(
        rows, _Judging(LABEL_COLUMNS, kept, "known_on", f"{LABEL_PREFIX}{MALFORMED_LINE}"), as_of
    )
    status = F.col("text_status").try_cast("int").alias("status")
    return judged.select("loan_id", "known_on", status, *_ROW_COLUMNS)


@dataclass(frozen=True, slots=True)
class _Judging:
    """What is judged: the columns, those whose value is kept, the day that may be later, the rule for bad lines."""

    columns: tuple[RawColumn, ...]
    kept: tuple[str, ...]
    day: str
    malformed_rule: str

    def reasons(self, text: Mapping[str, Column], value: Mapping[str, Column], landed: Column) -> Column:
        """All reasons of the rows that are not plainly good: those alone pay for a look at every rule."""
        is_loan = self.columns is RAW_COLUMNS
        violations = (loan_violations if is_loan else label_violations)(text, value, landed)
        is_good = (is_plainly_good_loan if is_loan else is_plainly_good_label)(text, value, landed)
        return F.when(~(F.col("is_plain") & is_good), reasons_of(violations, text))


def _judged(rows: DataFrame, judging: _Judging, as_of: date) -> DataFrame:
    kinds = {each.name: each.type for each in judging.columns}
    carried = ("is_malformed", "is_plain", "canonical", "landed", "raw", "source")
    fields = rows.select(
        *(F.when(~F.col("is_malformed"), present(F.col(name))).alias(f"text_{name}") for name in kinds),
        *carried,
    )
    texts = {name: F.col(f"text_{name}") for name in kinds}
    typed = fields.select("*", *(value_of(texts[name], kinds[name]).alias(name) for name in judging.kept))
    # Values that are only looked at are no columns: they are read in the rows that are looked at.
    values = {
        name: F.col(name) if name in judging.kept else value_of(texts[name], kind)
        for name, kind in kinds.items()
    }
    is_later = F.coalesce(F.col(judging.day) > F.lit(as_of), F.lit(False))
    malformed = F.array(reason(judging.malformed_rule, "", F.lit(None)))
    reasons = (
        F.when(F.col("is_malformed"), malformed)
        .when(is_later, F.lit(None))
        .otherwise(judging.reasons(texts, values, F.col("landed")))
    )
    return typed.withColumns({"is_later": is_later, "reasons": reasons})


def loan_facts(judged: DataFrame, labels: DataFrame | None) -> DataFrame:
    """What is known of a loan besides its own row: ``loan_id``, ``is_conflicting``, ``label``.

    One shuffle of three narrow columns finds the rows of one ``loan_id`` that differ, and each loan's newest late
    label. Only loans about which there is something to say are in the result.

    Args:
        judged: see :func:`judged_loans`.
        labels: see :func:`judged_labels`, or None where no label has landed.

    Returns:
        ``is_conflicting`` says that texts differ, see :func:`by_value`.
        ``label`` is ``struct<known_on,status>`` of the newest ``known_on`` (of two on one day, status 1 wins).
    """
    no_label = F.lit(None).cast("struct<known_on:date,status:int>").alias("label")
    claims = judged.where(~F.col("is_later") & F.col("loan_id").isNotNull()).select(
        "loan_id", "identity", no_label
    )
    if labels is not None:
        claims = claims.unionByName(
            labels.where(~F.col("is_later") & F.col("reasons").isNull()).select(
                "loan_id",
                F.lit(None).cast("bigint").alias("identity"),
                F.struct("known_on", "status").alias("label"),
            )
        )
    facts = claims.groupBy("loan_id").agg(
        F.min("identity").alias("least"),
        F.max("identity").alias("greatest"),
        *([F.max("label").alias("label")] if labels is not None else []),
    )
    is_conflicting = F.coalesce(F.col("least") != F.col("greatest"), F.lit(False))
    label = F.col("label") if labels is not None else no_label
    return facts.select("loan_id", is_conflicting.alias("is_conflicting"), label.alias("label")).where(
        F.col("is_conflicting") | F.col("label").isNotNull()
    )


def by_value(facts: DataFrame, judged: DataFrame) -> DataFrame:
    """Facts in which a loan conflicts only where a value of its rows differs: ``1.0`` and ``1`` are one number.

    Texts are equal in nearly every file that lands twice, and quick to compare; this looks again where they differ.
    """
    suspected = facts.where("is_conflicting").select("loan_id")
    texts = F.split(F.coalesce("canonical", "raw"), ",", -1)
    values = (
        F.coalesce(value_of(present(F.get(texts, number)), column.type).cast("string"), F.get(texts, number))
        for number, column in enumerate(RAW_COLUMNS)
    )
    rows = judged.where(~F.col("is_later")).join(suspected, "loan_id")
    differing = (
        rows.select("loan_id", F.xxhash64(*values).alias("identity"))
        .groupBy("loan_id")
        .agg(F.min("identity").alias("least"), F.max("identity").alias("greatest"))
        .where("least != greatest")
        .select("loan_id", F.lit(True).alias("is_differing"))
    )
    return (
        facts.join(differing, "loan_id", "left")
        .withColumn("is_conflicting", F.coalesce("is_differing", F.lit(False)))
        .drop("is_differing")
        .where(F.col("is_conflicting") | F.col("label").isNotNull())
    )


def good_loans(judged: DataFrame, facts: DataFrame) -> DataFrame:
    """Loans that break no rule, identical copies still among them, with the newest status known.

    A loan's own status counts as known on its loan_date.
    """
    own = F.when(F.col("status").isNotNull(), F.struct(F.col("loan_date").alias("known_on"), F.col("status")))
    known = judged.where(~F.col("is_later") & F.col("reasons").isNull()).join(facts, "loan_id", "left")
    return known.where(~F.coalesce(F.col("is_conflicting"), F.lit(False))).select(
        "loan_id",
        "id",
        "loan_date",
        "birthday",
        "job_start_date",
        "amount_micros",
        "flag_own_car",
        F.greatest(own, F.col("label"))["status"].alias("status"),
        "code_gender",
    )


def quarantine(judged: DataFrame, facts: DataFrame) -> DataFrame:
    """Refused rows: ``source``, ``raw``, ``reasons``, the broken rules in the contract's order, a conflict last."""
    conflicting = facts.where("is_conflicting").select("loan_id", "is_conflicting")
    conflict = F.when(
        F.col("is_conflicting"), F.array(reason(CONFLICTING_LOAN_ID, "loan_id", F.col("loan_id")))
    )
    nothing = F.array().cast("array<struct<rule:string,field:string,value:string>>")
    return (
        judged.where(~F.col("is_later"))
        .select("loan_id", "source", "raw", "reasons")
        .join(conflicting, "loan_id", "left")
        .where(F.col("reasons").isNotNull() | F.col("is_conflicting"))
        .select(
            "source",
            "raw",
            F.concat(F.coalesce("reasons", nothing), F.coalesce(conflict, nothing)).alias("reasons"),
        )
    )


def with_features(loans: DataFrame) -> DataFrame:
    """Every loan once, with its features and what the customer's online row needs: one shuffle, one sort.

    Args:
        loans: see :func:`good_loans`.

    Returns:
        The columns of ``loans``, ``age``, ``years_on_the_job``, ``nb_previous_loans`` and
        ``avg_amount_loans_previous`` as of the loan's own date; the customer's ``loan_count`` and
        ``amount_sum_micros`` up to this loan, the same before the loan's day (``…_before_newest_day``), and
        ``is_newest`` for the customer's newest loan.
    """
    by_loan = Window.partitionBy("id").orderBy("loan_date", "loan_id")
    up_to_here = by_loan.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    # Loans of one day do not see each other: all days up to the day before.
    earlier_days = Window.partitionBy("id").orderBy("loan_day").rangeBetween(Window.unboundedPreceding, -1)
    is_copy = F.coalesce(F.lag("loan_id").over(by_loan) == F.col("loan_id"), F.lit(False))
    counted = (
        loans.withColumn("is_copy", is_copy)
        .where(~F.col("is_copy"))
        .drop("is_copy")
        .withColumns(
            {
                "loan_day": F.unix_date("loan_date"),
                "loan_count": F.row_number().over(by_loan),
                "amount_sum_micros": F.sum("amount_micros").over(up_to_here),
                "is_newest": F.lead("loan_id").over(by_loan).isNull(),
            }
        )
        .withColumns(
            {
                "loan_count_before_newest_day": F.count("loan_id").over(earlier_days).cast("int"),
                "amount_sum_micros_before_newest_day": F.coalesce(
                    F.sum("amount_micros").over(earlier_days), F.lit(0)
                ),
            }
        )
    )
    mean = F.when(
        F.col("loan_count_before_newest_day") > 0,
        F.col("amount_sum_micros_before_newest_day").cast("double")
        / (F.col("loan_count_before_newest_day").cast("bigint") * F.lit(AMOUNT_UNIT)).cast("double"),
    )
    return counted.select(
        *loans.columns,
        full_years(F.col("birthday"), F.col("loan_date")).alias("age"),
        years_on_the_job(F.col("job_start_date"), F.col("loan_date")).alias("years_on_the_job"),
        (F.col("loan_count") - 1).alias("nb_previous_loans"),
        mean.alias("avg_amount_loans_previous"),
        "loan_count",
        "amount_sum_micros",
        "loan_count_before_newest_day",
        "amount_sum_micros_before_newest_day",
        "is_newest",
    )


def full_years(since: Column, until: Column) -> Column:
    """Years of 365 days between two dates, rounded down, as int."""
    return F.floor(F.datediff(until, since) / F.lit(DAYS_PER_YEAR)).cast("int")


def years_on_the_job(job_start_date: Column, until: Column) -> Column:
    """Years in the present job; null without one, or when it starts later than ``until``."""
    return F.when(job_start_date <= until, full_years(job_start_date, until))


def loan_rows(featured: DataFrame) -> DataFrame:
    """A snapshot's loan rows: the columns of :data:`creditrisk.contract.COLUMN_ROLES`, in order."""
    return featured.select(*COLUMN_ROLES)


def training_set(featured: DataFrame) -> DataFrame:
    """The rows of ``features.csv``."""
    return featured.select(*TRAINING_SET_COLUMNS)


def customer_rows(featured: DataFrame, as_of: date) -> DataFrame:
    """A row a customer: the newest loan's features with age and years_on_the_job as of ``as_of``."""
    today = F.lit(as_of)
    return (
        featured.where("is_newest")
        .withColumns(
            {
                "age": full_years(F.col("birthday"), today),
                "years_on_the_job": years_on_the_job(F.col("job_start_date"), today),
            }
        )
        .select(*CUSTOMER_COLUMNS)
    )


def with_url(refused: DataFrame, root: str) -> DataFrame:
    """Refused rows with the file's URL as their ``source``, instead of its key below ``root``, escaped as in a URL."""
    return refused.withColumn("source", F.concat(F.lit(f"{root}/"), F.col("source")))
