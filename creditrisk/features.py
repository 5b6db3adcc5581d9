"""The one-row definition of the features, for the loan being applied for and for the online row.

``spark_jobs.transforms`` says the same for whole tables; the tests hold the two against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Self

from creditrisk.contract import AMOUNT_UNIT, DAYS_PER_YEAR

FeatureRow = tuple[int, int | None, int, float | None, int]
"""Values in the order of :data:`creditrisk.contract.FEATURE_NAMES`."""


@dataclass(frozen=True, slots=True)
class CustomerHistory:
    """What a snapshot knows of a customer that a question about a new loan needs.

    Amounts are whole millionths. The ``…_before_newest_day`` pair leaves out the loans of
    ``newest_loan_date`` itself, because loans of one day do not see each other.
    """

    birthday: date
    job_start_date: date | None
    flag_own_car: int
    newest_loan_date: date
    loan_count: int
    amount_sum_micros: int
    loan_count_before_newest_day: int
    amount_sum_micros_before_newest_day: int

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """That of a published row, or of any with :data:`HISTORY_COLUMNS`."""
        return cls(*(row[name] for name in HISTORY_COLUMNS))


HISTORY_COLUMNS = tuple(
    "loan_date" if part.name == "newest_loan_date" else part.name for part in fields(CustomerHistory)
)
"""The columns of a customer's row that its history is made of, in the order of its fields."""


def full_years(since: date, until: date) -> int:
    """Years of 365 days between two dates, rounded down (also below zero)."""
    return (until - since).days // DAYS_PER_YEAR


def years_on_the_job(job_start_date: date | None, as_of: date) -> int | None:
    """Years in the present job; None without one, or when it starts later than ``as_of``."""
    if job_start_date is None or job_start_date > as_of:
        return None
    return full_years(job_start_date, as_of)


def mean_amount(amount_sum_micros: int, loan_count: int) -> float | None:
    """Mean amount of ``loan_count`` loans; None of none. Spark and Postgres divide the same two doubles."""
    if loan_count == 0:
        return None
    return float(amount_sum_micros) / float(loan_count * AMOUNT_UNIT)


def features_of_application(history: CustomerHistory, as_of: date) -> FeatureRow:
    """Features of a loan applied for on ``as_of``, all loans of earlier days counted in.

    Raises:
        ValueError: ``as_of`` lies before the customer's newest loan, whose past is not kept.
    """
    if as_of < history.newest_loan_date:
        raise ValueError(f"as_of: {as_of} is before the customer's newest loan ({history.newest_loan_date})")
    if as_of == history.newest_loan_date:
        count, amount = history.loan_count_before_newest_day, history.amount_sum_micros_before_newest_day
    else:
        count, amount = history.loan_count, history.amount_sum_micros
    return (
        full_years(history.birthday, as_of),
        years_on_the_job(history.job_start_date, as_of),
        count,
        mean_amount(amount, count),
        history.flag_own_car,
    )


def features_of_first_application(
    birthday: date, job_start_date: date | None, flag_own_car: int, as_of: date
) -> FeatureRow:
    """Features of the first loan that a customer ever applies for, on ``as_of``: none before it, no mean."""
    return (
        full_years(birthday, as_of),
        years_on_the_job(job_start_date, as_of),
        0,
        mean_amount(0, 0),
        flag_own_car,
    )
