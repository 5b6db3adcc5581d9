"""From a question to the features that it is decided on. Nothing of HTTP, nothing of models."""

from datetime import date
from typing import NamedTuple

from creditrisk.decisions import GivenAttributes, LoanAsked
from creditrisk.features import FeatureRow
from creditrisk.online_reader import OnlineReader


class Looked(NamedTuple):
    """A question with the features that answer it, and where they come from."""

    customer: int
    loan: LoanAsked
    as_of: date | None
    given: GivenAttributes | None
    snapshot: str
    features: FeatureRow


async def newest_loan(reader: OnlineReader, customer: int) -> Looked:
    """The features of a customer's newest published loan.

    Raises:
        CustomerUnknown: the published snapshot has no such customer.
        NothingPublished, StoreUnavailable: there are no features to decide on.
    """
    snapshot, features = await reader.features(customer)
    return Looked(customer, LoanAsked.NEWEST, None, None, snapshot, features)
