"""Exact Shapley values of a probability: what each feature adds to it, against fixed background rows.

Interventional: a feature outside a coalition takes its value from a background row, whatever the features inside
it are (Janzing, Minorics & Bloebaum, 2020, https://arxiv.org/abs/1910.13413). With five features there are 32
coalitions, so that the sum in Shapley's formula is taken whole and nothing is sampled.
"""

from collections.abc import Callable
from math import factorial

import numpy as np
import numpy.typing as npt

from creditrisk.contract import FEATURE_NAMES

FloatArray = npt.NDArray[np.float64]
Probabilities = Callable[[FloatArray], FloatArray]

FEATURES = len(FEATURE_NAMES)
_EVERYBODY = 2**FEATURES - 1
_BIT = 1 << np.arange(FEATURES)
_COALITIONS = np.arange(2**FEATURES)
_IS_IN = (_COALITIONS[:, np.newaxis] & _BIT) != 0
"""Shape (32, 5): whether a feature is in a coalition."""


def _weights() -> FloatArray:
    """Shape (5, 32): what a coalition's value counts for in a feature's Shapley value."""
    sizes = _IS_IN.sum(axis=1)
    gained = np.array([factorial(size) * factorial(FEATURES - size - 1) for size in range(FEATURES)])
    with_it, without_it = gained[sizes - 1], gained[np.minimum(sizes, FEATURES - 1)]
    return np.asarray(np.where(_IS_IN.T, with_it, -without_it) / factorial(FEATURES))


_WEIGHTS = _weights()


class Background:
    """Rows that a row is compared with, and their own probabilities."""

    def __init__(self, rows: FloatArray, probabilities: FloatArray) -> None:
        """A background.

        Args:
            rows: shape (m, 5), NaN where a value is missing.
            probabilities: shape (m,), of those rows, by the model that will be explained.
        """
        self.rows = rows
        self.probabilities = probabilities
        self.mean = float(probabilities.mean())

    def shapley_values(
        self, row: FloatArray, probability: float, probabilities: Probabilities, also: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Shapley values of a row, which add up to its probability less the background's mean one.

        A mixed row that is the row itself, a background row, or another mixed row (because the two have a value
        in common) is not scored again: about half of them.

        Args:
            row: shape (5,), NaN where a value is missing.
            probability: of that row.
            probabilities: scores rows of shape (n, 5).
            also: shape (k, 5), more rows to score in the same call.

        Returns:
            The values, shape (5,), and the probabilities of ``also``, shape (k,).
        """
        in_common = (self.rows == row) | (np.isnan(self.rows) & np.isnan(row))
        shared = (in_common * _BIT).sum(axis=1)
        alike = _COALITIONS | shared[:, np.newaxis]  # (m, 32): the largest coalition that mixes the same row
        is_scored = (alike == _COALITIONS) & (alike != shared[:, np.newaxis]) & (alike != _EVERYBODY)
        background, coalition = np.nonzero(is_scored)
        mixed = np.where(_IS_IN[coalition], row, self.rows[background])
        scored = probabilities(np.vstack((mixed, also)))

        values = np.empty(alike.shape)
        values[is_scored] = scored[: len(mixed)]
        each = np.arange(len(self.rows))
        values[each, shared] = self.probabilities
        values[:, _EVERYBODY] = probability
        values = np.take_along_axis(values, alike, axis=1)
        return _WEIGHTS @ values.mean(axis=0), scored[len(mixed) :]
