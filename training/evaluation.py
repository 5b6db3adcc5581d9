"""What a model is worth on loans it has not seen: one record of figures, written beside the model."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from creditrisk.contract import AGE_BANDS, FEATURE_NAMES
from creditrisk.registry import Estimate
from training.bootstrap import (
    CALIBRATION_BINS,
    REPLICATES,
    CustomerBootstrap,
    ScoredLoans,
    estimate,
    estimates,
)
from training.dataset import BoolArray, FloatArray, Loans

PERMUTATIONS = 5
_PERMUTATION_SEED = 11


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScoreRange(_Record):
    """What the scores look like; figures exist only where none is missing."""

    rows: int
    not_a_number: int
    distinct: int
    lowest: float | None
    highest: float | None


class CalibrationBin(_Record):
    """Loans of similar probability: what was predicted of them, and what happened."""

    rows: int
    mean_probability: float
    late_share: float


class Confusion(_Record):
    """Decisions at the threshold against what happened."""

    declined_late: int
    declined_in_time: int
    accepted_late: int
    accepted_in_time: int

    @property
    def declined_share(self) -> float:
        """The share of loans that are declined."""
        declined = self.declined_late + self.declined_in_time
        return declined / max(1, declined + self.accepted_late + self.accepted_in_time)


class GroupEvaluation(_Record):
    """The same figures for one group of customers; no metrics where only one class is there."""

    group: str
    value: str
    rows: int
    customers: int
    positives: int
    metrics: dict[str, Estimate]
    confusion: Confusion


class Comparison(_Record):
    """Another model on the same loans, and the difference (this model's less the other's) in the same replicates."""

    name: str
    metrics: dict[str, Estimate]
    roc_auc_difference: Estimate


class FeatureImportance(_Record):
    """What shuffling one feature takes from the ROC AUC: the mean over several shuffles, and their spread."""

    feature: str
    mean: float
    spread: float


class Evaluation(_Record):
    """All figures of a model on test loans."""

    replicates: int
    scores: ScoreRange
    metrics: dict[str, Estimate]
    baseline: Comparison | None
    champion: Comparison | None
    champion_not_compared: str | None
    """Why there is no comparison with the champion, where there is a champion."""
    calibration: list[CalibrationBin]
    confusion: Confusion
    groups: list[GroupEvaluation]
    importance: list[FeatureImportance]


@dataclass(frozen=True, slots=True)
class Rival:
    """Another model's probabilities for the same loans."""

    name: str
    probabilities: FloatArray


def evaluate(
    loans: Loans,
    probabilities: FloatArray,
    threshold: float,
    *,
    baseline: Rival,
    champion: Rival | None = None,
    champion_not_compared: str | None = None,
    importance: list[FeatureImportance] | None = None,
    replicates: int = REPLICATES,
) -> Evaluation:
    """Evaluate a score on loans that it was not made from.

    Args:
        loans: the test loans, n of them, with both classes among them.
        probabilities: the model's, shape (n,).
        threshold: a probability from here up declines.
        baseline: a simple model that it must beat.
        champion: the version that serves, where it can score these loans.
        champion_not_compared: else why it cannot.
        importance: of each feature, as :func:`permutation_importance` finds it.
        replicates: of the bootstrap.

    Returns:
        The figures; without metrics, comparisons and groups where a probability is NaN.
    """
    scores = score_range(probabilities)
    common: dict[str, Any] = {
        "replicates": replicates,
        "scores": scores,
        "confusion": confusion(probabilities, loans.late, threshold),
        "importance": importance or [],
        "champion_not_compared": champion_not_compared,
    }
    if scores.not_a_number:
        return Evaluation(**common, metrics={}, baseline=None, champion=None, calibration=[], groups=[])
    bootstrap = CustomerBootstrap(loans.customers, replicates)
    scored = ScoredLoans(probabilities, loans.late)
    values, drawn = scored.metrics(), bootstrap.replicates(scored)

    def compared(rival: Rival) -> Comparison:
        theirs = ScoredLoans(rival.probabilities, loans.late)
        their_values, their_drawn = theirs.metrics(), bootstrap.replicates(theirs)
        difference = values["roc_auc"] - their_values["roc_auc"]
        return Comparison(
            name=rival.name,
            metrics=estimates(their_values, their_drawn),
            roc_auc_difference=estimate(difference, drawn["roc_auc"] - their_drawn["roc_auc"]),
        )

    return Evaluation(
        **common,
        metrics=estimates(values, drawn),
        baseline=compared(baseline),
        champion=compared(champion) if champion else None,
        calibration=calibration_table(probabilities, loans.late),
        groups=[
            _group_evaluation(bootstrap, loans, probabilities, threshold, group, value, members)
            for group, value, members in groups_of(loans)
        ],
    )


