"""The bad rows of a sample loans file: for most row rules a row that breaks it and no other."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from creditrisk.contract import DAYS_PER_YEAR, RAW_COLUMNS
from local.sample_customers import NOT_EMPLOYED_DAYS, NOT_EMPLOYED_SINCE

Row = dict[str, str]

_NAMES = [column.name for column in RAW_COLUMNS]
_NO_JOB = {"job_start_date": str(NOT_EMPLOYED_SINCE), "days_employed": str(NOT_EMPLOYED_DAYS)}


def _years_after(day: str, years: int) -> str:
    return str(date.fromisoformat(day) + timedelta(days=years * DAYS_PER_YEAR))


@dataclass(frozen=True, slots=True)
class BadRows:
    """The rule that is broken; the fields, row by row, that break it in otherwise good rows of one loan."""

    rule: str
    changes: tuple[Callable[[Row], Row], ...]
    fields_kept: int = len(_NAMES)


BAD_ROWS: Final = (
    BadRows(
        "loan_date_too_early", (lambda _: _NO_JOB | {"loan_date": "1989-12-31", "birthday": "1955-06-30"},)
    ),
    BadRows("malformed_line", (lambda _: {},), fields_kept=20),
    BadRows("unparsable", (lambda _: {"job_start_date": "2016-11-31"},)),
    BadRows("unparsable", (lambda _: {"amt_income_total": "unknown"},)),
    BadRows("missing_key", (lambda _: {"id": ""},)),
    BadRows("missing_input", (lambda _: {"loan_amount": ""},)),
    BadRows("conflicting_loan_id", (lambda _: {"loan_amount": "100.5"}, lambda _: {"loan_amount": "200.5"})),
    BadRows("flag_not_yes_or_no", (lambda _: {"flag_own_car": "X"},)),
    BadRows("amount_not_positive", (lambda _: {"loan_amount": "-25.5"},)),
    BadRows("age_out_of_range", (lambda row: _NO_JOB | {"birthday": _years_after(row["loan_date"], -16)},)),
    BadRows("job_before_working_age", (lambda row: {"job_start_date": _years_after(row["birthday"], 9)},)),
    BadRows("status_not_zero_or_one", (lambda _: {"status": "C"},)),
)
"""In the order of the file. Rules about the future are left to the tests: whether such a row is judged at all
depends on the date that is asked for."""


def bad_row_counts() -> dict[str, int]:
    """Rows by the rule they break."""
    counts: dict[str, int] = {}
    for bad in BAD_ROWS:
        counts[bad.rule] = counts.get(bad.rule, 0) + len(bad.changes)
    return counts


def insert_bad_rows(lines: list[str], first_free_loan_id: int) -> list[str]:
    """Return a file's first data lines with the bad rows spread among them, each of its neighbour's loan date.

    Args:
        lines: at least one line, without its end; fields without commas.
        first_free_loan_id: what the bad rows' own loan ids are counted from.
    """
    result: list[str] = []
    taken = 0
    for number, bad in enumerate(BAD_ROWS):
        until = number * len(lines) // len(BAD_ROWS)
        result += lines[taken:until]
        taken = until
        neighbour = dict(zip(_NAMES, lines[max(until - 1, 0)].split(","), strict=True))
        neighbour["loan_id"] = str(first_free_loan_id + number)
        for change in bad.changes:
            row = neighbour | change(neighbour)
            result.append(",".join([row[name] for name in _NAMES][: bad.fields_kept]))
    return result + lines[taken:]
