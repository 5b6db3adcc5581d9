"""Distributions as counts by bucket: of a feature, of the probability, or of a column of incoming loans.

Buckets are fixed, so that counts of any source add up and can be compared: Postgres counts decisions by them with
``width_bucket``, numpy the reference's rows. They are finer than the contract's histogram, whose edges are among theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

from creditrisk.contract import FEATURES, Feature

FloatArray = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_MOST_WHOLE_NUMBERS = 1000
_PIECES = 16
"""Of each of the contract's buckets of amounts, evenly on a logarithmic scale."""

_LOG_ODDS = 10.0
_LOG_ODDS_BUCKETS = 400
_PLOTTED_LOG_ODDS_BUCKETS = 40


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """The buckets of one quantity: n edges make n + 1, the first of what lies below ``edges[0]``."""

    name: str
    edges: FloatArray
    """Ascending; a value on an edge is in the bucket above it."""
    plotted_edges: tuple[float, ...]
    """Those of a coarser histogram, all of them among ``edges``."""
    lower: float
    upper: float
    """Bounds, inclusive: a value beyond is counted as such."""

    def plotted(self, counts: npt.NDArray[np.float64] | Counts) -> list[float]:
        """Counts by the coarser buckets."""
        place = np.searchsorted(self.plotted_edges, [-np.inf, *self.edges], side="right")
        return [
            float(each) for each in np.bincount(place, weights=counts, minlength=len(self.plotted_edges) + 1)
        ]


@cache
def feature_grid(name: str) -> Grid:
    """The buckets of a feature of the contract: every whole number, or finely divided amounts."""
    (feature,) = [feature for feature in FEATURES if feature.name == name]
    fine = _divided(feature.histogram_edges) if feature.type == "double" else _whole_numbers(feature)
    edges = np.union1d(fine, feature.histogram_edges)
    return Grid(feature.name, edges, feature.histogram_edges, feature.lower, feature.upper)


@cache
def probability_grid() -> Grid:
    """The buckets of a probability: even in its log-odds, where scores of rare events differ."""

    def edges(buckets: int) -> FloatArray:
        log_odds = np.linspace(-_LOG_ODDS, _LOG_ODDS, buckets + 1)
        return 1 / (1 + np.exp(-log_odds))

    plotted = edges(_PLOTTED_LOG_ODDS_BUCKETS)
    return Grid(
        "probability", np.union1d(edges(_LOG_ODDS_BUCKETS), plotted), tuple(plotted.tolist()), 0.0, 1.0
    )


def _whole_numbers(feature: Feature) -> FloatArray:
    highest = min(int(feature.upper) + 1, _MOST_WHOLE_NUMBERS)
    if feature.upper == 1:
        return np.array(feature.histogram_edges)
    return np.arange(int(feature.lower), highest + 1, dtype=float)


def _divided(edges: Sequence[float]) -> FloatArray:
    return np.concatenate([np.geomspace(low, high, _PIECES, endpoint=False) for low, high in pairwise(edges)])


@dataclass(frozen=True, eq=False, slots=True)
class Histogram:
    """How often each bucket was met."""

    grid: Grid
    counts: Counts
    missing: int = 0
    out_of_bounds: int = 0
    """Of the values, how many lie beyond the bounds."""

    @classmethod
    def of(cls, grid: Grid, values: FloatArray) -> Self:
        """Count values of shape (n,), NaN where one is missing."""
        known = values[~np.isnan(values)]
        counts = np.bincount(
            np.searchsorted(grid.edges, known, side="right"), minlength=len(grid.edges) + 1
        ).astype(np.int64)
        beyond = int(np.count_nonzero((known < grid.lower) | (known > grid.upper)))
        return cls(grid, counts, len(values) - len(known), beyond)

    @classmethod
    def empty(cls, grid: Grid) -> Self:
        """Of no rows."""
        return cls(grid, np.zeros(len(grid.edges) + 1, dtype=np.int64))

    @property
    def values(self) -> int:
        """Rows that have a value."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """All rows, those without a value too."""
        return self.values + self.missing

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.grid,
            self.counts + other.counts,
            self.missing + other.missing,
            self.out_of_bounds + other.out_of_bounds,
        )


@dataclass(frozen=True, eq=False, slots=True)
class Expected:
    """What a distribution should look like: shares by bucket, and by how many rows they are known."""

    grid: Grid
    shares: FloatArray
    """Of all rows; together with ``missing_share`` they add up to 1."""
    missing_share: float
    rows: float
    """The number of rows that would know the shares as well."""

    @classmethod
    def mixed(cls, references: Sequence[tuple[Histogram, int]]) -> Self | None:
        """References, each weighted by the rows to be compared with it; None where there is no row on either side."""
        used = [(reference, weight) for reference, weight in references if weight and reference.rows]
        total = sum(weight for _, weight in used)
        if not used:
            return None
        grid = used[0][0].grid
        shares = sum(
            (weight / total * reference.counts / reference.rows for reference, weight in used),
            np.zeros(len(grid.edges) + 1),
        )
        missing = sum(weight / total * reference.missing / reference.rows for reference, weight in used)
        variance = sum((weight / total) ** 2 / reference.rows for reference, weight in used)
        return cls(grid, shares, float(missing), 1 / variance)