def groups_of(loans: Loans) -> Iterator[tuple[str, str, BoolArray]]:
    """Every group that has loans: its kind, its value, and a mask of its loans."""
    genders = np.where(loans.genders == "", "unknown", loans.genders)
    ages, cars = loans.features[:, FEATURE_NAMES.index("age")], loans.features[:, -1]
    masks = [
        *(("gender", str(gender), genders == gender) for gender in np.unique(genders)),
        *(("age", f"{low} to {high - 1}", (ages >= low) & (ages < high)) for low, high in AGE_BANDS),
        *(("own car", word, cars == flag) for flag, word in ((0, "no"), (1, "yes"))),
    ]
    return ((group, value, members) for group, value, members in masks if members.any())


def _group_evaluation(
    bootstrap: CustomerBootstrap,
    loans: Loans,
    probabilities: FloatArray,
    threshold: float,
    group: str,
    value: str,
    members: BoolArray,
) -> GroupEvaluation:
    scored = ScoredLoans(probabilities, loans.late, among=members)
    late = loans.late[members]
    has_both = 0 < late.sum() < len(late)
    return GroupEvaluation(
        group=group,
        value=value,
        rows=len(late),
        customers=len(np.unique(loans.customers[members])),
        positives=int(late.sum()),
        metrics=estimates(scored.metrics(), bootstrap.replicates(scored)) if has_both else {},
        confusion=confusion(probabilities[members], late, threshold),
    )


def score_range(probabilities: FloatArray) -> ScoreRange:
    """Whether the scores are numbers, and whether they differ from one another."""
    numbers = probabilities[np.isfinite(probabilities)]
    return ScoreRange(
        rows=len(probabilities),
        not_a_number=len(probabilities) - len(numbers),
        distinct=len(np.unique(numbers)),
        lowest=float(numbers.min()) if len(numbers) else None,
        highest=float(numbers.max()) if len(numbers) else None,
    )


def calibration_table(probabilities: FloatArray, late: npt.NDArray[Any]) -> list[CalibrationBin]:
    """Bins of equally many loans, lowest probabilities first."""
    order = np.argsort(probabilities, kind="stable")
    return [
        CalibrationBin(
            rows=len(rows),
            mean_probability=float(probabilities[rows].mean()),
            late_share=float(late[rows].mean()),
        )
        for rows in np.array_split(order, min(CALIBRATION_BINS, len(order)))
    ]


def confusion(probabilities: FloatArray, late: npt.NDArray[Any], threshold: float) -> Confusion:
    """Decisions at a threshold against what happened; a NaN declines nobody."""
    is_declined, is_late = probabilities >= threshold, late == 1
    return Confusion(
        declined_late=int((is_declined & is_late).sum()),
        declined_in_time=int((is_declined & ~is_late).sum()),
        accepted_late=int((~is_declined & is_late).sum()),
        accepted_in_time=int((~is_declined & ~is_late).sum()),
    )


def permutation_importance(model: Any, loans: Loans) -> list[FeatureImportance]:
    """What each feature is worth to a fitted classifier on these loans, the most valuable first."""
    generator = np.random.default_rng(_PERMUTATION_SEED)

    def roc_auc(features: FloatArray) -> float:
        scored = ScoredLoans(model.predict_proba(features)[:, 1], loans.late)
        return scored.metrics()["roc_auc"]

    whole = roc_auc(loans.features)
    found = []
    for number, feature in enumerate(FEATURE_NAMES):
        drops = []
        for _ in range(PERMUTATIONS):
            shuffled = loans.features.copy()
            shuffled[:, number] = generator.permutation(shuffled[:, number])
            drops.append(whole - roc_auc(shuffled))
        found.append(
            FeatureImportance(feature=feature, mean=float(np.mean(drops)), spread=float(np.std(drops)))
        )
    return sorted(found, key=lambda importance: -importance.mean)


def prediction_hash(probabilities: FloatArray) -> str:
    """SHA-256 of probabilities as 64-bit little-endian floats, in their order."""
    return hashlib.sha256(np.ascontiguousarray(probabilities, dtype="<f8").tobytes()).hexdigest()
