"""Why a model gives a customer the probability that it gives: up to four reasons, in words and in numbers.

A reason is a feature that raises the probability of being late (its Shapley value is above zero) and without
which it would be lower (the probability with that feature alone at its usual value is below the one given).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from creditrisk.contract import FEATURE_NAMES, FEATURES
from creditrisk.features import FeatureRow
from creditrisk.reason_words import WORDS
from creditrisk.scoring import FlatModel
from creditrisk.shapley import Background

FloatArray = npt.NDArray[np.float64]

MOST_REASONS = 4
BACKGROUND_ROWS = 32
LOW_SHARE, HIGH_SHARE = 0.1, 0.9
"""Of a usual range. Quantiles are of the nearest rank: one of the values, so that nobody is told of 0.5 cars."""


class Usual(NamedTuple):
    """What a feature usually is, among a version's reference rows."""

    value: float | None
    """The median of those that are not missing; None where most of them are."""
    low: float | None
    """The tenth percentile of those that are not missing; None where all are."""
    high: float | None
    """The ninetieth."""


class Explainer:
    """Gives the reasons of one model version, always the same ones for the same row."""

    def __init__(self, flat: FlatModel, reference_rows: npt.ArrayLike) -> None:
        """Everything that does not depend on the row to be explained.

        Args:
            flat: what scores.
            reference_rows: the version's, shape (n, 5) with n above 0, NaN where a value is missing. They are
                ordered by probability; every so many of them make the background.
        """
        rows = np.asarray(reference_rows, dtype=np.float64)
        chosen = np.linspace(0, len(rows) - 1, min(BACKGROUND_ROWS, len(rows))).round().astype(int)
        self._flat = flat
        self.background = Background(rows[chosen], flat.probabilities(rows[chosen]))
        self.usual = tuple(_usual(rows[:, place], feature.type) for place, feature in enumerate(FEATURES))
        self._usual_row = np.array([usual.value for usual in self.usual], dtype=np.float64)

    def reasons(self, features: FeatureRow, probability: float) -> list[dict[str, Any]]:
        """The reasons of a row, the weightiest first; none where nothing speaks against the customer.

        Args:
            features: the row.
            probability: that the version gives it.

        Returns:
            For each reason ``code``, ``feature``, ``sentence``, ``value``, ``usual`` (``value``, ``low``,
            ``high``), ``contribution`` (the Shapley value) and ``probability_with_usual_value``.
        """
        values, with_usual = self.weigh(features, probability)
        weightiest = [int(place) for place in np.argsort(-values, kind="stable")]
        shown = [place for place in weightiest if values[place] > 0 and with_usual[place] < probability]
        return [
            self._reason(place, features[place], float(values[place]), float(with_usual[place]))
            for place in shown[:MOST_REASONS]
        ]

    def weigh(self, features: Sequence[float | None], probability: float) -> tuple[FloatArray, FloatArray]:
        """Shapley values, and the probabilities with one feature at its usual value, both of shape (5,)."""
        row = np.array(features, dtype=np.float64)
        one_usual = np.where(np.eye(len(row), dtype=bool), self._usual_row, row)
        return self.background.shapley_values(row, probability, self._flat.probabilities, one_usual)

    def _reason(
        self, place: int, value: float | None, contribution: float, with_usual: float
    ) -> dict[str, Any]:
        usual, words = self.usual[place], WORDS[FEATURE_NAMES[place]]
        return {
            "code": words.code,
            "feature": FEATURE_NAMES[place],
            "sentence": words.sentence(value, usual.value),
            "value": value,
            "usual": usual._asdict(),
            "contribution": contribution,
            "probability_with_usual_value": with_usual,
        }


def _usual(column: FloatArray, kind: str) -> Usual:
    present = np.sort(column[~np.isnan(column)])
    if not len(present):
        return Usual(None, None, None)
    ranks = (math.ceil(share * len(present)) - 1 for share in (LOW_SHARE, 0.5, HIGH_SHARE))
    low, median, high = (int(present[rank]) if kind == "int" else float(present[rank]) for rank in ranks)
    return Usual(median if 2 * len(present) >= len(column) else None, low, high)
