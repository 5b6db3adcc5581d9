"""Figures of a score with intervals, bootstrapped by customer.

A customer's loans are alike, so whole customers are drawn, not loans: a replicate gives each customer a
weight, how often it was drawn. Scores are sorted once; a replicate is then a few running sums.

Sources: ROC AUC as the share of pairs of a late loan and one in time that are ordered rightly, ties half (Hanley
and McNeil, 1982); average precision as the step-wise sum over thresholds; KS as the largest gap between the two classes' distributions; calibration error as the mean
gap between predicted and observed rates over ten bins of equally many loans (Naeini et al., 2015).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from creditrisk.registry import Estimate
from training.dataset import BoolArray, FloatArray

REPLICATES = 300
SEED = 20_240_613
INTERVAL = (2.5, 97.5)
"""Percentiles of the replicates: a 95 % interval."""

CALIBRATION_BINS = 10
_TINY = 1e-12
"""Probabilities are kept this far from 0 and 1 in the log loss, which would be infinite."""

METRICS = ("roc_auc", "average_precision", "ks", "brier", "log_loss", "calibration_error")


class CustomerBootstrap:
    """How often each customer is drawn in each replicate: the same draws for every score, which pairs them."""

    def __init__(
        self, customers: npt.NDArray[np.int64], replicates: int = REPLICATES, seed: int = SEED
    ) -> None:
        """Draw.

        Args:
            customers: the customer of each loan, shape (n,).
            replicates: how many times to draw as many customers as there are.
            seed: of the draws.
        """
        unique, self._place = np.unique(customers, return_inverse=True)
        generator = np.random.default_rng(seed)
        even = np.full(len(unique), 1 / len(unique))
        self._counts = generator.multinomial(len(unique), even, size=replicates).astype(np.int32)

    def replicates(self, scored: "ScoredLoans") -> dict[str, FloatArray]:
        """Each metric in each replicate, shape (replicates,); NaN in one that drew only one class."""
        place = self._place[scored.rows]
        values = [scored.metrics(counts.astype(np.float64)[place]) for counts in self._counts]
        return {name: np.array([value[name] for value in values]) for name in METRICS}


class ScoredLoans:
    """Loans with a score, sorted by it, ready to be weighed many times."""

    def __init__(
        self, probabilities: FloatArray, late: npt.NDArray[Any], among: BoolArray | None = None
    ) -> None:
        """Sort.

        Args:
            probabilities: of being late, shape (n,), without NaN.
            late: the labels, shape (n,).
            among: a mask of shape (n,): the loans to look at; None means all.
        """
        chosen = np.arange(len(late)) if among is None else np.flatnonzero(among)
        self.rows = chosen[np.argsort(-probabilities[chosen], kind="stable")]
        """Places of the loans in what was given, highest score first."""
        score = probabilities[self.rows]
        is_late = late[self.rows] == 1
        self._squared_error = (score - is_late) ** 2
        clipped = np.clip(score, _TINY, 1 - _TINY)
        self._log_loss = -np.where(is_late, np.log(clipped), np.log1p(-clipped))
        self._gap = score - is_late
        bins = min(CALIBRATION_BINS, len(score))
        self._bin_edges = np.arange(bins + 1) * len(score) // bins
        # Late loans are few: what ranks them is summed at the ends of the ties that hold any.
        self._late_rows = np.flatnonzero(is_late)
        tie_starts = np.flatnonzero(np.append(True, score[1:] != score[:-1]))
        ties, self._first_late = np.unique(
            np.searchsorted(tie_starts, self._late_rows, side="right") - 1, return_index=True
        )
        self._tie_starts = tie_starts[ties]
        self._tie_ends = np.append(tie_starts, len(score))[ties + 1]

    def metrics(self, weights: FloatArray | None = None) -> dict[str, float]:
        """All metrics with a weight for each loan, in the order of :attr:`rows`; None weighs all alike.

        They are NaN where only one class has any weight.
        """
        weight = np.ones(len(self.rows)) if weights is None else weights
        running = np.concatenate(([0.0], np.cumsum(weight)))
        total, late = running[-1], weight[self._late_rows]
        all_late = late.sum()
        if all_late <= 0 or total <= all_late:
            return dict.fromkeys(METRICS, float("nan"))
        bin_gaps = [
            np.dot(weight[start:end], self._gap[start:end])
            for start, end in zip(self._bin_edges[:-1], self._bin_edges[1:], strict=True)
        ]
        return {
            **self._ranking(running, np.add.reduceat(late, self._first_late), all_late),
            "brier": float(np.dot(weight, self._squared_error) / total),
            "log_loss": float(np.dot(weight, self._log_loss) / total),
            "calibration_error": float(np.abs(bin_gaps).sum() / total),
        }

    def _ranking(self, running: FloatArray, late: FloatArray, all_late: float) -> dict[str, float]:
        """Metrics of the order, from running weights, shape (n + 1,), and the late weight of each such tie."""
        late_after = np.cumsum(late)
        late_before = late_after - late
        declined_after = running[self._tie_ends]
        all_in_time = running[-1] - all_late
        in_time_before = running[self._tie_starts] - late_before
        in_time_after = declined_after - late_after
        outranked = all_in_time - (in_time_before + in_time_after) / 2
        precision = np.divide(
            late_after, declined_after, out=np.zeros_like(late_after), where=declined_after > 0
        )
        above = late_after / all_late - in_time_after / all_in_time
        below = in_time_before / all_in_time - late_before / all_late
        return {
            "roc_auc": float(np.dot(late, outranked) / (all_late * all_in_time)),
            "average_precision": float(np.dot(late, precision) / all_late),
            "ks": float(max(above.max(), below.max())),
        }


def estimate(value: float, replicates: FloatArray) -> Estimate:
    """A figure with the percentile interval of its replicates; without any, the interval is the figure."""
    usable = replicates[np.isfinite(replicates)]
    low, high = np.percentile(usable, INTERVAL) if len(usable) else (value, value)
    return Estimate(value=value, low=float(low), high=float(high))


def estimates(values: Mapping[str, float], replicates: Mapping[str, FloatArray]) -> dict[str, Estimate]:
    """:func:`estimate` of each metric."""
    return {name: estimate(values[name], replicates[name]) for name in METRICS}
