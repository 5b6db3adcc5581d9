"""Digests of a snapshot's rows: the same for the same rows, in any order and any number of partitions."""

import hashlib
from datetime import date

from pyspark.sql import Column, DataFrame
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


def loans_digest(aggregates: dict[str, int | None]) -> str:
    """The digest of the loan rows: the count and four sums."""
    return ":".join(str(aggregates[name] or 0) for name in loans_digest_columns())


def row_hash(columns: tuple[str, ...], salt: int) -> Column:
    """64-bit hash of a row. Which values are missing is hashed too: ``xxhash64`` itself skips nulls."""
    return F.xxhash64(
        F.lit(salt), *(F.col(name).isNull() for name in columns), *(F.col(name) for name in columns)
    )


def customers_digest(customers: DataFrame) -> str:
    """As :data:`creditrisk.contract.CUSTOMER_DIGEST_COLUMNS` says; Postgres takes the same over its table."""
    return _md5_digest(
        customers,
        F.concat_ws(
            "|", *(F.coalesce(F.col(name).cast("string"), F.lit("")) for name in CUSTOMER_DIGEST_COLUMNS)
        ),
    )


def quarantine_digest(refused: DataFrame) -> str:
    """Over the raw text and the reasons; where the file lay does not count."""
    return _md5_digest(
        refused,
        F.concat_ws("|", F.coalesce("raw", F.lit("")), F.to_json("reasons", {"ignoreNullFields": "false"})),
    )


def content_hash(as_of: date, loans: str, customers: str, refused: str) -> str:
    """SHA-256 in hex of what a snapshot holds and how its features are defined."""
    parts = (str(as_of), contract_fingerprint(), loans, customers, refused)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _md5_digest(rows: DataFrame, text: Column) -> str:
    number = F.conv(F.substring(F.md5(text), 1, _MD5_DIGITS), 16, 10).cast("decimal(38,0)")
    total = rows.agg(F.count("*").alias("rows"), F.sum(number).alias("total")).collect()[0]
    return f"{total['rows']}:{total['total'] or 0}"
