"""The data contract: raw columns, row rules, features. The one home of their names, types, order and bounds."""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import Literal

DAYS_PER_YEAR = 365
"""Ages are ``floor(days / 365)``: the source's own definition, without leap days."""

AGE_BANDS = ((18, 30), (30, 40), (40, 50), (50, 60), (60, 101))
"""From the first up to, not including, the second: groups that models are compared in."""

NOT_EMPLOYED_YEAR = 3021
"""The source writes a job start in this year for a customer who is not employed."""

AMOUNT_DECIMALS = 6
AMOUNT_UNIT = 10**AMOUNT_DECIMALS
"""Amounts are kept as whole millionths (``amount_micros``), so that sums are exact in any order."""

LARGEST_AMOUNT = 10_000_000_000
"""Sums of some 900 loans of this size still fit 64 bits."""

YOUNGEST_AGE, OLDEST_AGE = 18, 100
YOUNGEST_WORKING_AGE = 14
EARLIEST_LOAN_DATE = "1990-01-01"


class Role(StrEnum):
    """What a column may be used for. Only an input ever reaches a model."""

    KEY = "key"
    INPUT = "input"
    LABEL = "label"
    AUDIT = "audit"


class RawType(StrEnum):
    """How a raw field's text is read. Anything that does not match is unparsable."""

    INTEGER = "integer"  # digits with an optional sign, within 64 bits
    NUMBER = "number"  # a finite decimal number
    AMOUNT = "amount"  # a finite decimal number, kept as whole millionths
    DATE = "date"  # YYYY-MM-DD, a day that exists
    TEXT = "text"  # no double quote in it


@dataclass(frozen=True, slots=True)
class RawColumn:
    """A column of the landed loans file."""

    name: str
    type: RawType
    required: bool = False


RAW_COLUMNS: tuple[RawColumn, ...] = (
    RawColumn("loan_id", RawType.INTEGER, required=True),
    RawColumn("id", RawType.INTEGER, required=True),
    RawColumn("code_gender", RawType.TEXT),
    RawColumn("flag_own_car", RawType.TEXT, required=True),
    RawColumn("flag_own_realty", RawType.TEXT),
    RawColumn("cnt_children", RawType.INTEGER),
    RawColumn("amt_income_total", RawType.NUMBER),
    RawColumn("name_income_type", RawType.TEXT),
    RawColumn("name_education_type", RawType.TEXT),
    RawColumn("name_family_status", RawType.TEXT),
    RawColumn("name_housing_type", RawType.TEXT),
    RawColumn("days_birth", RawType.INTEGER),
    RawColumn("days_employed", RawType.INTEGER),
    RawColumn("flag_mobil", RawType.INTEGER),
    RawColumn("flag_work_phone", RawType.INTEGER),
    RawColumn("flag_phone", RawType.INTEGER),
    RawColumn("flag_email", RawType.INTEGER),
    RawColumn("occupation_type", RawType.TEXT),
    RawColumn("cnt_fam_members", RawType.NUMBER),
    RawColumn("status", RawType.TEXT),
    RawColumn("birthday", RawType.DATE, required=True),
    RawColumn("job_start_date", RawType.DATE),
    RawColumn("loan_date", RawType.DATE, required=True),
    RawColumn("loan_amount", RawType.AMOUNT, required=True),
)

LABEL_COLUMNS: tuple[RawColumn, ...] = (
    RawColumn("loan_id", RawType.INTEGER, required=True),
    RawColumn("status", RawType.TEXT, required=True),
    RawColumn("known_on", RawType.DATE, required=True),
)
"""Columns of a late label's file, ``raw/labels/<landed>/``."""


@dataclass(frozen=True, slots=True)
class RowRule:
    """A named reason to quarantine a row, with the sentence an operator reads."""

    name: str
    sentence: str
    fields: tuple[str, ...] = ()


_TYPED = tuple(column.name for column in RAW_COLUMNS if column.type is not RawType.TEXT)
_REQUIRED = tuple(column.name for column in RAW_COLUMNS if column.required)

ROW_RULES: tuple[RowRule, ...] = (
    RowRule("malformed_line", "The line has too few or too many fields, or broken quotes."),
    RowRule("unparsable", "A number or a date cannot be read; dates are YYYY-MM-DD, numbers finite.", _TYPED),
    RowRule(
        "missing_key", "The loan, the customer or the loan date is empty.", ("loan_id", "id", "loan_date")
    ),
    RowRule(
        "missing_input",
        "The birthday, the amount or the car flag is empty.",
        tuple(name for name in _REQUIRED if name not in ("loan_id", "id", "loan_date")),
    ),
    RowRule("conflicting_loan_id", "Rows with this loan_id differ from one another.", ("loan_id",)),
    RowRule("flag_not_yes_or_no", "A flag is neither Y nor N.", ("flag_own_car", "flag_own_realty")),
    RowRule(
        "amount_not_positive",
        f"The amount is not a finite number above 0 and at most {LARGEST_AMOUNT}.",
        ("loan_amount",),
    ),
    RowRule("birthday_in_future", "The birthday is after the day the file landed.", ("birthday",)),
    RowRule(
        "age_out_of_range",
        f"The customer's age on the loan date is not between {YOUNGEST_AGE} and {OLDEST_AGE}.",
        ("birthday", "loan_date"),
    ),
    RowRule(
        "job_before_working_age",
        f"The job started before the customer's {YOUNGEST_WORKING_AGE}th birthday.",
        ("job_start_date", "birthday"),
    ),
    RowRule("loan_date_in_future", "The loan date is after the day the file landed.", ("loan_date",)),
    RowRule("loan_date_too_early", f"The loan date is before {EARLIEST_LOAN_DATE}.", ("loan_date",)),
    RowRule("status_not_zero_or_one", "The status is neither 0, 1 nor empty.", ("status",)),
)


