"""Text → value, strictly: what a field's text means, or that it means nothing.

A plain cast is too kind: it reads ``1987-2-3`` and ``2019-01-01T10:00:00`` as dates and ``Infinity`` as a
number. Here a text is matched first and cast afterwards, and never raises under ANSI rules.
"""

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from creditrisk.contract import AMOUNT_DECIMALS, AMOUNT_UNIT, RawColumn, RawType

# ``\z`` is the end; before ``$`` Java lets a Unicode line separator pass, at which no line ends here.
_INTEGER = r"^[+-]?[0-9]{1,19}\z"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\z"
_DATE_LENGTH = len("2020-12-31")
# Possessive (``+`` behind the count): no field gives back what it took, so a line is walked once.
_PLAIN = {
    RawType.INTEGER: "-?[0-9]{1,18}+",
    RawType.NUMBER: r"-?[0-9]{1,18}+(?:\.[0-9]{1,18}+)?+",
    RawType.AMOUNT: r"[0-9]{1,11}+(?:\.[0-9]{1,18}+)?+",
    RawType.DATE: "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    RawType.TEXT: '[^",\ufffd]*',
}
_PLAIN_BY_NAME = {"flag_own_car": "[YN]", "flag_own_realty": "[YN]", "status": "[01]"}


def present(text: Column) -> Column:
    """The text, null where it is empty."""
    return F.nullif(text, F.lit(""))


def plain_line(columns: Sequence[RawColumn]) -> str:
    """A regular expression for a line whose fields, in this order, are all of their type and none missing in vain.

    What matches has no quotes and is UTF-8, and only its dates may still turn out not to exist. Nearly every line matches, and
    one look at the line is much cheaper than one at each of its fields.
    """
    fields = []
    for column in columns:
        field = _PLAIN_BY_NAME.get(column.name, _PLAIN[column.type])
        fields.append(field if column.required else f"(?:{field})?+")
    return rf"^{','.join(fields)}\z"


def value_of(text: Column, kind: RawType) -> Column:
    """The text's value: bigint, double, date, string, or for an amount whole millionths (bigint).

    Null where the text is missing or cannot be read, and where an amount has too many digits to be kept.
    """
    match kind:
        case RawType.INTEGER:
            value = text.try_cast("bigint")
            # Nearly every text is the number as Spark writes it, and needs no regular expression.
            return F.when((value.cast("string") == text) | text.rlike(_INTEGER), value)
        case RawType.NUMBER:
            value = text.try_cast("double")
            return F.when((F.abs(value) < F.lit(float("inf"))) & text.rlike(_NUMBER), value)
        case RawType.AMOUNT:
            exact = text.try_cast(f"decimal(18,{AMOUNT_DECIMALS})")
            return F.when(text.rlike(_NUMBER), (exact * F.lit(AMOUNT_UNIT)).try_cast("bigint"))
        case RawType.DATE:
            value = text.try_cast("date")  # reads much more than YYYY-MM-DD
            return F.when((F.length(text) == _DATE_LENGTH) & (value.cast("string") == text), value)
        case RawType.TEXT:
            return text


def plain_value_of(text: Column, kind: RawType) -> Column:
    """What :func:`value_of` says, for a text of a plain line: its form is known, it needs no second look."""
    match kind:
        case RawType.INTEGER:
            return text.try_cast("bigint")
        case RawType.NUMBER:
            return text.try_cast("double")
        case RawType.AMOUNT:
            exact = text.try_cast(f"decimal(18,{AMOUNT_DECIMALS})")
            return (exact * F.lit(AMOUNT_UNIT)).try_cast("bigint")
        case RawType.DATE:
            return text.try_cast("date")
        case RawType.TEXT:
            return text


def is_unparsable(text: Column, value: Column, kind: RawType) -> Column:
    """Whether a text is there and cannot be read. False for a missing one; never null."""
    unread = text.isNotNull() & value.isNull()
    if kind is RawType.TEXT:
        return F.lit(False)
    if kind is RawType.AMOUNT:  # one that is too large can be read; the rule about amounts refuses it
        return unread & ~text.rlike(_NUMBER)
    return unread
