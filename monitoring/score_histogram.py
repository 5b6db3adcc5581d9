"""Scores in fine bins with what became of them, and the figures that can be told from that. Pure.

Ten million scores are some hundred bins. A bin is 0.01 wide in the log-odds of the probability, so scores that
one bin holds differ by at most 1 % of themselves; ROC AUC takes them for ties (:func:`roc_auc`), which moves it by less
than 0.001. Sums of the scores and of their squares are kept with the counts, so the Brier score has no rounding at all.

Intervals are the *delete-a-group jackknife* (P. S. Kott, "The delete-a-group jackknife", Journal of Official Statistics
17(4), 2001): customers are in 32 groups by a hash, each figure is computed again without each group, and the spread of
those is its standard error. A customer's loans are alike and stay together, as in the bootstrap of the model gate, and
two versions' figures on the same loans are compared in the same groups.

Sources of the figures: ROC AUC as the share of pairs that are ordered rightly, ties half (Hanley and McNeil, 1982);
Brier (1950); calibration error as the mean gap between predicted and observed rates over ten bins of equally many loans
(Naeini et al., 2015).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

BINS_PER_LOG_ODDS = 100
GROUPS = 32
FEWEST_GROUPS = 20
"""With fewer groups that have any loan, the spread says little, and there is no interval."""

T_QUANTILE = 2.0395
"""97.5 % of Student's distribution with 31 degrees of freedom: a 95 % interval of 32 groups."""

CALIBRATION_BINS = 10


class Estimated(NamedTuple):
    """A figure with its 95 % interval; without one where there are too few customers to tell."""

    value: float
    low: float | None
    high: float | None

    @property
    def shown(self) -> str:
        """For a sentence."""
        if self.low is None or self.high is None:
            return f"{self.value:.4f}"
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


class BinCount(NamedTuple):
    """How many loans' scores a bin holds of one group of customers, with their sum and that of their squares."""

    group: int
    bin: int
    loans: int
    total: float
    squares: float


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Scores of loans by group of customers and bin. Arrays are of shape (GROUPS, number of bins)."""

    bins: npt.NDArray[np.int64]
    """Numbers of the bins that are held, ascending, shape (number of bins,)."""
    counts: FloatArray
    totals: FloatArray
    squares: FloatArray

    @classmethod
    def of(cls, counted: Iterable[BinCount], bins: npt.NDArray[np.int64]) -> Self:
        """The histogram of counts, over bins that hold all of theirs."""
        rows = list(counted)
        arrays = [np.zeros((GROUPS, len(bins))) for _ in range(3)]
        if rows:
            places = np.searchsorted(bins, [row.bin for row in rows])
            groups = np.array([row.group for row in rows])
            for array, values in zip(arrays, list(zip(*rows, strict=True))[2:], strict=True):
                np.add.at(array, (groups, places), np.asarray(values, dtype=np.float64))
        return cls(bins, *arrays)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def with_all_of(self, other: Self) -> Self:
        """Those of both, over the same bins."""
        return type(self)(
            self.bins, self.counts + other.counts, self.totals + other.totals, self.squares + other.squares
        )

    def without_each_group(self) -> Self:
        """In each row everything but that group of customers."""
        return type(self)(
            self.bins, *(each.sum(axis=0) - each for each in (self.counts, self.totals, self.squares))
        )

    def whole(self) -> Self:
        """All groups as one, shape (1, number of bins)."""
        return type(self)(
            self.bins, *(each.sum(axis=0, keepdims=True) for each in (self.counts, self.totals, self.squares))
        )


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Loans whose outcome is known: the scores of the late ones, and of those in time, over the same bins."""

    late: ScoreHistogram
    in_time: ScoreHistogram

    def together(self) -> ScoreHistogram:
        """All of them."""
        return self.late.with_all_of(self.in_time)

    def without_each_group(self) -> "Outcomes":
        """In each row everything but that group of customers."""
        return Outcomes(self.late.without_each_group(), self.in_time.without_each_group())

    def whole(self) -> "Outcomes":
        """All groups as one."""
        return Outcomes(self.late.whole(), self.in_time.whole())


