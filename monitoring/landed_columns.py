"""The raw columns that features come from, read from landed loans in batches.

A loan lands on its date or later, or its row is quarantined; so loans since a day are in what has landed since. A value
that cannot be read counts as missing: which rows are refused, and why, is the quality gate's to say.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from creditrisk.contract import DAYS_PER_YEAR
from creditrisk.storage import Storage
from monitoring.histograms import FloatArray, Grid, feature_grid

logger = logging.getLogger(__name__)

GRIDS: dict[str, Grid] = {
    "birthday": feature_grid("age"),
    "job_start_date": feature_grid("years_on_the_job"),
    "flag_own_car": feature_grid("flag_own_car"),
    "loan_amount": feature_grid("avg_amount_loans_previous"),
}
"""What a column is counted by: dates as years before the loan, the flag as 0 and 1."""

_READ = ("loan_id", "loan_date", *GRIDS)
_LANDED = re.compile(r"raw/loans/(\d{4}-\d{2}-\d{2})/(?:.*/)?([^/._][^/]*)")


@dataclass(frozen=True, eq=False, slots=True)
class LandedLoans:
    """Some landed loans: arrays of one entry a loan."""

    days: npt.NDArray[np.datetime64]
    """Loan dates."""
    values: dict[str, FloatArray]
    """By column, NaN where there is none that can be read."""


def landed_loans(lake: Storage, first: date, last: date) -> Iterator[LandedLoans]:
    """Loans of the days from ``first`` to ``last``, both included, each once, however often it has landed.

    Of rows with one loan_id the first counts: where they differ, the feature job refuses them all. A file that cannot be
    read is passed over, and the log says so.

    Raises:
        StorageError: the lake cannot be read.
    """
    from pyarrow import ArrowException

    seen = set[str]()
    for key in lake.keys("raw/loans"):
        found = _LANDED.fullmatch(key)
        if found is None or found[1] < first.isoformat():
            continue
        try:
            with lake.open(key) as file:
                for batch in _batches(file, key):
                    yield _loans(batch, first, last, seen)
        except (ArrowException, KeyError, ValueError) as error:
            logger.warning("%s: cannot be read, and is left out: %s", key, str(error).splitlines()[0])


def _batches(file: BinaryIO, key: str) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv
    from pyarrow.parquet import ParquetFile

    if key.endswith(".parquet"):
        with ParquetFile(file) as parquet:
            yield from parquet.iter_batches(columns=list(_READ))
    elif key.endswith((".csv", ".csv.gz")):
        stream = pa.CompressedInputStream(file, "gzip") if key.endswith(".gz") else file
        with csv.open_csv(
            stream,
            parse_options=csv.ParseOptions(quote_char=False, invalid_row_handler=lambda _: "skip"),
            convert_options=csv.ConvertOptions(
                include_columns=list(_READ),
                column_types=dict.fromkeys(_READ, pa.string()),
                strings_can_be_null=True,
            ),
        ) as reader:
            yield from reader


def _loans(batch: Any, first: date, last: date, seen: set[str]) -> LandedLoans:
    """The rows of a batch within the days whose loans were not seen, which they are then."""
    days = _days(batch.column("loan_date"))
    is_within = (days >= np.datetime64(first)) & (days <= np.datetime64(last))
    batch, days = batch.filter(is_within), days[is_within]
    is_new = _are_new(batch.column("loan_id"), seen)
    within, days = batch.filter(is_new), days[is_new]
    return LandedLoans(
        days,
        {
            "birthday": _years(within.column("birthday"), days),
            "job_start_date": _years(within.column("job_start_date"), days),
            "flag_own_car": _flags(within.column("flag_own_car")),
            "loan_amount": _numbers(within.column("loan_amount")),
        },
    )


def _are_new(loans: Any, seen: set[str]) -> npt.NDArray[np.bool_]:
    """Which loans were not seen before; those without an id are told apart by nothing, and each is one."""
    from pyarrow import string

    are_new = np.ones(len(loans), dtype=bool)
    for position, loan in enumerate(loans.cast(string()).to_pylist()):
        if loan:
            are_new[position] = loan not in seen
            seen.add(loan)
    return are_new


def _days(column: Any) -> npt.NDArray[np.datetime64]:
    """Dates, NaT where there is none that can be read."""
    from pyarrow import compute, string

    text = column.cast(string())
    is_date = compute.match_substring_regex(text, r"^\d{4}-\d{2}-\d{2}$")
    dates = compute.if_else(is_date, text, None)
    moments = compute.strptime(dates, format="%Y-%m-%d", unit="s", error_is_null=True)
    return np.asarray(moments.to_numpy(zero_copy_only=False), dtype="datetime64[D]")


def _years(column: Any, until: npt.NDArray[np.datetime64]) -> FloatArray:
    """Whole years of 365 days up to each loan; NaN where they begin later."""
    days = _days(column)
    passed = (until - days).astype("timedelta64[D]").astype(float)
    passed[np.isnat(days)] = np.nan
    years: FloatArray = np.where(passed >= 0, np.floor(passed / DAYS_PER_YEAR), np.nan)
    return years


def _flags(column: Any) -> FloatArray:
    from pyarrow import compute, float64, string

    text = column.cast(string())
    known = compute.if_else(
        compute.equal(text, "Y"), 1.0, compute.if_else(compute.equal(text, "N"), 0.0, None)
    )
    return np.asarray(known.cast(float64()).to_numpy(zero_copy_only=False), dtype=float)


def _numbers(column: Any) -> FloatArray:
    from pyarrow import compute, float64, string

    text = column.cast(string())
    is_number = compute.match_substring_regex(text, r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$")
    numbers = compute.if_else(is_number, text, None).cast(float64())
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=float)
