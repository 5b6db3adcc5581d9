"""Statistics of each feature over all loan rows, for the manifest and the quality gate."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from creditrisk.contract import FEATURES, Feature
from creditrisk.snapshots import FeatureStatistics

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_ACCURACY = 1_000


def statistics_columns() -> dict[str, Column]:
    """Aggregates over loan rows that :func:`statistics_of` needs, by name: of doubles all but the buckets' counts."""
    aggregates: dict[str, Column] = {}
    for feature in FEATURES:
        if feature.type == "double":
            aggregates |= _aggregates(feature)
    return aggregates


def bucket_columns() -> dict[str, Column]:
    """By double feature, the number of the histogram's bucket that a row's value lies in; null where it is missing."""
    return {feature.name: _bucket(feature) for feature in FEATURES if feature.type == "double"}


def statistics_of(
    aggregates: dict[str, Any], rows: int, counted: Mapping[str, Counter[int]]
) -> dict[str, FeatureStatistics]:
    """Statistics by feature.

    Whole numbers have few values: those are counted, and everything follows exactly. Of doubles the numbers are
    aggregated, the quantiles within a thousandth of the rows, and the histogram's buckets are counted.

    Args:
        aggregates: values of :func:`statistics_columns`.
        rows: how many rows there are.
        counted: rows by value of each int feature, and by bucket of each double one; missing values left out.
    """
    return {
        feature.name: _of_doubles(feature, aggregates, rows, counted[feature.name])
        if feature.type == "double"
        else _of_integers(feature, rows, counted[feature.name])
        for feature in FEATURES
    }


def bucket_of(feature: Feature, value: float) -> int:
    """The histogram's bucket of a value: how many edges are at or below it."""
    return bisect_right(feature.histogram_edges, value)


def _aggregates(feature: Feature) -> dict[str, Column]:
    value = F.col(feature.name)
    is_out = ~value.between(F.lit(feature.lower), F.lit(feature.upper))
    return {
        f"{feature.name}.out_of_bounds": F.count_if(is_out),
        f"{feature.name}.min": F.min(value),
        f"{feature.name}.max": F.max(value),
        f"{feature.name}.mean": F.avg(value),
        f"{feature.name}.quantiles": F.percentile_approx(value, list(QUANTILES), _ACCURACY),
    }


def _bucket(feature: Feature) -> Column:
    """A value's bucket by binary search over the fixed edges; null where the value is missing."""
    value = F.col(feature.name)
    edges = feature.histogram_edges

    def search(low: int, high: int) -> Column:
        if low == high:
            return F.lit(low)
        middle = (low + high) // 2
        return F.when(value < F.lit(edges[middle]), search(low, middle)).otherwise(search(middle + 1, high))

    return F.when(value.isNotNull(), search(0, len(edges)))


def _of_doubles(
    feature: Feature, totals: dict[str, Any], rows: int, buckets: Counter[int]
) -> FeatureStatistics:
    count = buckets.total()
    quantiles = totals[f"{feature.name}.quantiles"] or []
    return FeatureStatistics(
        count=count,
        nulls=rows - count,
        out_of_bounds=totals[f"{feature.name}.out_of_bounds"],
        min=totals[f"{feature.name}.min"],
        max=totals[f"{feature.name}.max"],
        mean=totals[f"{feature.name}.mean"],
        quantiles={str(each): value for each, value in zip(QUANTILES, quantiles, strict=False)},
        histogram=[buckets[bucket] for bucket in range(len(feature.histogram_edges) + 1)],
    )


def _of_integers(feature: Feature, rows: int, counted: Counter[int]) -> FeatureStatistics:
    count = counted.total()
    histogram = [0] * (len(feature.histogram_edges) + 1)
    for value, times in counted.items():
        histogram[bucket_of(feature, value)] += times
    return FeatureStatistics(
        count=count,
        nulls=rows - count,
        out_of_bounds=sum(
            times for value, times in counted.items() if not feature.lower <= value <= feature.upper
        ),
        min=min(counted, default=None),
        max=max(counted, default=None),
        mean=sum(value * times for value, times in counted.items()) / count if count else None,
        quantiles=_quantiles(counted, count),
        histogram=histogram,
    )


def _quantiles(counted: Counter[int], count: int) -> dict[str, float]:
    """By probability, the smallest value that at least this share of the values does not exceed."""
    quantiles: dict[str, float] = {}
    waiting = list(QUANTILES)
    seen = 0
    for value in sorted(counted):
        seen += counted[value]
        while waiting and seen >= waiting[0] * count:
            quantiles[str(waiting.pop(0))] = float(value)
    return quantiles