Figure = Callable[[Outcomes], FloatArray]
"""One number for each row of the arrays."""


def roc_auc(late: FloatArray, in_time: FloatArray) -> FloatArray:
    """The share of pairs of a late loan and one in time in which the late one has the higher score, ties half.

    Args:
        late: how many of each bin were late, bins ascending along the last axis; they need not be whole numbers.
        in_time: how many were not, of the same shape.

    Returns:
        One for each row; NaN where there is no pair.
    """
    below = np.cumsum(in_time, axis=-1) - in_time / 2
    pairs = late.sum(axis=-1) * in_time.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = np.where(pairs > 0, (late * below).sum(axis=-1) / pairs, np.nan)
    return found


def tie_share(outcomes: Outcomes) -> float:
    """The share of pairs whose scores are in one bin: ROC AUC is at most half of it away from that of the scores."""
    late, in_time = outcomes.whole().late.counts, outcomes.whole().in_time.counts
    return float((late * in_time).sum() / max(1.0, late.sum() * in_time.sum()))


def realised_roc_auc(outcomes: Outcomes) -> FloatArray:
    """:func:`roc_auc` of what happened."""
    return roc_auc(outcomes.late.counts, outcomes.in_time.counts)


def brier(outcomes: Outcomes) -> FloatArray:
    """Mean squared difference of score and outcome."""
    count = outcomes.together().counts.sum(axis=-1)
    squares = outcomes.together().squares.sum(axis=-1)
    late = outcomes.late.counts.sum(axis=-1)
    return _share(squares - 2 * outcomes.late.totals.sum(axis=-1) + late, count)


def brier_of_no_skill(outcomes: Outcomes) -> FloatArray:
    """That of who gives everybody the share that turned out to be late."""
    late, count = outcomes.late.counts.sum(axis=-1), outcomes.together().counts.sum(axis=-1)
    share = _share(late, count)
    return share * (1 - share)


def calibration_error(outcomes: Outcomes) -> FloatArray:
    """Mean gap between score and share of late loans, over ten parts of equally many loans.

    A bin goes to one part as a whole, so parts are as equal as the bins let them be.
    """
    counts = outcomes.together().counts
    order = counts.sum(axis=0)
    middle = (np.cumsum(order) - order / 2) / max(1.0, order.sum())
    part = np.minimum((middle * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps = outcomes.together().totals - outcomes.late.counts
    by_part = np.stack([gaps[..., part == number].sum(axis=-1) for number in range(CALIBRATION_BINS)])
    return _share(np.abs(by_part).sum(axis=0), counts.sum(axis=-1))


def estimated(figure: Figure, outcomes: Outcomes) -> Estimated | None:
    """A figure with its interval; None where it is no number."""
    return _estimated(figure(outcomes.whole()), figure(outcomes.without_each_group()), outcomes)


def estimated_difference(figure: Figure, outcomes: Outcomes, others: Outcomes) -> Estimated | None:
    """A figure of one score less that of another on the same loans, paired."""
    value = figure(outcomes.whole()) - figure(others.whole())
    return _estimated(
        value, figure(outcomes.without_each_group()) - figure(others.without_each_group()), outcomes
    )


def _estimated(value: FloatArray, replicates: FloatArray, outcomes: Outcomes) -> Estimated | None:
    if not np.isfinite(value[0]):
        return None
    groups = int((outcomes.together().counts.sum(axis=-1) > 0).sum())
    if groups < FEWEST_GROUPS or not np.isfinite(replicates).all():
        return Estimated(float(value[0]), None, None)
    squares = ((replicates - replicates.mean()) ** 2).sum()
    half = T_QUANTILE * float(np.sqrt(squares * (GROUPS - 1) / GROUPS))
    return Estimated(float(value[0]), float(value[0]) - half, float(value[0]) + half)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = np.asarray(np.where(whole > 0, part / whole, np.nan))
    return found


def all_bins(*counted: Iterable[BinCount]) -> Any:
    """The numbers of every bin that any of them holds, ascending."""
    return np.unique(np.array([row.bin for rows in counted for row in rows], dtype=np.int64))
