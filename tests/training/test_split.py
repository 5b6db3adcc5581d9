"""No customer is ever on two sides, and nothing is learnt from the days that judge."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk.errors import RowsInsufficient
from tests.training.made_loans import make_loans
from training.dataset import Loans
from training.split import PERCENT, Side, cut_date, side_of, split_loans


def test_the_side_of_a_customer_is_fixed_for_ever() -> None:
    # SHA-256 of "creditrisk customer side:<id>", its first 64 bits modulo 100: 49, 50, 63, 65, 74, 78, 99.
    sides = [
        side_of(customer) for customer in (5008837, 5008843, 5008839, 5008858, 5008854, 5008841, 5008845)
    ]
    assert sides == [
        Side.TRAIN,
        Side.CALIBRATE,
        Side.CALIBRATE,
        Side.VALIDATE,
        Side.VALIDATE,
        Side.TEST,
        Side.TEST,
    ]


def test_sides_have_their_shares_of_customers() -> None:
    sides = [side_of(customer) for customer in range(5_000_000, 5_040_000)]
    shares = {side: 100 * sides.count(side) / len(sides) for side in Side}
    assert shares == pytest.approx(PERCENT, abs=0.7)


def test_no_customer_is_on_two_sides(loans: Loans) -> None:
    parts, _ = split_loans(loans, 0.25)
    customers = [set(part.customers.tolist()) for part in parts.values()]
    assert all(customers)
    assert len(set().union(*customers)) == sum(len(side) for side in customers)


def test_a_customer_keeps_the_side_in_another_snapshot(loans: Loans) -> None:
    first, _ = split_loans(loans, 0.25)
    later, _ = split_loans(make_loans(1500, seed=9), 0.4)
    for side in Side:
        others = set().union(*(later[other].customers.tolist() for other in Side if other is not side))
        assert not others & set(first[side].customers.tolist())


def test_what_judges_is_later_than_what_was_learnt_from(loans: Loans) -> None:
    parts, record = split_loans(loans, 0.25)
    cut = np.datetime64(record.cut_date)
    assert parts[Side.TEST].loan_dates.min() >= cut
    for side in (Side.TRAIN, Side.CALIBRATE, Side.VALIDATE):
        assert parts[side].loan_dates.max() < cut


def test_every_loan_of_a_side_and_period_is_used(loans: Loans) -> None:
    parts, record = split_loans(loans, 0.25)
    sides = np.array([side_of(int(customer)) for customer in loans.customers])
    is_old = loans.loan_dates < np.datetime64(record.cut_date)
    for side, part in parts.items():
        expected = loans.where((sides == side) & (is_old if side is not Side.TEST else ~is_old))
        np.testing.assert_array_equal(part.loan_ids, expected.loan_ids)
        counts = record.sides[side]
        assert counts.rows == len(part)
        assert counts.positives == part.late.sum()
        assert counts.customers == len(set(part.customers.tolist()))


@pytest.mark.parametrize(
    ("days", "share", "cut"),
    [
        (["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"], 0.25, date(2020, 1, 4)),
        (["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"], 0.26, date(2020, 1, 3)),
        (["2020-01-04", "2020-01-04", "2020-01-04", "2020-01-01"], 0.5, date(2020, 1, 4)),
        (["1995-01-01", "2020-01-02", "2020-01-03", "2020-01-04"], 0.25, date(2020, 1, 4)),
    ],
)
def test_the_cut_date(days: list[str], share: float, cut: date) -> None:
    assert cut_date(np.array(days, dtype="datetime64[D]"), share) == cut


@given(st.integers(1, 2**62))
def test_every_customer_has_a_side(customer: int) -> None:
    assert side_of(customer) is side_of(customer)
    assert side_of(customer) in PERCENT


def test_sides_that_are_too_small_are_all_named(loans: Loans) -> None:
    few = loans.where(np.arange(len(loans)) < 60)
    with pytest.raises(
        RowsInsufficient, match=r"train has \d+ late of \d+ loans; .*calibrate .*validate .*test"
    ):
        split_loans(few, 0.25)


def test_no_label_at_all_is_told(loans: Loans) -> None:
    with pytest.raises(RowsInsufficient, match="no loan has a status yet"):
        split_loans(loans.where(loans.loan_ids < 0), 0.25)
