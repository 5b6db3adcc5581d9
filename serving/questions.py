"""From a question to the features that it is decided on. Nothing of HTTP, nothing of models.

A customer's newest loan is looked up as it was published. The loan being applied for is computed from the
customer's published history, by the definition in ``creditrisk.features``; of a customer whom the snapshot does
not know, from what the client says.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

from creditrisk.application_rules import broken_by_applicant, is_age_out_of_range
from creditrisk.contract import OLDEST_AGE, YOUNGEST_AGE
from creditrisk.decisions import GivenAttributes, LoanAsked
from creditrisk.errors import CustomerUnknown, QuestionRefused
from creditrisk.features import FeatureRow, features_of_application, features_of_first_application
from creditrisk.online_reader import OnlineReader, PublishedHistories

LOANS_AT_ONCE = 50
"""Loans of a batch whose features are computed before another request may have its turn."""


class Asked(NamedTuple):
    """A question about one customer."""

    customer: int
    loan: LoanAsked = LoanAsked.NEWEST
    as_of: date | None = None
    """The day of the loan being applied for; None for today, and for the newest loan."""
    given: GivenAttributes | None = None
    """What the client says of a customer whom the snapshot does not know."""


class Looked(NamedTuple):
    """A question with the features that answer it, and where they come from."""

    customer: int
    loan: LoanAsked
    as_of: date | None
    given: GivenAttributes | None
    snapshot: str
    features: FeatureRow


LookedOrRefused = Looked | CustomerUnknown | QuestionRefused


class Questions:
    """Looks up what questions are decided on."""

    def __init__(self, reader: OnlineReader, today: Callable[[], date]) -> None:
        """Nothing is read yet.

        Args:
            reader: of the online store.
            today: the day it is in the market's time zone.
        """
        self.reader = reader
        self._today = today

    async def look_up(self, asked: Asked) -> Looked:
        """The features of one question.

        Raises:
            CustomerUnknown: the published snapshot has no such customer, and nothing was said of one.
            QuestionRefused: a rule of dates, ages or attributes forbids the question.
            NothingPublished, StoreUnavailable: there are no features to decide on.
        """
        if asked.loan is LoanAsked.NEWEST:
            snapshot, features = await self.reader.features(asked.customer)
            return Looked(asked.customer, LoanAsked.NEWEST, None, None, snapshot, features)
        today = self._today()
        published = await self.reader.histories((asked.customer,))
        as_of = _checked_day(asked.as_of or today, published)
        if asked.given is None:
            return _next_loan(asked.customer, as_of, published)
        return _first_loan(asked.customer, asked.given, as_of, today, published)

    async def look_up_many(
        self, customers: Sequence[int], loan: LoanAsked, as_of: date | None
    ) -> list[LookedOrRefused]:
        """The features of the same question about several customers, in their order, by one statement.

        Raises:
            QuestionRefused: the day is before the snapshot's.
            NothingPublished, StoreUnavailable: there are no features to decide on.
        """
        if loan is LoanAsked.NEWEST:
            snapshot, found = await self.reader.features_of_many(customers)
            return [
                Looked(customer, loan, None, None, snapshot, found[customer])
                if customer in found
                else _unknown(customer, snapshot)
                for customer in customers
            ]
        published = await self.reader.histories(customers)
        day = _checked_day(as_of or self._today(), published)
        looked = list[LookedOrRefused]()
        for first in range(0, len(customers), LOANS_AT_ONCE):
            await asyncio.sleep(0)
            some = customers[first : first + LOANS_AT_ONCE]
            looked += [_next_loan_or_refusal(customer, day, published) for customer in some]
        return looked


def _checked_day(as_of: date, published: PublishedHistories) -> date:
    if as_of < published.as_of:
        rule = f"Input should not be before the date of snapshot {published.snapshot}"
        raise QuestionRefused(("as_of", as_of, rule))
    return as_of


def _next_loan(customer: int, as_of: date, published: PublishedHistories) -> Looked:
    history = published.history_of(customer)
    if history is None:
        raise _unknown(customer, published.snapshot)
    if is_age_out_of_range(history.birthday, as_of):
        rule = f"Customer {customer} is not between {YOUNGEST_AGE} and {OLDEST_AGE} years old then"
        raise QuestionRefused(("as_of", as_of, rule))
    features = features_of_application(history, as_of)
    return Looked(customer, LoanAsked.NEXT, as_of, None, published.snapshot, features)


def _next_loan_or_refusal(customer: int, as_of: date, published: PublishedHistories) -> LookedOrRefused:
    try:
        return _next_loan(customer, as_of, published)
    except (CustomerUnknown, QuestionRefused) as refused:
        return refused


def _first_loan(
    customer: int, given: GivenAttributes, as_of: date, today: date, published: PublishedHistories
) -> Looked:
    """Of a new customer; what is published of a known one is not overruled by what a client says."""
    if customer in published.rows:
        rule = f"Input is for new customers only, and snapshot {published.snapshot} knows customer {customer}"
        raise QuestionRefused(*((name, value, rule) for name, value in given._asdict().items()))
    broken = broken_by_applicant(given.birthday, given.job_start_date, as_of, today)
    if broken:
        raise QuestionRefused(*((one.field, one.value, one.sentence) for one in broken))
    features = features_of_first_application(given.birthday, given.job_start_date, given.flag_own_car, as_of)
    return Looked(customer, LoanAsked.NEXT, as_of, given, published.snapshot, features)


def _unknown(customer: int, snapshot: str) -> CustomerUnknown:
    return CustomerUnknown(f"customer {customer}: not in the published snapshot {snapshot}")
