"""How far two distributions are apart: effect sizes, each with what it surely is at least, and a p-value to show.

Pure. A distribution that was counted in n rows is compared with an expected one that is known by m; what chance
alone makes of equal ones depends on both. A verdict rests on the lower bound, so few rows alarm nobody.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from creditrisk.population_stability import population_stability_index
from monitoring.histograms import Expected, Histogram

_SCALE = 1_000_000
"""The index is computed of whole counts; expected shares are given as millionths."""

_MOST_BINS = 10


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect size."""

    value: float
    low: float
    """What it is at least: chance alone carries the value so far above it with the probability that was asked for."""
    p_value: float | None = None
    """The probability of such a value or a greater one between equal distributions."""


def stability_index(found: Histogram, expected: Expected, error: float) -> Effect:
    """The population stability index, by tenths of the expected values and one bin of missing ones.

    Of n rows against m, with ``N = 1 / (1/n + 1/m)``, ``N`` times the index is about chi-square with a degree of freedom
    less than bins where nothing has moved (B. Yurdakul, *Statistical Properties of Population Stability Index*, 2018),
    and about non-central chi-square where something has: the bound is the least index that would give such a value.
    """
    reference = np.rint(expected.shares * _SCALE).astype(int).tolist()
    missing = round(expected.missing_share * _SCALE)
    value = population_stability_index(reference, found.counts.tolist(), missing, found.missing)
    degrees = min(_MOST_BINS, int(np.count_nonzero(expected.shares))) - 1 + bool(missing or found.missing)
    size = _joint(found.rows, expected.rows)
    return Effect(value, _least_non_centrality(value * size, degrees, error) / size)


def kolmogorov_smirnov(found: Histogram, expected: Expected, error: float) -> Effect:
    """The two-sample Kolmogorov-Smirnov statistic of the values, missing ones left out.

    It is taken at the buckets' edges: exact where each bucket has one value. The bound is that of the two-sample
    test at ``error``, and the p-value Kolmogorov's limit distribution: both are cautious where values are whole numbers.
    """
    known_share = 1 - expected.missing_share
    if not found.values or known_share <= 0:
        return Effect(0.0, 0.0, 1.0)
    theirs = np.cumsum(expected.shares) / known_share
    value = float(np.abs(np.cumsum(found.counts) / found.values - theirs).max())
    size = _joint(found.values, expected.rows * known_share)
    bound = math.sqrt(math.log(2 / error) / 2 / size)
    return Effect(value, max(0.0, value - bound), _kolmogorov(value * math.sqrt(size)))


def cramers_v(found: Histogram, expected: Expected, error: float) -> Effect:
    """Cramér's V of a flag and of which side a row is on, both sides weighted alike; the p-value is chi-square's.

    With the raw counts, V would shrink as one side grows while nothing else changes.
    """
    known_share = 1 - expected.missing_share
    if not found.values or known_share <= 0:
        return Effect(0.0, 0.0, 1.0)
    ours, theirs = found.counts[1:].sum() / found.values, float(expected.shares[1:].sum() / known_share)
    rows = expected.rows * known_share
    mean = (ours + theirs) / 2
    spread = 2 * math.sqrt(mean * (1 - mean))
    if not spread:
        return Effect(0.0, 0.0, 1.0)
    shift = share_shift(float(ours), found.values, theirs, rows, error)
    pooled = (ours * found.values + theirs * rows) / (found.values + rows)
    chi_square = (ours - theirs) ** 2 * _joint(found.values, rows) / (pooled * (1 - pooled))
    return Effect(shift.value / spread, shift.low / spread, math.erfc(math.sqrt(chi_square / 2)))


def share_shift(
    found: float, found_rows: float, expected: float, expected_rows: float, error: float
) -> Effect:
    """How far a share is from the expected one, in either direction; the bound is normal."""
    variance = found * (1 - found) / found_rows + expected * (1 - expected) / expected_rows
    value = abs(found - expected)
    return Effect(value, max(0.0, value - NormalDist().inv_cdf(1 - error / 2) * math.sqrt(variance)))


def share_at_least(share: float, rows: float, error: float) -> float:
    """What a share of some rows surely is at least, by Wilson's bound."""
    z = NormalDist().inv_cdf(1 - error)
    centre = share + z**2 / (2 * rows)
    width = z * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return max(0.0, (centre - width) / (1 + z**2 / rows))


def _least_non_centrality(value: float, degrees: int, error: float) -> float:
    """The least non-centrality of a chi-square that exceeds the value with the probability ``error``."""
    from scipy import special

    if degrees < 1 or special.chdtrc(degrees, value) >= error:
        return 0.0
    exact = float(special.chndtrinc(value, degrees, 1 - error))
    if math.isfinite(exact) and exact > 0:
        return exact
    # Of a million rows the function gives up, and the normal approximation is as good.
    z = NormalDist().inv_cdf(1 - error)
    return max(
        0.0, value - degrees + 2 * z**2 - z * math.sqrt(4 * (value - degrees) + 4 * z**2 + 2 * degrees)
    )


def _joint(found_rows: float, expected_rows: float) -> float:
    return 1 / (1 / found_rows + 1 / expected_rows)


def _kolmogorov(x: float) -> float:
    """The probability that Kolmogorov's limit distribution exceeds x (N. Smirnov, 1948)."""
    if x < 0.2:  # the alternating series is slow there, and its sum differs from 1 by less than 1e-12
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * k**2 * x**2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * math.fsum(terms)))
