"""How far a feature's distribution has moved, measured on two histograms with the same edges."""

import math
from collections.abc import Sequence

_BINS = 10
_LEAST_SHARE = 1e-4
"""An empty bin counts as this share, so that the logarithm stays finite."""


def population_stability_index(
    reference: Sequence[int], candidate: Sequence[int], reference_nulls: int = 0, candidate_nulls: int = 0
) -> float:
    """How far a distribution has moved: the sum over bins of ``(c - r) * ln(c / r)``, c and r shares.

    Below 0.1 is usually read as stable, above 0.25 as shifted (N. Siddiqi, *Credit Risk Scorecards*, 2006;
    B. Yurdakul, *Statistical Properties of Population Stability Index*, 2018).

    Args:
        reference: counts by histogram bin; the fine bins are merged into at most ten, one per decile
            of the reference, so that none is nearly empty by nature.
        candidate: counts by the same bins.
        reference_nulls: missing values, a bin of their own.
        candidate_nulls: the same, of the candidate.

    Returns:
        0 for equal shares, and never less; 0 where either side is empty.
    """
    groups = _decile_of_each_bin(reference)
    merged_reference, merged_candidate = [0] * _BINS, [0] * _BINS
    for group, expected, found in zip(groups, reference, candidate, strict=True):
        merged_reference[group] += expected
        merged_candidate[group] += found
    expected_counts = [*merged_reference, reference_nulls]
    found_counts = [*merged_candidate, candidate_nulls]
    if not sum(expected_counts) or not sum(found_counts):
        return 0.0
    index = 0.0
    for expected, found in zip(expected_counts, found_counts, strict=True):
        if expected or found:
            r = max(expected / sum(expected_counts), _LEAST_SHARE)
            c = max(found / sum(found_counts), _LEAST_SHARE)
            index += (c - r) * math.log(c / r)
    return index


def _decile_of_each_bin(counts: Sequence[int]) -> list[int]:
    """The tenth of all values in which the middle of each bin lies, 0 to 9."""
    total = sum(counts)
    deciles = []
    below = 0
    for count in counts:
        deciles.append(min(int(_BINS * (below + count / 2) / total), _BINS - 1) if total else 0)
        below += count
    return deciles
