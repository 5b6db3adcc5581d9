"""Buckets that refine the contract's, counts that add up, and references that are mixed by who decided."""

import numpy as np
import pytest

from creditrisk.contract import FEATURES, Feature
from monitoring.histograms import Expected, Histogram, feature_grid, probability_grid

GRIDS = [feature_grid(feature.name) for feature in FEATURES] + [probability_grid()]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_the_edges_of_plots_are_among_finer_ones(grid) -> None:  # type: ignore[no-untyped-def]
    assert (np.diff(grid.edges) > 0).all()
    assert set(grid.plotted_edges) <= set(grid.edges.tolist())


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_the_coarser_counts_are_those_of_the_contracts_edges(feature: Feature) -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.uniform(-5, 2 * feature.histogram_edges[-1], 500), feature.histogram_edges])
    grid = feature_grid(feature.name)
    places = np.searchsorted(feature.histogram_edges, values, side="right")
    expected = np.bincount(places, minlength=len(feature.histogram_edges) + 1)
    assert grid.plotted(Histogram.of(grid, values).counts) == expected.tolist()


def test_every_whole_number_within_bounds_has_a_bucket_of_its_own() -> None:
    grid = feature_grid("age")
    ages = np.arange(17.0, 103.0)
    counts = Histogram.of(grid, ages).counts
    assert counts.tolist() == [1] * 84 + [2]  # 101 and 102 lie together, above the oldest age


def test_missing_values_and_those_beyond_bounds_are_counted_apart() -> None:
    found = Histogram.of(feature_grid("age"), np.array([17, 18, 100, 101, np.nan, np.nan]))
    assert (found.values, found.missing, found.rows, found.out_of_bounds) == (4, 2, 6, 2)
    both = found + found
    assert (both.rows, both.out_of_bounds, both.counts.sum()) == (12, 4, 8)


def test_mixed_references_weigh_as_much_as_their_version_decided() -> None:
    grid = feature_grid("flag_own_car")
    nobody, everybody = (Histogram.of(grid, np.full(rows, flag)) for rows, flag in ((400, 0.0), (100, 1.0)))
    mixed = Expected.mixed([(nobody, 30), (everybody, 10), (nobody, 0)])
    assert mixed is not None
    assert mixed.shares.tolist() == [0.75, 0.25]
    assert mixed.rows == pytest.approx(1 / (0.75**2 / 400 + 0.25**2 / 100))
    alone = Expected.mixed([(everybody, 7)])
    assert alone is not None
    assert alone.rows == pytest.approx(100)
    assert Expected.mixed([(nobody, 0)]) is None
    assert Expected.mixed([(Histogram.empty(grid), 3)]) is None
