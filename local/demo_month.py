"""The story of a generated history: who applied on which day, who took a loan, and when its outcome came to be known.

Customers apply evenly; a released version scores them as the service would have. Some of the accepted take a loan,
whose outcome is drawn by the sample's own truth (``local.sample_loans``) and is known one to three weeks later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np

from creditrisk.decisions import LoanAsked
from creditrisk.features import FeatureRow
from creditrisk.scoring import FlatModel
from creditrisk.snapshots import SnapshotId
from local.demo_customers import LABEL, LoanBook
from local.sample_loans import SMALLEST_AMOUNT, log_odds_of_being_late

FIRST_LOAN_ID = 900_000_000
"""Above any sample's: whoever meets one of these knows it is of a generated history."""

TAKEN_UP = 0.035
"""Of the accepted applications, those that a loan follows on the same day."""
OUTCOME_DAYS = (7, 21)
DRIFT_DAYS = 7
_WEEK = (1.05, 1.0, 1.0, 1.02, 1.1, 0.9, 0.85)
"""Applications by weekday, Monday first."""
_FROM_HOUR, _TO_HOUR = 6, 22
_NEWEST_SHARE = 0.25
_AMOUNT_SCALE, _HIDDEN_RISK = 29.5, 0.4
_YOUNG = 36


class Fault(StrEnum):
    """What can be planted in a history, for whoever watches to find."""

    DRIFT = "drift"  # for the last week only the young without a car are asked about, and no loan follows
    LATE_LABELS = "late-labels"  # no outcome ever arrives
    LATE_NIGHT = "late-night"  # the last night began and has not ended
    NIGHT_NEVER_STARTED = "night-never-started"
    BAD_OUTCOMES = "bad-outcomes"  # those whom the version takes for the best turn out the worst


@dataclass(frozen=True, slots=True)
class Application:
    """A decision that was asked for, with what it rests on."""

    at: datetime
    customer: int
    loan: LoanAsked
    as_of: date | None
    snapshot: SnapshotId
    features: FeatureRow
    probability: float
    is_declined: bool


@dataclass(slots=True)
class Outcomes:
    """Loans of the history and what becomes of them."""

    loans: dict[date, list[Mapping[str, str]]] = field(default_factory=dict)
    """Raw rows without a status, by day."""
    labels: dict[date, list[tuple[int, int]]] = field(default_factory=dict)
    """Loan and status, by the day they are known on."""
    known_on: dict[int, tuple[date, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """What a history is made of."""

    seed: int
    decisions_a_day: int
    zone: ZoneInfo
    flat: FlatModel
    threshold: float
    faults: frozenset[Fault] = frozenset()

    def applications(
        self, book: LoanBook, snapshot: SnapshotId, day: date, *, until: datetime, drifting: bool
    ) -> list[Application]:
        """The day's, in the order of time, on what was published the night before."""
        rng = np.random.default_rng((self.seed, day.toordinal()))
        count = rng.poisson(self.decisions_a_day * _WEEK[day.weekday()])
        customers = np.array(sorted(book.borrowers))
        if drifting and Fault.DRIFT in self.faults:
            customers = np.array([who for who in customers if _is_young(book, who, day)])
        hours = _FROM_HOUR + (_TO_HOUR - _FROM_HOUR) * rng.beta(2.0, 2.2, count)
        midnight = datetime.combine(day, time(), self.zone).astimezone(UTC)
        times = sorted(midnight + timedelta(hours=hour) for hour in hours.tolist())
        asked = list[tuple[datetime, int, LoanAsked, date | None, FeatureRow]]()
        for at, who, draw in zip(
            times, rng.choice(customers, count).tolist(), rng.random(count), strict=True
        ):
            if at > until:
                break
            borrower = book.borrowers[who]
            if draw < _NEWEST_SHARE:
                asked.append((at, who, LoanAsked.NEWEST, None, borrower.features_as_of(snapshot.as_of)))
            else:
                asked.append((at, who, LoanAsked.NEXT, day, borrower.features_of_application(day)))
        scores = self.flat.probabilities([row[-1] for row in asked]).tolist() if asked else []
        return [
            Application(at, who, loan, as_of, snapshot, features, score, score >= self.threshold)
            for (at, who, loan, as_of, features), score in zip(asked, scores, strict=True)
        ]

    def take_up(
        self,
        book: LoanBook,
        applications: list[Application],
        day: date,
        outcomes: Outcomes,
        *,
        drifting: bool,
    ) -> None:
        """Some of the accepted take a loan on the day they applied; their outcomes are drawn."""
        rng = np.random.default_rng((self.seed, 1, day.toordinal()))
        accepted = [one for one in applications if one.loan is LoanAsked.NEXT and not one.is_declined]
        if drifting and Fault.DRIFT in self.faults:
            return
        taken = {one.customer: one for one in accepted if rng.random() < TAKEN_UP}
        number = FIRST_LOAN_ID + 10_000 * (day.toordinal() % 10_000)
        for place, one in enumerate(taken.values()):
            loan_id = number + place
            raw = dict(book.borrowers[one.customer].raw) | {
                "loan_id": str(loan_id),
                "loan_date": str(day),
                "loan_amount": f"{SMALLEST_AMOUNT + rng.exponential(_AMOUNT_SCALE):.6f}",
                "status": "",
            }
            outcomes.loans.setdefault(day, []).append(raw)
            known_on = day + timedelta(days=int(rng.integers(*OUTCOME_DAYS, endpoint=True)))
            late = int(rng.random() < self._risk(one))
            if Fault.LATE_LABELS not in self.faults:
                outcomes.labels.setdefault(known_on, []).append((loan_id, late))
                outcomes.known_on[loan_id] = (known_on, late)

    def _risk(self, one: Application) -> float:
        """The probability of being late, by the sample's truth."""
        age, years, previous, mean, car = (
            np.array([np.nan if value is None else value], dtype=float) for value in one.features
        )
        whole = (part.astype(np.int64) for part in (age, previous, car))
        ages, loans, cars = whole
        log_odds = float(log_odds_of_being_late(ages, years, loans, mean, cars)[0])
        hidden = np.random.default_rng((self.seed, 2, one.customer)).normal(0.0, _HIDDEN_RISK)
        risk = 1 / (1 + float(np.exp(-(log_odds + hidden))))
        if Fault.BAD_OUTCOMES in self.faults:
            return 0.4 if one.probability < self.threshold / 2 else 0.02
        return risk


def statuses(rows: list[tuple[object, ...]], as_of: date, outcomes: Outcomes) -> Iterator[int | None]:
    """What is known by a day of each of the rows of a loan book."""
    for row in rows:
        known = outcomes.known_on.get(int(str(row[0])))
        if known is None:
            yield row[LABEL]  # type: ignore[misc]
        else:
            yield known[1] if known[0] <= as_of else None


def _is_young(book: LoanBook, customer: int, day: date) -> bool:
    features = book.borrowers[customer].features_as_of(day)
    return features[0] < _YOUNG and not features[4]
