"""Digests of a snapshot's rows: the same for the same rows, in any order and any number of partitions."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column
from pyspark.sql import functions as F

from creditrisk.contract import COLUMN_ROLES, CUSTOMER_DIGEST_COLUMNS, contract_fingerprint

LOAN_HASHES = ("loan_hash_1", "loan_hash_2")
CUSTOMER_NUMBER = "customer_number"

_LOW_HALF, _HALF_BITS = np.uint64(0xFFFFFFFF), np.uint64(32)
_MD5_DIGITS = 15


def loan_hashes() -> dict[str, Column]:
    """Two 64-bit hashes of a loan row, by name: what the loans' digest is made of."""
    return {name: row_hash(tuple(COLUMN_ROLES), salt) for salt, name in enumerate(LOAN_HASHES, 1)}


def row_hash(columns: tuple[str, ...], salt: int) -> Column:
    """64-bit hash of a row. Which values are missing is hashed too: ``xxhash64`` itself skips nulls."""
    return F.xxhash64(
        F.lit(salt), *(F.col(name).isNull() for name in columns), *(F.col(name) for name in columns)
    )


def customer_number(names: dict[str, str]) -> Column:
    """What the customers' digest is made of: a number of 60 bits in rows that are ``is_newest``, null in others.

    As :data:`creditrisk.contract.CUSTOMER_DIGEST_COLUMNS` says; Postgres takes the same over its table.

    Args:
        names: by the customers' column, the column of the rows.
    """
    texts = (F.coalesce(F.col(names[name]).cast("string"), F.lit("")) for name in CUSTOMER_DIGEST_COLUMNS)
    return F.when(F.col("is_newest"), _md5_number(F.concat_ws("|", *texts)))


class RowSums:
    """How many rows there are, and the sum of a number of 64 bits in each, whatever their order."""

    def __init__(self) -> None:
        self.rows = self.low = self.high = 0

    def add(self, numbers: npt.NDArray[np.uint64]) -> None:
        """Take a batch in: sums of 32-bit halves fit 64 bits for four billion rows."""
        self.rows += len(numbers)
        self.low += int((numbers & _LOW_HALF).sum())
        self.high += int((numbers >> _HALF_BITS).sum())


def loans_digest(hashes: Sequence[RowSums]) -> str:
    """The digest of the loan rows: the count, and four sums of halves of :func:`loan_hashes`."""
    sums = (half for each in hashes for half in (each.low, each.high))
    return ":".join(map(str, (hashes[0].rows, *sums)))


def customers_digest(numbers: RowSums) -> str:
    """The digest of the customers' rows: the count, and the sum of :func:`customer_number`."""
    return f"{numbers.rows}:{numbers.low + (numbers.high << 32)}"


def quarantine_digest_columns() -> dict[str, Column]:
    """Aggregates over refused rows that :func:`quarantine_digest` is made of, by name.

    Over the raw text and the reasons; where the file lay does not count.
    """
    reasons = F.to_json("reasons", {"ignoreNullFields": "false"})
    number = _md5_number(F.concat_ws("|", F.coalesce("raw", F.lit("")), reasons))
    return {"rows": F.count("*"), "total": F.sum(number.cast("decimal(38,0)"))}


def quarantine_digest(aggregates: dict[str, Any]) -> str:
    """The digest of the refused rows."""
    return f"{aggregates['rows']}:{aggregates['total'] or 0}"


def content_hash(as_of: date, loans: str, customers: str, refused: str) -> str:
    """SHA-256 in hex of what a snapshot holds and how its features are defined."""
    parts = (str(as_of), contract_fingerprint(), loans, customers, refused)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _md5_number(text: Column) -> Column:
    return F.conv(F.substring(F.md5(text), 1, _MD5_DIGITS), 16, 10).cast("bigint")
