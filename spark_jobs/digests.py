"""Digests of a snapshot's rows: the same for the same rows, in any order and any number of partitions."""

import hashlib
from datetime import date
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from creditrisk.contract import COLUMN_ROLES, CUSTOMER_DIGEST_COLUMNS, contract_fingerprint

_HALF = 0xFFFFFFFF
_MD5_DIGITS = 15


def loans_digest_columns() -> dict[str, Column]:
    """Aggregates over loan rows that :func:`loans_digest` is made of, by name.

    Two 64-bit hashes a row, each summed in halves: sums of 32-bit numbers fit 64 bits for two billion rows.
    """
    one, other = (row_hash(tuple(COLUMN_ROLES), salt) for salt in (1, 2))
    return {
        "digest_rows": F.count("*"),
        **{
            f"digest_{number}": F.sum(half)
            for number, half in enumerate(
                (
                    one.bitwiseAND(F.lit(_HALF)),
                    F.shiftrightunsigned(one, 32),
                    other.bitwiseAND(F.lit(_HALF)),
                    F.shiftrightunsigned(other, 32),
                )
            )
        },
    }


def loans_digest(aggregates: dict[str, Any]) -> str:
    """The digest of the loan rows: the count and four sums."""
    return ":".join(str(aggregates[name] or 0) for name in loans_digest_columns())


def row_hash(columns: tuple[str, ...], salt: int) -> Column:
    """64-bit hash of a row. Which values are missing is hashed too: ``xxhash64`` itself skips nulls."""
    return F.xxhash64(
        F.lit(salt), *(F.col(name).isNull() for name in columns), *(F.col(name) for name in columns)
    )


def customers_digest_columns(names: dict[str, str]) -> dict[str, Column]:
    """Aggregates over loan rows that :func:`customers_digest` is made of, by name.

    As :data:`creditrisk.contract.CUSTOMER_DIGEST_COLUMNS` says; Postgres takes the same over its table.

    Args:
        names: by the customers' column, the column of the rows; of each customer, the row that ``is_newest`` counts.
    """
    texts = (F.coalesce(F.col(names[name]).cast("string"), F.lit("")) for name in CUSTOMER_DIGEST_COLUMNS)
    return _md5_columns("customers", F.concat_ws("|", *texts), F.col("is_newest"))


def customers_digest(aggregates: dict[str, Any]) -> str:
    """The digest of the customers' rows."""
    return _md5_digest("customers", aggregates)


def quarantine_digest_columns() -> dict[str, Column]:
    """Aggregates over refused rows that :func:`quarantine_digest` is made of, by name.

    Over the raw text and the reasons; where the file lay does not count.
    """
    reasons = F.to_json("reasons", {"ignoreNullFields": "false"})
    return _md5_columns("refused", F.concat_ws("|", F.coalesce("raw", F.lit("")), reasons), F.lit(True))


def quarantine_digest(aggregates: dict[str, Any]) -> str:
    """The digest of the refused rows."""
    return _md5_digest("refused", aggregates)


def content_hash(as_of: date, loans: str, customers: str, refused: str) -> str:
    """SHA-256 in hex of what a snapshot holds and how its features are defined."""
    parts = (str(as_of), contract_fingerprint(), loans, customers, refused)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _md5_columns(what: str, text: Column, is_counted: Column) -> dict[str, Column]:
    number = F.conv(F.substring(F.md5(text), 1, _MD5_DIGITS), 16, 10).cast("decimal(38,0)")
    return {
        f"{what}_rows": F.count_if(is_counted),
        f"{what}_total": F.sum(F.when(is_counted, number)),
    }


def _md5_digest(what: str, aggregates: dict[str, Any]) -> str:
    return f"{aggregates[f'{what}_rows']}:{aggregates[f'{what}_total'] or 0}"
