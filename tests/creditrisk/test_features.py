"""The one-row definition: golden cases of every feature, and what a question about the past is told."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk.features import (
    CustomerHistory,
    features_of_application,
    features_of_first_application,
    full_years,
    mean_amount,
    years_on_the_job,
)

HISTORY = CustomerHistory(
    birthday=date(1980, 5, 17),
    job_start_date=date(2010, 3, 1),
    flag_own_car=1,
    newest_loan_date=date(2020, 6, 1),
    loan_count=4,
    amount_sum_micros=1_400_000_000,
    loan_count_before_newest_day=3,
    amount_sum_micros_before_newest_day=700_000_000,
)


@pytest.mark.parametrize(
    ("since", "until", "years"),
    [
        (date(2000, 2, 29), date(2020, 2, 23), 19),  # 7,299 days
        (date(2000, 2, 29), date(2020, 2, 24), 20),  # 7,300 days, leap days not left out
        (date(2020, 1, 1), date(2020, 1, 1), 0),
        (date(2020, 1, 2), date(2020, 1, 1), -1),  # rounded down below zero too
    ],
)
def test_years_have_365_days(since: date, until: date, years: int) -> None:
    assert full_years(since, until) == years


@pytest.mark.parametrize(
    ("start", "years"),
    [
        (None, None),
        (date(3021, 9, 18), None),
        (date(2020, 6, 2), None),
        (date(2020, 6, 1), 0),
        (date(2019, 6, 1), 1),
    ],
)
def test_a_job_that_is_yet_to_start_is_none(start: date | None, years: int | None) -> None:
    assert years_on_the_job(start, date(2020, 6, 1)) == years


def test_on_a_later_day_all_loans_count() -> None:
    assert features_of_application(HISTORY, date(2020, 6, 2)) == (40, 10, 4, 350.0, 1)


def test_on_the_newest_loans_own_day_its_loans_are_not_seen() -> None:
    assert features_of_application(HISTORY, date(2020, 6, 1)) == (40, 10, 3, 700 / 3, 1)


def test_a_first_day_has_no_mean() -> None:
    first = replace(HISTORY, loan_count_before_newest_day=0, amount_sum_micros_before_newest_day=0)
    assert features_of_application(first, date(2020, 6, 1)) == (40, 10, 0, None, 1)


def test_a_first_application_knows_of_no_loans() -> None:
    day = date(2020, 6, 1)
    assert features_of_first_application(HISTORY.birthday, HISTORY.job_start_date, 0, day) == (
        40,
        10,
        0,
        None,
        0,
    )
    assert features_of_first_application(HISTORY.birthday, None, 1, day) == (40, None, 0, None, 1)


def test_the_past_is_refused() -> None:
    with pytest.raises(ValueError, match="as_of: 2020-05-31 is before the customer's newest loan"):
        features_of_application(HISTORY, date(2020, 5, 31))


@given(amount=st.integers(0, 2**53), count=st.integers(1, 1000))
def test_the_mean_is_the_nearest_double(amount: int, count: int) -> None:
    assert mean_amount(amount, count) == float(Fraction(amount, count * 1_000_000))
