"""A feature's statistics, taken in batch by batch, against numpy over all values at once."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from creditrisk.contract import FEATURES
from spark_jobs import statistics
from spark_jobs.statistics import QUANTILES, Tally, tallies

AMOUNT = next(feature for feature in FEATURES if feature.type == "double")
NUMBERS = np.random.default_rng(7)
VALUES = NUMBERS.lognormal(5, 2, 5_000).round(2)
HASHES = NUMBERS.integers(0, 1 << 64, 5_000, np.uint64)


def tally_of(order: np.ndarray, batch: int) -> Tally:
    tally = tallies()[AMOUNT.name]
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        tally.add(pa.array(VALUES[rows]), HASHES[rows])
    return tally


def test_quantiles_are_exact_while_every_value_is_held() -> None:
    told = tally_of(np.arange(5_000), 1_234).statistics()
    wanted = np.quantile(VALUES, QUANTILES, method="inverted_cdf")
    assert list(told.quantiles.values()) == wanted.tolist()
    assert (told.count, told.nulls, told.min, told.max) == (5_000, 0, VALUES.min(), VALUES.max())
    edges = [-np.inf, *AMOUNT.histogram_edges, np.inf]
    assert told.histogram == [((low <= VALUES) & (high > VALUES)).sum() for low, high in pairwise(edges)]


def test_of_more_values_the_same_rows_are_held_in_whatever_order_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statistics, "_SAMPLED", 1_000)
    one = tally_of(np.arange(5_000), 300).statistics()
    other = tally_of(NUMBERS.permutation(5_000), 700).statistics()
    smallest = VALUES[np.argsort(HASHES)[:1_000]]
    assert one.quantiles == other.quantiles
    assert list(one.quantiles.values()) == np.quantile(smallest, QUANTILES, method="inverted_cdf").tolist()
    assert (one.count, one.min, one.max, one.histogram) == (
        5_000, VALUES.min(), VALUES.max(), other.histogram,
    )  # fmt: skip


def test_missing_values_are_counted_and_no_more() -> None:
    tally = tallies()[AMOUNT.name]
    tally.add(pa.array([None, 3.0, None], pa.float64()), HASHES[:3])
    tally.add(pa.array([None], pa.float64()), HASHES[3:4])
    told = tally.statistics()
    assert (told.count, told.nulls, told.mean, told.quantiles["0.5"]) == (1, 3, 3.0, 3.0)
    nothing = tallies()[AMOUNT.name].statistics()
    assert (nothing.count, nothing.min, nothing.mean, nothing.quantiles) == (0, None, None, {})
