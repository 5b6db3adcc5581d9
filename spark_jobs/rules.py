"""The contract's row rules as Spark conditions.

Every rule of :data:`creditrisk.contract.ROW_RULES` but ``malformed_line`` and ``conflicting_loan_id`` looks at
one row's fields. Those two are found while lines are read and while rows of one loan meet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from creditrisk.contract import (
    AMOUNT_UNIT,
    DAYS_PER_YEAR,
    EARLIEST_LOAN_DATE,
    LABEL_COLUMNS,
    LARGEST_AMOUNT,
    OLDEST_AGE,
    RAW_COLUMNS,
    ROW_RULES,
    YOUNGEST_AGE,
    YOUNGEST_WORKING_AGE,
    RawColumn,
)
from spark_jobs.parsing import is_unparsable

MALFORMED_LINE = "malformed_line"
CONFLICTING_LOAN_ID = "conflicting_loan_id"
LABEL_PREFIX = "label_"
"""Opens the names of the rules that a late label's row breaks."""

_MONTHS_PER_YEAR = 12
_RULE_FIELDS = {rule.name: rule.fields for rule in ROW_RULES}
_RAW_BY_NAME = {column.name: column for column in RAW_COLUMNS}


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule broken in one field: ``condition`` says when, ``value`` is the field's text."""

    rule: str
    field: str
    condition: Column

    def reason(self, text: Column) -> Column:
        """``struct<rule,field,value>`` where the condition holds, null elsewhere."""
        return F.when(F.coalesce(self.condition, F.lit(False)), reason(self.rule, self.field, text))


def reason(rule: str, field: str, value: Column) -> Column:
    """Why a row is refused: ``struct<rule,field,value>``, all strings."""
    return F.struct(
        F.lit(rule).alias("rule"), F.lit(field).alias("field"), value.cast("string").alias("value")
    )


def loan_violations(
    text: Mapping[str, Column], value: Mapping[str, Column], landed: Column
) -> list[Violation]:
    """Every way in which a loan's fields can break a rule, in the contract's order.

    Args:
        text: each raw column's text, null where empty.
        value: each column's value, see :func:`spark_jobs.parsing.value_of`.
        landed: the day the row's file landed.
    """
    birthday, job_start, loan_date = value["birthday"], value["job_start_date"], value["loan_date"]
    amount = value["loan_amount"]
    age = F.floor(F.datediff(loan_date, birthday) / F.lit(DAYS_PER_YEAR))
    working_age_day = F.add_months(birthday, YOUNGEST_WORKING_AGE * _MONTHS_PER_YEAR)
    is_number = ~is_unparsable(text["loan_amount"], amount, _RAW_BY_NAME["loan_amount"].type)
    is_kept_amount = F.coalesce((amount > 0) & (amount <= LARGEST_AMOUNT * AMOUNT_UNIT), F.lit(False))
    conditions: dict[str, Mapping[str, Column]] = {
        "unparsable": _each(
            "unparsable", lambda name: is_unparsable(text[name], value[name], _RAW_BY_NAME[name].type)
        ),
        "missing_key": _each("missing_key", lambda name: text[name].isNull()),
        "missing_input": _each("missing_input", lambda name: text[name].isNull()),
        "flag_not_yes_or_no": _each("flag_not_yes_or_no", lambda name: ~text[name].isin("Y", "N")),
        "amount_not_positive": {"loan_amount": text["loan_amount"].isNotNull() & is_number & ~is_kept_amount},
        "birthday_in_future": {"birthday": birthday > landed},
        "age_out_of_range": {"birthday": ~age.between(YOUNGEST_AGE, OLDEST_AGE)},
        "job_before_working_age": {"job_start_date": job_start < working_age_day},
        "loan_date_in_future": {"loan_date": loan_date > landed},
        "loan_date_too_early": {"loan_date": loan_date < F.lit(EARLIEST_LOAN_DATE).cast("date")},
        "status_not_zero_or_one": {"status": ~text["status"].isin("0", "1")},
    }
    return [
        Violation(rule.name, field, condition)
        for rule in ROW_RULES
        for field, condition in conditions.get(rule.name, {}).items()
    ]


def label_violations(
    text: Mapping[str, Column], value: Mapping[str, Column], landed: Column
) -> list[Violation]:
    """Every way in which a late label's fields can break a rule."""
    typed: list[RawColumn] = list(LABEL_COLUMNS)
    return [
        *(
            Violation(
                f"{LABEL_PREFIX}unparsable",
                column.name,
                is_unparsable(text[column.name], value[column.name], column.type),
            )
            for column in typed
        ),
        *(Violation(f"{LABEL_PREFIX}missing", column.name, text[column.name].isNull()) for column in typed),
        Violation(f"{LABEL_PREFIX}known_on_in_future", "known_on", value["known_on"] > landed),
        Violation(f"{LABEL_PREFIX}status_not_zero_or_one", "status", ~text["status"].isin("0", "1")),
    ]


def is_plainly_good_loan(text: Mapping[str, Column], value: Mapping[str, Column], landed: Column) -> Column:
    """Whether a plain line's loan breaks no rule, told by few comparisons; never null.

    Who is not plainly good may still be good: all rules are then looked at one by one. The job's start is compared
    by days that are enough in any case, leap years and all.
    """
    days_old = F.datediff(value["loan_date"], value["birthday"])
    days_old_at_work = F.datediff(value["job_start_date"], value["birthday"])
    is_good = (
        (value["birthday"] <= landed)
        & (value["loan_date"] <= landed)
        & (value["loan_date"] >= F.lit(EARLIEST_LOAN_DATE).cast("date"))
        & days_old.between(YOUNGEST_AGE * DAYS_PER_YEAR, (OLDEST_AGE + 1) * DAYS_PER_YEAR - 1)
        & (text["job_start_date"].isNull() | (days_old_at_work >= YOUNGEST_WORKING_AGE * (DAYS_PER_YEAR + 1)))
        & value["loan_amount"].between(1, LARGEST_AMOUNT * AMOUNT_UNIT)
    )
    return F.coalesce(is_good, F.lit(False))


def is_plainly_good_label(text: Mapping[str, Column], value: Mapping[str, Column], landed: Column) -> Column:  # noqa: ARG001
    """Whether a plain line's label breaks no rule; never null."""
    return F.coalesce(value["known_on"] <= landed, F.lit(False))


def reasons_of(violations: list[Violation], text: Mapping[str, Column]) -> Column:
    """``array<struct<rule,field,value>>`` of every violation; null where there is none."""
    reasons = F.array_compact(F.array(*(each.reason(text[each.field]) for each in violations)))
    return F.when(F.size(reasons) > 0, reasons)


def _each(rule: str, condition: Callable[[str], Column]) -> dict[str, Column]:
    return {name: condition(name) for name in _RULE_FIELDS[rule]}
