"""Statistics of each feature over all loan rows, for the manifest and the quality gate."""

from bisect import bisect_right
from collections import Counter
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from creditrisk.contract import FEATURES, Feature
from creditrisk.snapshots import FeatureStatistics
from spark_jobs.digests import loans_digest, loans_digest_columns

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_ACCURACY = 1_000


def loan_statistics(featured: DataFrame) -> tuple[dict[str, FeatureStatistics], str, date | None]:
    """Statistics by feature, the loans' digest, and the newest loan date (None without loans).

    Whole numbers have few values: those are counted, and everything follows exactly. Of doubles the numbers are
    aggregated, the quantiles within a thousandth of the rows, and the histogram's buckets are counted.
    """
    counted = _counted(featured)
    aggregates: dict[str, Column] = {"newest_loan_date": F.max("loan_date"), **loans_digest_columns()}
    for feature in FEATURES:
        if feature.type == "double":
            aggregates |= _aggregates(feature)
    totals = featured.agg(*(column.alias(name) for name, column in aggregates.items())).collect()[0].asDict()
    rows = totals["digest_rows"]
    statistics = {
        feature.name: _of_doubles(feature, totals, rows, counted[feature.name])
        if feature.type == "double"
        else _of_integers(feature, rows, counted[feature.name])
        for feature in FEATURES
    }
    return statistics, loans_digest(totals), totals["newest_loan_date"]


def bucket_of(feature: Feature, value: float) -> int:
    """The histogram's bucket of a value: how many edges are at or below it."""
    return bisect_right(feature.histogram_edges, value)


def _counted(featured: DataFrame) -> dict[str, Counter[int]]:
    """Rows by value of each int feature, and by histogram bucket of each double one; missing values left out."""
    values = F.explode(
        F.array(
            *(
                F.struct(
                    F.lit(number).alias("feature"),
                    (_bucket(feature) if feature.type == "double" else F.col(feature.name)).alias("value"),
                )
                for number, feature in enumerate(FEATURES)
            )
        )
    )
    groups = (
        featured.select(values.alias("at"))
        .where(F.col("at.value").isNotNull())
        .groupBy("at.feature", "at.value")
        .count()
        .collect()
    )
    counted: dict[str, Counter[int]] = {feature.name: Counter() for feature in FEATURES}
    for group in groups:
        counted[FEATURES[group["feature"]].name][group["value"]] = group["count"]
    return counted


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
