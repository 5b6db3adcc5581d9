"""Who is learnt from, and who judges: by customer for ever, and by a cut date.

A customer's side is a salted hash of the id, so that no customer is ever on two sides, in no training and no
snapshot. The model is fitted, calibrated and given its threshold on loans before the cut date, and judged on
other customers' loans from that date on: as it will be used, on people and days it has not seen.
"""

import hashlib
import math
from datetime import date
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from creditrisk.errors import RowsInsufficient
from creditrisk.registry import JUDGED_SIDE, SideCounts, SplitRecord
from training.dataset import Loans


class Side(StrEnum):
    """What a customer's loans are used for."""

    TRAIN = "train"
    CALIBRATE = "calibrate"
    VALIDATE = "validate"
    TEST = JUDGED_SIDE


SALT = "creditrisk customer side"
"""Never changed: another salt would let customers whom earlier models learnt from judge later ones."""

PERCENT = {Side.TRAIN: 50, Side.CALIBRATE: 15, Side.VALIDATE: 10, Side.TEST: 25}

FEWEST_OF_A_CLASS = 10
"""Late loans, and loans in time, that each side must have."""


def side_of(customer: int) -> Side:
    """The customer's side, for ever."""
    digest = hashlib.sha256(f"{SALT}:{customer}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") % 100
    for side, percent in PERCENT.items():
        if place < percent:
            return side
        place -= percent
    raise AssertionError("the sides' percentages do not add up to 100")


def cut_date(loan_dates: npt.NDArray[np.datetime64], test_days_share: float) -> date:
    """The first of the newest ``test_days_share`` of the days that have loans.

    Days without any do not count: a single loan of long ago moves the cut by a day, not by years.
    """
    days = np.unique(loan_dates)
    cut: date = days[len(days) - math.ceil(len(days) * test_days_share)].astype(object)
    return cut


def split_loans(loans: Loans, test_days_share: float) -> tuple[dict[Side, Loans], SplitRecord]:
    """The loans of each side, and how they came to be there; the other loans are not used.

    Raises:
        RowsInsufficient: a side has too few late loans, or too few in time; the message lists all such sides.
    """
    if not len(loans):
        raise RowsInsufficient("training set: no loan has a status yet: there is nothing to learn from")
    cut = cut_date(loans.loan_dates, test_days_share)
    customers, place = np.unique(loans.customers, return_inverse=True)
    sides = np.array([side_of(int(customer)) for customer in customers])[place]
    before = loans.loan_dates < np.datetime64(cut)
    parts = {
        side: loans.where((sides == side) & (before if side is not Side.TEST else ~before)) for side in Side
    }
    record = SplitRecord(
        salt=SALT,
        first_date=loans.loan_dates.min().astype(object),
        cut_date=cut,
        last_date=loans.loan_dates.max().astype(object),
        sides={side.value: _counts(part) for side, part in parts.items()},
    )
    _require_enough(record)
    return parts, record


def _counts(part: Loans) -> SideCounts:
    return SideCounts(
        rows=len(part), customers=len(np.unique(part.customers)), positives=int(part.late.sum())
    )


def _require_enough(record: SplitRecord) -> None:
    short = [
        f"{side} has {counts.positives} late of {counts.rows} loans"
        for side, counts in record.sides.items()
        if min(counts.positives, counts.rows - counts.positives) < FEWEST_OF_A_CLASS
    ]
    if short:
        raise RowsInsufficient(
            f"training set, cut at {record.cut_date}: {'; '.join(short)};"
            f" each side needs at least {FEWEST_OF_A_CLASS} late and {FEWEST_OF_A_CLASS} in time"
        )
