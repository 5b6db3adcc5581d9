"""Which version decides on a customer, and what the released versions say of the features.

While there is a challenger both score every row, so that they can be compared on the same customers. Nothing
that the challenger does can touch the champion's score: where scoring both at once fails, the champion scores alone.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from creditrisk.decisions import Arm, PairedScore
from creditrisk.features import FeatureRow
from creditrisk.release import arm_of
from serving.challenger import Challenger, ChallengerScore
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


def score(model: ServedModel, customer: int, features: FeatureRow) -> Scored:
    """The scores of one row."""
    challenger = model.challenger
    if challenger is None:
        return _alone(model, model.flat.probability(features))
    both = challenger.score_with(model.flat, features)
    if both is not None:
        probability, challenging = both
        return _paired(model, customer, probability, None, challenger, challenging)
    began = time.perf_counter_ns()
    probability = model.flat.probability(features)
    microseconds = (time.perf_counter_ns() - began) // 1000
    return _paired(model, customer, probability, microseconds, challenger, challenger.score(features))


def score_many(model: ServedModel, customers: Sequence[int], rows: Sequence[FeatureRow]) -> list[Scored]:
    """The scores of many rows, each what :func:`score` says of it alone. May be called in a thread."""
    if not rows:
        return []
    challenger = model.challenger
    if challenger is None:
        return [_alone(model, probability) for probability in model.flat.probabilities(rows).tolist()]
    began = time.perf_counter_ns()
    probabilities = model.flat.probabilities(rows).tolist()
    microseconds = (time.perf_counter_ns() - began) // 1000 // len(rows)
    theirs = challenger.score_many(rows)
    return [
        _paired(model, customer, probability, microseconds, challenger, challenging)
        for customer, probability, challenging in zip(customers, probabilities, theirs, strict=True)
    ]


def fall_back(scored: Scored, problem: str) -> Scored:
    """The champion's answer in place of the challenger's, which failed after it had scored."""
    paired = scored.paired
    assert paired is not None  # noqa: S101  the challenger decides on nobody without it
    return scored._replace(
        model_version=scored.champion,
        arm=Arm.FALLBACK,
        probability=paired.champion_probability,
        threshold=paired.champion_threshold,
        decision=int(paired.champion_probability >= paired.champion_threshold),
        paired=paired._replace(challenger_probability=None, challenger_problem=problem),
    )


def _alone(model: ServedModel, probability: float) -> Scored:
    version, threshold = model.manifest.version, model.manifest.threshold
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


def _paired(
    model: ServedModel,
    customer: int,
    probability: float,
    microseconds: int | None,
    challenger: Challenger,
    theirs: ChallengerScore,
) -> Scored:
    record, champion, threshold = model.record, model.manifest.version, model.manifest.threshold
    arm, version, deciding, limit = Arm.CHAMPION, champion, probability, threshold
    if record.share > 0 and arm_of(customer, challenger.version, record.share):
        if theirs.probability is None or theirs.threshold is None:
            arm = Arm.FALLBACK
        else:
            arm, version = Arm.CHALLENGER, challenger.version
            deciding, limit = theirs.probability, theirs.threshold
    return Scored(
        release=record.number,
        champion=champion,
        model_version=version,
        arm=arm,
        probability=deciding,
        threshold=limit,
        decision=int(deciding >= limit),
        paired=PairedScore(
            champion_probability=probability,
            champion_threshold=threshold,
            champion_microseconds=microseconds,
            challenger=challenger.version,
            challenger_probability=theirs.probability,
            challenger_threshold=theirs.threshold,
            challenger_microseconds=theirs.microseconds,
            challenger_problem=theirs.problem,
        ),
    )
