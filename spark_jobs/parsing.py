"""Text → value, strictly: what a field's text means, or that it means nothing.

A plain cast is too kind: it reads ``1987-2-3`` and ``2019-01-01T10:00:00`` as dates and ``Infinity`` as a
number. Here a text is matched first and cast afterwards, and never raises under ANSI rules.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from creditrisk.contract import AMOUNT_DECIMALS, AMOUNT_UNIT, RawType

_INTEGER = r"^[+-]?[0-9]{1,19}$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_DATE_LENGTH = len("2020-12-31")


def present(text: Column) -> Column:
    """The text, null where it is empty."""
    return F.nullif(text, F.lit(""))


def value_of(text: Column, kind: RawType) -> Column:
    """The text's value: bigint, double, date, string, or for an amount whole millionths (bigint).

    Null where the text is missing or cannot be read, and where an amount has too many digits to be kept.
    """
    match kind:
        case RawType.INTEGER:
            return F.when(text.rlike(_INTEGER), text.try_cast("bigint"))
        case RawType.NUMBER:
            return F.when(_is_finite_number(text), text.try_cast("double"))
        case RawType.AMOUNT:
            exact = text.try_cast(f"decimal(18,{AMOUNT_DECIMALS})")
            return F.when(text.rlike(_NUMBER), (exact * F.lit(AMOUNT_UNIT)).try_cast("bigint"))
        case RawType.DATE:
            return F.when(_is_iso_date(text), text.try_cast("date"))
        case RawType.TEXT:
            return text


def is_unparsable(text: Column, kind: RawType) -> Column:
    """Whether a text is there and cannot be read. False for a missing one; never null."""
    match kind:
        case RawType.INTEGER:
            readable = value_of(text, kind).isNotNull()
        case RawType.NUMBER:
            readable = _is_finite_number(text)
        case RawType.AMOUNT:  # too large a one can be read; the rule about amounts refuses it
            readable = text.rlike(_NUMBER)
        case RawType.DATE:
            readable = _is_iso_date(text)
        case RawType.TEXT:
            return F.lit(False)
    return text.isNotNull() & ~F.coalesce(readable, F.lit(False))


def _is_finite_number(text: Column) -> Column:
    return text.rlike(_NUMBER) & (F.abs(text.try_cast("double")) < F.lit(float("inf")))


def _is_iso_date(text: Column) -> Column:
    """Only a day written as Spark itself writes it: the cast accepts much more."""
    return (F.length(text) == _DATE_LENGTH) & (text.try_cast("date").cast("string") == text)
