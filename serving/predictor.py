"""A customer's published features and the model that serves: the decision. Nothing of HTTP."""

from typing import NamedTuple

from creditrisk.features import FeatureRow
from creditrisk.online_reader import OnlineReader
from serving.model_watch import ModelWatch


class Decided(NamedTuple):
    """A decision and all that it rests on."""

    customer: int
    decision: int
    """1 declines: the probability is at or above the threshold."""
    probability: float
    threshold: float
    features: FeatureRow
    snapshot: str
    model_version: str


class Predictor:
    """Decides, with the version that serves at the moment."""

    def __init__(self, reader: OnlineReader, models: ModelWatch) -> None:
        self.reader = reader
        self.models = models

    async def decide(self, customer: int) -> Decided:
        """The decision on a customer's newest loan.

        Raises:
            CustomerUnknown: the published snapshot has no such customer.
            NothingReleased, VersionUnservable: there is no model to decide with.
            NothingPublished, StoreUnavailable: there are no features to decide on.
        """
        model = self.models.serving()
        snapshot, features = await self.reader.features(customer)
        probability, threshold = model.flat.probability(features), model.manifest.threshold
        return Decided(
            customer=customer,
            decision=int(probability >= threshold),
            probability=probability,
            threshold=threshold,
            features=features,
            snapshot=snapshot,
            model_version=model.manifest.version,
        )
