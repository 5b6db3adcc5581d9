"""The contract's row rules that a question about a new loan can break: a day, a birthday, a job's start.

``spark_jobs.rules`` says the same of landed loans; the tests hold the two against each other.
"""

from datetime import date
from typing import NamedTuple

from creditrisk.contract import OLDEST_AGE, ROW_RULES, YOUNGEST_AGE, YOUNGEST_WORKING_AGE
from creditrisk.features import full_years

_SENTENCES = {rule.name: rule.sentence for rule in ROW_RULES}
_SENTENCES["birthday_in_future"] = "The birthday is after today."  # a question lands today


class BrokenRule(NamedTuple):
    """A rule that a question breaks, and in which of its fields."""

    field: str
    value: object
    name: str

    @property
    def sentence(self) -> str:
        """The rule as the contract words it."""
        return _SENTENCES[self.name]


def broken_by_applicant(
    birthday: date, job_start_date: date | None, as_of: date, today: date
) -> list[BrokenRule]:
    """The rules that what a client says of a new customer breaks; a loan of such a row would be quarantined.

    Args:
        birthday: the customer's.
        job_start_date: of the present job; None without one.
        as_of: the day of the loan being applied for.
        today: in the market's time zone.
    """
    broken = []
    if birthday > today:
        broken.append(BrokenRule("birthday", birthday, "birthday_in_future"))
    elif is_age_out_of_range(birthday, as_of):
        broken.append(BrokenRule("birthday", birthday, "age_out_of_range"))
    if job_start_date is not None and job_start_date < _later_by_years(birthday, YOUNGEST_WORKING_AGE):
        broken.append(BrokenRule("job_start_date", job_start_date, "job_before_working_age"))
    return broken


def is_age_out_of_range(birthday: date, as_of: date) -> bool:
    """Whether a customer is too young or too old for a loan of that day."""
    return not YOUNGEST_AGE <= full_years(birthday, as_of) <= OLDEST_AGE


def _later_by_years(day: date, years: int) -> date:
    """The same day in a later year, the last of February where there is no 29th."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        if day.year + years > date.max.year:
            return date.max
        return day.replace(year=day.year + years, day=28)
