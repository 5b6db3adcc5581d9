"""Which version decides on a customer, and what the released versions say of the features."""

from typing import NamedTuple

from creditrisk.decisions import Arm, PairedScore
from creditrisk.features import FeatureRow
from serving.model_watch import ServedModel


class Scored(NamedTuple):
    """The scores of a row of features, and the arm that decides."""

    release: int
    champion: str
    model_version: str
    arm: Arm
    probability: float
    threshold: float
    decision: int
    paired: PairedScore | None


def score(model: ServedModel, customer: int, features: FeatureRow) -> Scored:  # noqa: ARG001
    """The scores of one row."""
    version = model.manifest.version
    probability, threshold = model.flat.probability(features), model.manifest.threshold
    return Scored(
        release=model.record.number,
        champion=version,
        model_version=version,
        arm=Arm.CHAMPION,
        probability=probability,
        threshold=threshold,
        decision=int(probability >= threshold),
        paired=None,
    )
