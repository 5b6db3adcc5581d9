"""The feature definitions for whole tables: DataFrame → DataFrame, by window functions.

``creditrisk.features`` says the same for one row; the tests hold the two against each other.
"""

from datetime import date

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from creditrisk.contract import AMOUNT_UNIT, COLUMN_ROLES, CUSTOMER_COLUMNS, DAYS_PER_YEAR
from spark_jobs.rules import CONFLICTING_LOAN_ID, reason

ONLINE_PREFIX = "online_"


def good_loans(rows: DataFrame, conflicting: DataFrame | None, facts: DataFrame | None) -> DataFrame:
    """Loans that break no rule, identical copies still among them, with the newest status known.

    A loan's own status counts as known on its loan_date.

    Args:
        rows: rows that are good by themselves, see :func:`spark_jobs.judging.sifted`.
        conflicting: the rows of loans of which rows differ, or None where there are none.
        facts: see :func:`spark_jobs.loan_facts.loan_facts`; None where no label has landed.
    """
    if conflicting is not None:
        rows = rows.join(conflicting.select("loan_id"), "loan_id", "left_anti")
    status = F.col("status")
    if facts is not None:
        labels = facts.where(F.col("label").isNotNull()).select("loan_id", "label")
        rows = rows.join(labels, "loan_id", "left")
        own = F.when(status.isNotNull(), F.struct(F.col("loan_date").alias("known_on"), status))
        status = F.greatest(own, F.col("label"))["status"].alias("status")
    return rows.select(
        *("loan_id", "id", "loan_date", "birthday", "job_start_date", "amount_micros", "flag_own_car"),
        status,
        "code_gender",
    )


def quarantine(looked_at: DataFrame) -> DataFrame:
    """Refused rows: ``source``, ``raw``, ``reasons``, the broken rules in the contract's order, a conflict last.

    Args:
        looked_at: see :func:`spark_jobs.loan_facts.compared`; without ``is_conflicting``, no row conflicts.
    """
    reasons = F.col("reasons")
    is_refused = reasons.isNotNull()
    if "is_conflicting" in looked_at.columns:
        nothing = F.array().cast("array<struct<rule:string,field:string,value:string>>")
        conflict = F.array(reason(CONFLICTING_LOAN_ID, "loan_id", F.col("loan_id")))
        is_refused |= F.col("is_conflicting")
        reasons = F.when(F.col("is_conflicting"), F.concat(F.coalesce(reasons, nothing), conflict)).otherwise(
            reasons
        )
    return looked_at.where(is_refused).select("source", "raw", reasons.alias("reasons"))


def of_customers(loans: DataFrame, customers: DataFrame) -> DataFrame:
    """The loans of some customers; ``customers`` has their ``id`` alone, and is small."""
    return loans.join(F.broadcast(customers), "id", "left_semi").select(*loans.columns)


def with_copies_marked(loans: DataFrame) -> DataFrame:
    """Loans with ``is_copy``: of identical rows, all but one. By the shuffle and sort of :func:`with_features`."""
    is_copy = F.lag("loan_id").over(_by_loan()) == F.col("loan_id")
    return loans.withColumn("is_copy", F.coalesce(is_copy, F.lit(False)))


def _by_loan() -> WindowSpec:
    """A customer's loans in order."""
    return Window.partitionBy("id").orderBy("loan_date", "loan_id")


def with_features(loans: DataFrame) -> DataFrame:
    """Every loan once, with its features and what the customer's online row needs: one shuffle, one sort.

    Args:
        loans: see :func:`with_copies_marked`.

    Returns:
        The columns of ``loans`` but ``is_copy``, ``age``, ``years_on_the_job``, ``nb_previous_loans`` and
        ``avg_amount_loans_previous`` as of the loan's own date; the customer's ``loan_count`` and
        ``amount_sum_micros`` up to this loan, the same before the loan's day (``…_before_newest_day``), and
        ``is_newest`` for the customer's newest loan.
    """
    up_to_here = _by_loan().rowsBetween(Window.unboundedPreceding, Window.currentRow)
    # Loans of one day do not see each other: all days up to the day before.
    earlier_days = Window.partitionBy("id").orderBy("loan_day").rangeBetween(Window.unboundedPreceding, -1)
    counted = (
        loans.where(~F.col("is_copy"))
        .drop("is_copy")
        .withColumns(
            {
                "loan_day": F.unix_date("loan_date"),
                "loan_count": F.row_number().over(_by_loan()),
                "amount_sum_micros": F.sum("amount_micros").over(up_to_here),
                "is_newest": F.lead("loan_id").over(_by_loan()).isNull(),
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
        *(name for name in loans.columns if name != "is_copy"),
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


def snapshot_rows(featured: DataFrame, as_of: date) -> DataFrame:
    """A row a loan, with all that a snapshot's files are made of.

    Returns:
        The columns of :data:`creditrisk.contract.COLUMN_ROLES` and
        :data:`creditrisk.contract.CUSTOMER_COLUMNS`, ``is_newest``, and in a customer's newest loan ``online_age`` and
        ``online_years_on_the_job`` as of ``as_of``.
    """
    today = F.lit(as_of)
    online = {
        f"{ONLINE_PREFIX}age": full_years(F.col("birthday"), today),
        f"{ONLINE_PREFIX}years_on_the_job": years_on_the_job(F.col("job_start_date"), today),
    }
    return featured.select(
        *dict.fromkeys((*COLUMN_ROLES, *CUSTOMER_COLUMNS)),
        "is_newest",
        *(F.when(F.col("is_newest"), value).alias(name) for name, value in online.items()),
    )


def online_names() -> dict[str, str]:
    """By :data:`creditrisk.contract.CUSTOMER_COLUMNS`, the column of :func:`snapshot_rows` it is taken from."""
    of_today = {"age", "years_on_the_job"}
    return {name: f"{ONLINE_PREFIX}{name}" if name in of_today else name for name in CUSTOMER_COLUMNS}


def with_url(refused: DataFrame, root: str) -> DataFrame:
    """Refused rows with the file's URL as their ``source``, instead of its key below ``root``, escaped as in a URL."""
    return refused.withColumn("source", F.concat(F.lit(f"{root}/"), F.col("source")))
