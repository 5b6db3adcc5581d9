"""Rows of text → values, and which of them the contract's rules refuse: in two steps, for speed.

Nearly every line is plain, and its values break no rule. :func:`sifted` tells those with few comparisons, reads their
values, and leaves all others as they are: *doubtful*. :func:`examined` then reads each field of those few, and looks at
every rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from creditrisk.contract import LABEL_COLUMNS, RAW_COLUMNS, RawColumn
from spark_jobs.landed import Header
from spark_jobs.parsing import plain_value_of, present, value_of
from spark_jobs.reading import LandedRows, field_texts, with_fields
from spark_jobs.rules import (
    LABEL_PREFIX,
    MALFORMED_LINE,
    is_plainly_good_label,
    is_plainly_good_loan,
    label_violations,
    loan_violations,
    reason,
    reasons_of,
)


class State(IntEnum):
    """What is known of a row."""

    GOOD = 0
    LATER = 1
    """Of a loan or a label after the run's date: not judged."""
    DOUBTFUL = 2
    """Not looked at yet."""
    REFUSED = 3
    HEADER = 4
    """No row, but a file's header, there or once more."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rows: its columns, the day that may be later, the columns kept as values and as texts."""

    columns: tuple[RawColumn, ...]
    day: str
    values: tuple[str, ...]
    texts: tuple[str, ...]
    rule_prefix: str = ""


LOANS = Kind(
    columns=RAW_COLUMNS,
    day="loan_date",
    values=("loan_id", "id", "loan_date", "birthday", "job_start_date", "loan_amount"),
    texts=("flag_own_car", "status", "code_gender"),
)
LABELS = Kind(
    columns=LABEL_COLUMNS,
    day="known_on",
    values=("loan_id", "known_on"),
    texts=("status",),
    rule_prefix=LABEL_PREFIX,
)


def sifted(landed: LandedRows, kind: Kind, as_of: date) -> DataFrame:
    """Every row, those that are good at a glance with their values.

    Returns:
        The kind's values and texts, as in a snapshot: of loans ``loan_id``, ``id``, ``loan_date``, ``birthday``,
        ``job_start_date``, ``amount_micros``, ``flag_own_car`` (0 or 1), ``status`` (int), ``code_gender``; of labels
        ``loan_id``, ``known_on``, ``status``. They mean something in good rows only. ``identity`` is equal for rows of the
        same texts; ``state`` is GOOD, LATER, DOUBTFUL or HEADER; ``raw``, ``source``, ``landed``, ``header`` are as landed, and
        ``canonical`` is null where it is the same as ``raw``.
    """
    text = {
        column.name: present(F.get("texts", number))
        for number, column in enumerate(kind.columns)
        if column.name in (*kind.values, *kind.texts)
    }
    types = {column.name: column.type for column in kind.columns}
    value = {name: F.col(name) for name in kind.values}
    is_good = (is_plainly_good_loan if kind is LOANS else is_plainly_good_label)(text, value, F.col("landed"))
    is_later = F.coalesce(F.col(kind.day) > F.lit(as_of), F.lit(False))
    state = (
        F.when(F.col("is_header"), State.HEADER.value)
        .when(~F.col("is_plain"), State.DOUBTFUL.value)
        .when(is_later, State.LATER.value)
        .when(is_good, State.GOOD.value)
        .otherwise(State.DOUBTFUL.value)
    )
    return (
        landed.rows.withColumn("texts", F.when(F.col("is_plain"), F.split("canonical", ",", -1)))
        .select(
            *(plain_value_of(text[name], types[name]).alias(name) for name in kind.values),
            *(text[name].alias(name) for name in kind.texts),
            *("texts", "is_header", "is_plain", "canonical", "raw", "source", "landed", "header"),
        )
        .select(*_kept(kind, value, {name: F.col(name) for name in kind.texts}, state), "landed", "header")
    )


def examined(doubtful: DataFrame, headers: tuple[Header, ...], kind: Kind, as_of: date) -> DataFrame:
    """Doubtful rows as values, each with why it is refused.

    Args:
        doubtful: the doubtful rows of :func:`sifted`.
        headers: see :class:`spark_jobs.reading.LandedRows`.
        kind: what the rows are.
        as_of: rows of a day after this date are *later*, and not judged.

    Returns:
        As :func:`sifted`, with ``reasons``: null where the row is good or later. ``state`` is GOOD, LATER or REFUSED.
        All values are null in a malformed row.
    """
    texts = F.when(~F.col("is_malformed"), field_texts(F.col("canonical")))
    fields = (
        with_fields(doubtful, headers, kind.columns)
        .withColumn("texts", texts)
        .select(
            *("is_malformed", "canonical", "raw", "source", "landed"),
            *(
                present(F.get("texts", number)).alias(f"text_{column.name}")
                for number, column in enumerate(kind.columns)
            ),
        )
    )
    text = {column.name: F.col(f"text_{column.name}") for column in kind.columns}
    value = {column.name: F.col(f"value_{column.name}") for column in kind.columns}
    read = fields.select(
        "*", *(value_of(text[each.name], each.type).alias(f"value_{each.name}") for each in kind.columns)
    )
    violations = (loan_violations if kind is LOANS else label_violations)(text, value, F.col("landed"))
    is_later = F.coalesce(value[kind.day] > F.lit(as_of), F.lit(False))
    reasons = (
        F.when(F.col("is_malformed"), F.array(reason(f"{kind.rule_prefix}{MALFORMED_LINE}", "", F.lit(None))))
        .when(is_later, F.lit(None))
        .otherwise(reasons_of(violations, text))
    )
    state = (
        F.when(F.col("reasons").isNotNull(), State.REFUSED.value)
        .when(is_later, State.LATER.value)
        .otherwise(State.GOOD.value)
    )
    return read.withColumn("reasons", reasons).select(*_kept(kind, value, text, state), "reasons")


def doubtful(sifted: DataFrame, repeated: int) -> DataFrame:
    """The doubtful rows of :func:`sifted`; of a header that stands in its file more than once, all lines but one.

    Args:
        sifted: the rows.
        repeated: how many lines of headers there are too many.
    """
    rows = of_state(sifted, State.DOUBTFUL)
    if not repeated:
        return rows
    numbered = of_state(sifted, State.HEADER).withColumn(
        "number", F.row_number().over(Window.partitionBy("source").orderBy("raw"))
    )
    return rows.unionByName(numbered.where("number > 1").drop("number"))


def of_state(rows: DataFrame, state: State) -> DataFrame:
    """The rows of a state."""
    return rows.where(F.col("state") == state.value)


def _kept(kind: Kind, value: Mapping[str, Column], text: Mapping[str, Column], state: Column) -> list[Column]:
    """The columns of a sifted or examined row, in order."""
    status = text["status"].try_cast("int").alias("status")
    if kind is LOANS:
        named = [
            *(
                value[name].alias(name)
                for name in ("loan_id", "id", "loan_date", "birthday", "job_start_date")
            ),
            value["loan_amount"].alias("amount_micros"),
            (text["flag_own_car"] == "Y").cast("int").alias("flag_own_car"),
            status,
            text["code_gender"].alias("code_gender"),
        ]
    else:
        named = [*(value[name].alias(name) for name in ("loan_id", "known_on")), status]
    return [
        *named,
        F.xxhash64(F.coalesce("canonical", "raw")).alias("identity"),
        F.when(F.col("canonical") != F.col("raw"), F.col("canonical")).alias("canonical"),
        F.col("raw"),
        F.col("source"),
        state.alias("state"),
    ]
