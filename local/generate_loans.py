"""Makes a sample loans file: the contract's columns, the real file's shape and mess, any size, from a seed.

    python -m local.generate_loans --customers 3000 --days 730 --output loans.csv

Customers have about 21 loans each, spread over the days, several on some days. The same arguments
give the same bytes. Memory grows with the customers, not with the loans.
"""

import argparse
import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv

from creditrisk.contract import AMOUNT_UNIT, EARLIEST_LOAN_DATE, RAW_COLUMNS
from local.sample_bad_rows import bad_row_counts, insert_bad_rows
from local.sample_customers import (
    APPLIED_AFTER,
    EDUCATIONS,
    FAMILIES,
    FIRST_LOAN_ID,
    GENDERS,
    HOUSINGS,
    INCOMES,
    NOT_EMPLOYED_DAYS,
    OCCUPATIONS,
    YES_NO,
    Customers,
    Ints,
    day_number,
    draw_customers,
)
from local.sample_loans import Loans, draw_loans

WRITTEN_AT_ONCE: Final = 50_000
_HEADER = ",".join(column.name for column in RAW_COLUMNS) + "\n"
_CSV = pa.csv.WriteOptions(include_header=False, quoting_style="none")


@dataclass(frozen=True, slots=True)
class GeneratedLoans:
    """What a sample file holds. ``rows`` counts the bad ones too, ``loans`` and ``late`` only the good."""

    rows: int
    loans: int
    customers: int
    late: int
    newest: date
    bad_rows: dict[str, int]
    """Rows by the row rule they break."""


def generate_loans(
    path: Path, customers: int, days: int, seed: int, newest: date, *, with_bad_rows: bool = True
) -> GeneratedLoans:
    """Write a sample loans file, gzipped where the name ends in ``.gz``; it appears whole or not at all.

    Args:
        path: the file; its folder is made, a file of that name replaced.
        customers: how many customers, each with 1 to 61 loans.
        days: the days up to ``newest`` over which the loans are spread.
        seed: the same arguments and seed give the same bytes.
        newest: the date of the newest loan.
        with_bad_rows: whether a handful of rows breaks the row rules.

    Raises:
        ValueError: ``customers`` or ``days`` is below 1, or the days reach too far back.
    """
    earliest = date.fromisoformat(EARLIEST_LOAN_DATE)
    if customers < 1:
        raise ValueError(f"customers: {customers} is below 1")
    if not 1 <= days <= (newest - earliest).days + 1:
        raise ValueError(f"days: {days} before {newest} is not between 1 and the days since {earliest}")
    rng = np.random.default_rng(seed)
    profiles = draw_customers(rng, customers, days, newest)
    loans = late = 0
    bad_rows: dict[str, int] = {}
    with _appearing_whole(path) as file:
        file.write(_HEADER.encode())
        for block in draw_loans(rng, profiles, days, newest):
            for begin in range(0, len(block), WRITTEN_AT_ONCE):
                text = _csv_text(profiles, block, slice(begin, begin + WRITTEN_AT_ONCE), newest)
                if with_bad_rows and not bad_rows:
                    free = FIRST_LOAN_ID + int(profiles.loan_count.sum())
                    text = "\n".join([*insert_bad_rows(text.decode().splitlines(), free), ""]).encode()
                    bad_rows = bad_row_counts()
                file.write(text)
            loans += len(block)
            late += int(block.late.sum())
    return GeneratedLoans(loans + sum(bad_rows.values()), loans, customers, late, newest, bad_rows)


@contextmanager
def _appearing_whole(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """A file to write to, which gets its name at the end; no time and no name in a gzip header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as plain:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", fileobj=plain, mode="wb", compresslevel=5, mtime=0) as packed:
                    yield packed
            else:
                yield plain
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _csv_text(customers: Customers, loans: Loans, part: slice, newest: date) -> bytes:
    """The CSV lines of some of the loans."""
    who = loans.customer[part]
    applied = day_number(newest + APPLIED_AFTER)

    def text(choices: tuple[str, ...], picked: Ints) -> Any:
        return pa.array(choices).take(pa.array(picked[who]))

    def day(numbers: Ints) -> Any:
        return pa.array(numbers.astype(np.int32)).cast(pa.date32())

    def with_decimal(numbers: Ints) -> Any:
        return pa.compute.binary_join_element_wise(pa.array(numbers[who]).cast(pa.string()), ".0", "")

    job_start, birthday = customers.job_start[who], customers.birthday[who]
    ones = np.ones(len(who), dtype=np.int64)
    columns = {
        "loan_id": loans.loan_id[part],
        "id": customers.id[who],
        "code_gender": text(GENDERS, customers.gender),
        "flag_own_car": text(YES_NO, customers.own_car),
        "flag_own_realty": text(YES_NO, customers.own_realty),
        "cnt_children": customers.children[who],
        "amt_income_total": with_decimal(customers.income),
        "name_income_type": text(INCOMES, customers.income_type),
        "name_education_type": text(EDUCATIONS, customers.education),
        "name_family_status": text(FAMILIES, customers.family),
        "name_housing_type": text(HOUSINGS, customers.housing),
        "days_birth": birthday - applied,
        "days_employed": np.where(customers.employed[who] == 1, job_start - applied, NOT_EMPLOYED_DAYS),
        "flag_mobil": ones,
        "flag_work_phone": customers.work_phone[who],
        "flag_phone": customers.phone[who],
        "flag_email": customers.email[who],
        "occupation_type": text(OCCUPATIONS, customers.occupation),
        "cnt_fam_members": with_decimal(customers.family_size),
        "status": loans.late[part],
        "birthday": day(birthday),
        "job_start_date": day(job_start),
        "loan_date": day(loans.day[part]),
        "loan_amount": loans.amount_micros[part] / AMOUNT_UNIT,
    }
    target = BytesIO()
    pa.csv.write_csv(pa.table({column.name: columns[column.name] for column in RAW_COLUMNS}), target, _CSV)
    return target.getvalue()


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, write the file, and say on stderr what it holds."""
    yesterday = datetime.now().astimezone().date() - timedelta(days=1)
    parser = argparse.ArgumentParser(
        prog="python -m local.generate_loans", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--customers", type=int, required=True, metavar="N")
    parser.add_argument(
        "--days", type=int, required=True, metavar="N", help="the days the loans are spread over"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--newest", type=date.fromisoformat, default=yesterday, metavar="YYYY-MM-DD", help="yesterday"
    )
    parser.add_argument("--clean", action="store_true", help="leave the bad rows out")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="gzipped where it ends in .gz"
    )
    options = parser.parse_args(arguments)
    try:
        made = generate_loans(
            options.output,
            options.customers,
            options.days,
            options.seed,
            options.newest,
            with_bad_rows=not options.clean,
        )
    except ValueError as error:
        parser.error(str(error))
    print(
        f"{options.output}: {made.loans:,} loans of {made.customers:,} customers, newest {made.newest},"
        f" {made.late / made.loans:.2%} late, and {sum(made.bad_rows.values())} bad rows",
        file=sys.stderr,
    )
    for rule, count in made.bad_rows.items():
        print(f"  bad rows, {rule}: {count}", file=sys.stderr)


if __name__ == "__main__":
    main()
