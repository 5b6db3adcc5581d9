"""The customers of a sample loans file: profiles with the real file's shape, drawn from a seed."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from creditrisk.contract import DAYS_PER_YEAR, YOUNGEST_AGE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FIRST_CUSTOMER_ID: Final = 5_008_804
FIRST_LOAN_ID: Final = 1_000
MOST_LOANS: Final = 61
"""Loans a customer: 1 to 61, about 21 on average, as in the real file."""

NOT_EMPLOYED_SINCE: Final = date(3021, 9, 18)
NOT_EMPLOYED_DAYS: Final = 365_243
APPLIED_AFTER: Final = timedelta(days=260)
"""The source counts ``days_birth`` and ``days_employed`` from one day, that long after its newest loan."""

_PROBABILITIES = np.array([0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0])
_DAYS_SINCE_BIRTH = {
    False: np.array([7_489, 8_900, 10_500, 12_200, 14_600, 17_500, 19_900, 22_500, 24_700]),
    True: np.array([9_500, 17_500, 20_300, 21_300, 22_400, 23_300, 24_000, 24_800, 25_152]),
}
"""Quantiles, by whether the customer is a pensioner without a job."""
_DAYS_IN_JOB = np.array([17, 110, 429, 1_050, 2_174, 3_680, 5_891, 11_398, 15_713])

_ADULT_BEFORE_FIRST_LOAN_DAYS = YOUNGEST_AGE * DAYS_PER_YEAR + 30
_SCHOOL_DAYS = 17 * DAYS_PER_YEAR

GENDERS: Final = ("F", "M")
YES_NO: Final = ("N", "Y")
INCOMES: Final = ("Working", "Commercial associate", "State servant", "Student", "Pensioner")
EDUCATIONS: Final = (
    "Secondary / secondary special",
    "Higher education",
    "Incomplete higher",
    "Lower secondary",
    "Academic degree",
)
FAMILIES: Final = ("Married", "Civil marriage", "Single / not married", "Separated", "Widow")
HOUSINGS: Final = (
    "House / apartment",
    "With parents",
    "Municipal apartment",
    "Rented apartment",
    "Office apartment",
    "Co-op apartment",
)
OCCUPATIONS: Final = (
    "",
    "Laborers",
    "Core staff",
    "Sales staff",
    "Managers",
    "Drivers",
    "High skill tech staff",
    "Accountants",
    "Medicine staff",
    "Cooking staff",
    "Security staff",
    "Cleaning staff",
    "Private service staff",
    "Low-skill Laborers",
    "Secretaries",
    "Waiters/barmen staff",
    "HR staff",
    "IT staff",
    "Realty agents",
)
_OCCUPATION_WEIGHTS = (
    17,
    20,
    11.5,
    11,
    9.7,
    6.9,
    4.4,
    4,
    3.9,
    2.1,
    1.8,
    1.8,
    1.1,
    0.6,
    0.5,
    0.5,
    0.3,
    0.2,
    0.2,
)
_MARRIED = 2
"""The first so many of ``FAMILIES`` have a partner."""


@dataclass(frozen=True, slots=True)
class Customers:
    """One array entry a customer; days are numbered from 1970-01-01, text columns are indices.

    ``first_loan_id`` ascends with the position: a customer's loans are numbered in one run of ids.
    """

    id: Ints
    loan_count: Ints
    first_loan_id: Ints
    loan_id_shift: Ints
    gender: Ints
    own_car: Ints
    own_realty: Ints
    children: Ints
    income: Ints
    income_type: Ints
    education: Ints
    family: Ints
    housing: Ints
    birthday: Ints
    job_start: Ints
    employed: Ints
    work_phone: Ints
    phone: Ints
    email: Ints
    occupation: Ints
    family_size: Ints
    amount_scale: Floats
    hidden_risk: Floats

    def __len__(self) -> int:
        return len(self.id)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days


def draw_customers(rng: np.random.Generator, count: int, days: int, newest: date) -> Customers:
    """Draw ``count`` customers who are of age for all ``days`` up to ``newest``."""

    def pick(weights: tuple[float, ...]) -> Ints:
        shares = np.cumsum(weights) / np.sum(weights)
        return np.searchsorted(shares, rng.random(count), side="right")

    def chance(probability: float | Floats) -> Ints:
        return (rng.random(count) < probability).astype(np.int64)

    applied = day_number(newest + APPLIED_AFTER)
    employed = chance(0.832)
    birth_rank = rng.random(count)
    days_since_birth = np.where(
        employed == 1,
        np.interp(birth_rank, _PROBABILITIES, _DAYS_SINCE_BIRTH[False]),
        np.interp(birth_rank, _PROBABILITIES, _DAYS_SINCE_BIRTH[True]),
    ).astype(np.int64)
    youngest = _ADULT_BEFORE_FIRST_LOAN_DAYS + APPLIED_AFTER.days + days
    days_since_birth = np.where(
        days_since_birth < youngest, youngest + rng.integers(0, 2_000, count), days_since_birth
    )
    days_in_job = np.interp(rng.random(count), _PROBABILITIES, _DAYS_IN_JOB).astype(np.int64)
    job_start = applied - np.minimum(days_in_job, np.maximum(days_since_birth - _SCHOOL_DAYS, 1))

    loan_count = np.ceil(MOST_LOANS * rng.beta(1.0, 1.9, count)).astype(np.int64).clip(1, MOST_LOANS)
    gaps = rng.integers(1, 8, count)
    gender = chance(0.33)
    children = pick((69, 20.5, 9, 1.2, 0.2, 0.1))
    family = pick((68.7, 8.1, 13.2, 5.8, 4.2))
    return Customers(
        id=FIRST_CUSTOMER_ID + np.cumsum(gaps) - gaps[0],
        loan_count=loan_count,
        first_loan_id=FIRST_LOAN_ID + np.cumsum(loan_count) - loan_count,
        loan_id_shift=rng.integers(0, MOST_LOANS, count),
        gender=gender,
        own_car=chance(np.where(gender == 1, 0.61, 0.27)),
        own_realty=chance(0.67),
        children=children,
        income=22_500 * np.ceil(np.exp(rng.normal(1.98, 0.48, count))).astype(np.int64),
        income_type=np.where(employed == 1, pick((62.1, 28.0, 9.85, 0.05)), INCOMES.index("Pensioner")),
        education=pick((67.9, 27.1, 3.9, 1.0, 0.1)),
        family=family,
        housing=pick((89.3, 4.9, 3.1, 1.5, 0.7, 0.5)),
        birthday=applied - days_since_birth,
        job_start=np.where(employed == 1, job_start, day_number(NOT_EMPLOYED_SINCE)),
        employed=employed,
        work_phone=chance(0.225),
        phone=chance(0.295),
        email=chance(0.09),
        occupation=np.where(employed == 1, pick(_OCCUPATION_WEIGHTS), 0),
        family_size=children + np.where(family < _MARRIED, 2, 1),
        amount_scale=29.5 * rng.gamma(5.0, 1 / 5.0, count),
        hidden_risk=rng.normal(0.0, 0.4, count),
    )
