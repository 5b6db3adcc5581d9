"""The row rules that a question can break, on both sides of each limit."""

from datetime import date

import pytest

from creditrisk.application_rules import BrokenRule, broken_by_applicant, is_age_out_of_range

TODAY = date(2021, 1, 15)
YOUNGEST, OLDEST = date(2003, 1, 20), date(1920, 2, 11)  # 6,570 and 36,864 days: 18 and 100 of 365 days


@pytest.mark.parametrize(
    ("birthday", "is_out"),
    [
        (YOUNGEST, False),
        (date(2003, 1, 21), True),
        (OLDEST, False),
        (date(1920, 2, 10), True),
        (date(1980, 1, 1), False),
    ],
)
def test_a_customer_is_between_18_and_100_years_of_365_days(birthday: date, is_out: bool) -> None:
    assert is_age_out_of_range(birthday, TODAY) == is_out
    names = [broken.name for broken in broken_by_applicant(birthday, None, TODAY, TODAY)]
    assert names == ["age_out_of_range"] * is_out


@pytest.mark.parametrize(
    ("birthday", "job_start_date", "is_broken"),
    [
        (date(1988, 2, 1), date(2002, 2, 1), False),
        (date(1988, 2, 1), date(2002, 1, 31), True),
        (date(1988, 2, 29), date(2002, 2, 28), False),  # there was no 29th
        (date(1988, 2, 29), date(2002, 2, 27), True),
        (date(1988, 2, 1), date(3021, 9, 18), False),
        (date(1988, 2, 1), None, False),
    ],
)
def test_nobody_works_before_the_14th_birthday(
    birthday: date, job_start_date: date | None, is_broken: bool
) -> None:
    broken = broken_by_applicant(birthday, job_start_date, TODAY, TODAY)
    assert [each.name for each in broken] == ["job_before_working_age"] * is_broken


def test_a_birthday_is_not_in_the_future_even_for_a_loan_that_is() -> None:
    broken = broken_by_applicant(date(2021, 1, 16), None, date(2041, 1, 16), TODAY)
    assert broken == [BrokenRule("birthday", date(2021, 1, 16), "birthday_in_future")]
    assert broken_by_applicant(date(2021, 1, 15), None, date(2041, 1, 16), TODAY) == []


def test_every_broken_rule_is_named_with_the_contracts_sentence() -> None:
    broken = broken_by_applicant(date(2010, 1, 1), date(2015, 1, 1), TODAY, TODAY)
    assert [(each.field, each.sentence) for each in broken] == [
        ("birthday", "The customer's age on the loan date is not between 18 and 100."),
        ("job_start_date", "The job started before the customer's 14th birthday."),
    ]


def test_a_birthday_at_the_end_of_time_is_refused_like_any_other() -> None:
    broken = broken_by_applicant(date(9999, 12, 31), date(9999, 12, 30), TODAY, TODAY)
    assert [each.name for each in broken] == ["birthday_in_future", "job_before_working_age"]