@dataclass(frozen=True, slots=True)
class Feature:
    """A model input.

    ``lower`` and ``upper`` are the bounds the quality gate holds values against (inclusive);
    ``histogram_edges`` are fixed, so that histograms of two snapshots can be compared: with n
    edges there are n + 1 counts, the first of values below ``edges[0]``, the last of values
    from ``edges[-1]`` up.
    """

    name: str
    type: Literal["int", "double"]
    nullable: bool
    lower: float
    upper: float
    meaning: str
    histogram_edges: tuple[float, ...]


def _decades(first: int, last: int) -> tuple[float, ...]:
    """Eight edges a decade, from ``10**first`` to ``10**last``."""
    return tuple(float(f"{10 ** (first + step / 8):.4g}") for step in range((last - first) * 8 + 1))


FEATURES: tuple[Feature, ...] = (
    Feature(
        "age",
        "int",
        nullable=False,
        lower=YOUNGEST_AGE,
        upper=OLDEST_AGE,
        meaning="the customer's age in years of 365 days",
        histogram_edges=tuple(float(edge) for edge in range(20, 100, 5)),
    ),
    Feature(
        "years_on_the_job",
        "int",
        nullable=True,
        lower=0,
        upper=OLDEST_AGE - YOUNGEST_WORKING_AGE,
        meaning="years of 365 days in the present job; empty without one",
        histogram_edges=(1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0),
    ),
    Feature(
        "nb_previous_loans",
        "int",
        nullable=False,
        lower=0,
        upper=100_000,
        meaning="the customer's loans before this one",
        histogram_edges=tuple(float(edge) for edge in (*range(1, 11), 15, 20, 30, 40, 50, 75, 100, 1000)),
    ),
    Feature(
        "avg_amount_loans_previous",
        "double",
        nullable=True,
        lower=0.0,
        upper=float(LARGEST_AMOUNT),
        meaning="mean amount of the customer's loans of earlier days; empty without one",
        histogram_edges=_decades(0, 8),
    ),
    Feature(
        "flag_own_car",
        "int",
        nullable=False,
        lower=0,
        upper=1,
        meaning="1 when the customer owns a car",
        histogram_edges=(0.5,),
    ),
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
"""The model's input order."""

COLUMN_ROLES: dict[str, Role] = {
    "loan_id": Role.KEY,
    "id": Role.KEY,
    "loan_date": Role.KEY,
    **dict.fromkeys(FEATURE_NAMES, Role.INPUT),
    "status": Role.LABEL,
    "code_gender": Role.AUDIT,
}
"""Every column of a snapshot's loan rows."""

TRAINING_SET_COLUMNS: tuple[str, ...] = ("loan_id", "id", "loan_date", *FEATURE_NAMES, "status")
"""The header of ``features.csv``."""

CUSTOMER_COLUMNS: tuple[str, ...] = (
    "id",
    "loan_id",
    "loan_date",
    *FEATURE_NAMES,
    "birthday",
    "job_start_date",
    "loan_count",
    "amount_sum_micros",
    "loan_count_before_newest_day",
    "amount_sum_micros_before_newest_day",
)
"""A customer's online row, in ``customers/*.parquet`` and in Postgres: ``loan_id`` and ``loan_date`` are of
the newest loan, the features as of the snapshot's date, the rest is a ``features.CustomerHistory``."""

CUSTOMER_DIGEST_COLUMNS: tuple[str, ...] = tuple(
    name for name in CUSTOMER_COLUMNS if name != "avg_amount_loans_previous"
)
"""What the customers' digest is taken over. The mean follows from the last two columns, and is left out
because Spark, Postgres and Python each write a float in their own way.

The digest is ``"<rows>:<sum>"``: each row's columns as text (dates as YYYY-MM-DD, empty where missing)
joined by ``|``, the first 15 hex digits of its MD5 read as a number, summed over all rows. Spark and
Postgres both compute it, in any order, in one pass.
"""


@cache
def contract_fingerprint() -> str:
    """16 hex digits that change when a feature's name, type, order, bounds or meaning does."""
    canonical = json.dumps([asdict(feature) for feature in FEATURES], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
