"""The feature definitions once more, in plain Python and without a clever line: what Spark is held against."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction


@dataclass(frozen=True)
class Loan:
    loan_id: int
    id: int
    loan_date: date
    birthday: date
    job_start_date: date | None
    micros: int
    car: str
    status: int | None


def loan_features(loan: Loan, loans: Iterable[Loan], as_of: date | None = None) -> dict[str, object]:
    """Features of a loan among the customer's loans; ``as_of`` moves age and job only."""
    moment = as_of or loan.loan_date
    mine = [other for other in loans if other.id == loan.id]
    before = [other for other in mine if (other.loan_date, other.loan_id) < (loan.loan_date, loan.loan_id)]
    earlier_days = [other.micros for other in mine if other.loan_date < loan.loan_date]
    years = None
    if loan.job_start_date is not None and loan.job_start_date <= moment:
        years = (moment - loan.job_start_date).days // 365
    mean = None
    if earlier_days:
        # Rounded once. The job divides two doubles, which says the same while the sum is below 2**53.
        mean = float(Fraction(sum(earlier_days), len(earlier_days) * 1_000_000))
    return {
        "age": (moment - loan.birthday).days // 365,
        "years_on_the_job": years,
        "nb_previous_loans": len(before),
        "avg_amount_loans_previous": mean,
        "flag_own_car": {"Y": 1, "N": 0}[loan.car],
    }


def newest_loans(loans: Iterable[Loan]) -> dict[int, Loan]:
    by_customer: dict[int, list[Loan]] = defaultdict(list)
    for loan in loans:
        by_customer[loan.id].append(loan)
    return {
        key: max(mine, key=lambda loan: (loan.loan_date, loan.loan_id)) for key, mine in by_customer.items()
    }
