"""Figures of a score with intervals, bootstrapped by customer.

A customer's loans are alike, so whole customers are drawn, not loans: a replicate gives each customer a
weight, how often it was drawn. Scores are sorted once; a replicate is then a few running sums.

Sources: ROC AUC with ties as the area under the trapezoids (Fawcett, 2006); average precision as the step-wise
sum over thresholds; KS as the largest gap between the two classes' distributions; calibration error as the mean
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
        self._counts = generator.multinomial(
            len(unique), np.full(len(unique), 1 / len(unique)), size=replicates
        ).astype(np.int32)

    def replicates(self, scored: "ScoredLoans") -> dict[str, FloatArray]:
        """Each metric in each replicate, shape (replicates,); NaN in one that drew only one class."""
        place = self._place[scored.rows]
        values = [scored.metrics(counts[place].astype(np.float64)) for counts in self._counts]
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
        self._late = late[self.rows].astype(np.float64)
        self._last_of_tie = np.append(np.flatnonzero(score[:-1] != score[1:]), len(score) - 1)
        self._squared_error = (score - self._late) ** 2
        clipped = np.clip(score, _TINY, 1 - _TINY)
        self._log_loss = -np.where(self._late == 1, np.log(clipped), np.log1p(-clipped))
        self._gap = score - self._late
        bins = min(CALIBRATION_BINS, len(score))
        self._bin_starts = np.arange(bins) * len(score) // bins

    def metrics(self, weights: FloatArray | None = None) -> dict[str, float]:
        """All metrics with a weight for each loan, in the order of :attr:`rows`; None weighs all alike.

        They are NaN where only one class has any weight.
        """
        weight = np.ones(len(self.rows)) if weights is None else weights
        late = np.cumsum(weight * self._late)[self._last_of_tie]
        declined = np.cumsum(weight)[self._last_of_tie]
        all_late, total = late[-1], declined[-1]
        in_time = declined - late
        if all_late <= 0 or in_time[-1] <= 0:
            return dict.fromkeys(METRICS, float("nan"))
        recall, fall_out = late / all_late, in_time / in_time[-1]
        steps = np.diff(recall, prepend=0.0)
        precision = np.divide(late, declined, out=np.zeros_like(late), where=declined > 0)
        bin_gaps = np.add.reduceat(weight * self._gap, self._bin_starts)
        return {
            "roc_auc": float(np.sum(np.diff(fall_out, prepend=0.0) * (recall - steps / 2))),
            "average_precision": float(np.sum(steps * precision)),
            "ks": float(np.max(np.abs(recall - fall_out))),
            "brier": float(np.dot(weight, self._squared_error) / total),
            "log_loss": float(np.dot(weight, self._log_loss) / total),
            "calibration_error": float(np.abs(bin_gaps).sum() / total),
        }


def estimate(value: float, replicates: FloatArray) -> Estimate:
    """A figure with the percentile interval of its replicates; without any, the interval is the figure."""
    usable = replicates[np.isfinite(replicates)]
    low, high = np.percentile(usable, INTERVAL) if len(usable) else (value, value)
    return Estimate(value=value, low=float(low), high=float(high))


def estimates(values: Mapping[str, float], replicates: Mapping[str, FloatArray]) -> dict[str, Estimate]:
    """:func:`estimate` of each metric."""
    return {name: estimate(values[name], replicates[name]) for name in METRICS}
