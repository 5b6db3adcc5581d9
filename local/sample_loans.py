"""The loans of sample customers, day by day, with a status that depends on the features and on chance.

Memory grows with the number of customers (some 200 bytes each) and not with that of loans: what a
loan's features need of the past is kept as a count and a sum a customer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import numpy as np

from creditrisk.contract import AMOUNT_UNIT, DAYS_PER_YEAR
from local.sample_customers import Customers, Floats, Ints, day_number

BLOCK_LOANS: Final = 250_000
SMALLEST_AMOUNT: Final = 100

_LOG_ODDS_OFFSET = -4.0
_BY_AGE = (
    [18, 24, 27, 33, 36, 43, 46, 54, 57, 62, 70],
    [0, 0, 1.1, 1.1, -0.8, -0.8, 0.9, 0.9, -0.7, -0.7, 0.3],
)
_BY_YEARS_ON_THE_JOB = ([0, 1, 2, 4, 6, 9, 12, 50], [0.7, 0.7, -0.5, -0.5, 0.6, 0.6, -0.6, -0.6])
_WITHOUT_A_JOB = -0.2
_BY_PREVIOUS_LOANS = ([0, 3, 10], [0.4, 0.2, -0.1])
_BY_MEAN_AMOUNT = ([100, 112, 124, 140, 160, 220], [-0.5, -0.5, 0.3, 0.6, -0.1, -0.3])
_WITHOUT_EARLIER_LOANS = 0.1
_CAR_OF_THE_YOUNG, _CAR_OF_THE_OLD, _OLD = -0.5, 0.4, 40


@dataclass(frozen=True, slots=True)
class Loans:
    """Loans in the order of a landed file: by day, then by loan id. One array entry a loan."""

    customer: Ints
    """Position in :class:`Customers`."""
    loan_id: Ints
    day: Ints
    """Days since 1970-01-01."""
    amount_micros: Ints
    late: Ints

    def __len__(self) -> int:
        return len(self.loan_id)


def log_odds_of_being_late(
    age: Ints, years_on_the_job: Floats, nb_previous_loans: Ints, mean_amount: Floats, own_car: Ints
) -> Floats:
    """What the features say about a loan; NaN where a feature is missing.

    The curves rise and fall, so that a straight line through a feature finds little of what a tree finds.
    """
    job = np.interp(years_on_the_job, *_BY_YEARS_ON_THE_JOB)
    amount = np.interp(mean_amount, *_BY_MEAN_AMOUNT)
    log_odds: Floats = (
        _LOG_ODDS_OFFSET
        + np.interp(age, *_BY_AGE)
        + np.where(np.isnan(years_on_the_job), _WITHOUT_A_JOB, job)
        + np.interp(nb_previous_loans, *_BY_PREVIOUS_LOANS)
        + np.where(np.isnan(mean_amount), _WITHOUT_EARLIER_LOANS, amount)
        + own_car * np.where(age < _OLD, _CAR_OF_THE_YOUNG, _CAR_OF_THE_OLD)
    )
    return log_odds


def draw_loans(rng: np.random.Generator, customers: Customers, days: int, newest: date) -> Iterator[Loans]:
    """Yield every customer's loans in blocks of whole days; the last loan is of ``newest``."""
    left = customers.loan_count.copy()
    amount_sum = np.zeros(len(customers), dtype=np.int64)
    blocks = min(days, max(1, -(-int(left.sum()) // BLOCK_LOANS)))
    first_day = day_number(newest - timedelta(days=days - 1))
    for begin, end in pairwise(np.linspace(0, days, blocks + 1).astype(int).tolist()):
        taken = rng.binomial(left, (end - begin) / (days - begin))
        customer = np.repeat(np.arange(len(customers)), taken)
        day = rng.integers(first_day + begin, first_day + end, len(customer))
        if end == days and len(day):
            day[np.argmax(day)] = day_number(newest)
        yield _dated_loans(rng, customers, customer, day, left, amount_sum)
        left -= taken


def _dated_loans(
    rng: np.random.Generator, customers: Customers, customer: Ints, day: Ints, left: Ints, amount_sum: Ints
) -> Loans:
    """The loans of one block; adds their amounts to ``amount_sum``."""
    day = day[np.lexsort((day, customer))]
    starts = np.flatnonzero(np.diff(customer, prepend=-1))
    start = np.repeat(starts, np.diff(np.append(starts, len(customer))))
    position = np.arange(len(customer))
    earlier = (customers.loan_count - left)[customer]

    # The source numbers a customer's loans from the newest back: the order of ids says nothing of time.
    run: Ints = customers.loan_id_shift[customer] - (earlier + position - start)
    loan_id: Ints = customers.first_loan_id[customer] + run % customers.loan_count[customer]
    loan_id = loan_id[np.lexsort((loan_id, day, customer))]
    amount = rng.exponential(customers.amount_scale[customer])
    micros = SMALLEST_AMOUNT * AMOUNT_UNIT + np.rint(amount * AMOUNT_UNIT).astype(np.int64)

    is_new_day = (np.diff(day, prepend=-1) != 0) | (position == start)
    day_start = np.maximum.accumulate(np.where(is_new_day, position, 0))
    running = np.concatenate(([0], np.cumsum(micros)))
    sum_before = amount_sum[customer] + running[day_start] - running[start]
    count_before = earlier + day_start - start
    mean_before = np.full(len(customer), np.nan)
    np.divide(sum_before, count_before * AMOUNT_UNIT, out=mean_before, where=count_before > 0)

    job_start = customers.job_start[customer]
    log_odds = customers.hidden_risk[customer] + log_odds_of_being_late(
        age=(day - customers.birthday[customer]) // DAYS_PER_YEAR,
        years_on_the_job=np.where(job_start > day, np.nan, (day - job_start) // DAYS_PER_YEAR),
        nb_previous_loans=earlier + position - start,
        mean_amount=mean_before,
        own_car=customers.own_car[customer],
    )
    late = (rng.random(len(customer)) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    np.add.at(amount_sum, customer, micros)
    order = np.lexsort((loan_id, day))
    return Loans(customer[order], loan_id[order], day[order], micros[order], late[order])
