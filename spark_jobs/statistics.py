"""Statistics of each feature over all loan rows, for the manifest and the quality gate."""

from bisect import bisect_right
from collections import defaultdict
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from creditrisk.contract import FEATURES, Feature
from creditrisk.snapshots import FeatureStatistics
from spark_jobs.digests import loans_digest, loans_digest_columns

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_ACCURACY = 1_000


def loan_statistics(featured: DataFrame) -> tuple[dict[str, FeatureStatistics], str, Any]:
    """Statistics by feature, the loans' digest, and the newest loan date (None without loans).

    One pass for what is aggregated as a number, one for the histograms; only those reach the driver.
    """
    aggregates: dict[str, Column] = {"newest_loan_date": F.max("loan_date"), **loans_digest_columns()}
    for feature in FEATURES:
        aggregates |= _aggregates(feature)
    totals = featured.agg(*(column.alias(name) for name, column in aggregates.items())).collect()[0].asDict()
    histograms = _histograms(featured)
    statistics = {
        feature.name: _statistics(feature, totals, histograms[feature.name]) for feature in FEATURES
    }
    return statistics, loans_digest(totals), totals["newest_loan_date"]


def bucket_of(feature: Feature, value: float) -> int:
    """The histogram's bucket of a value: how many edges are at or below it."""
    return bisect_right(feature.histogram_edges, value)


def _aggregates(feature: Feature) -> dict[str, Column]:
    value = F.col(feature.name)
    is_out = ~value.between(F.lit(feature.lower), F.lit(feature.upper))
    return {
        f"{feature.name}.count": F.count(value),
        f"{feature.name}.rows": F.count("*"),
        f"{feature.name}.out_of_bounds": F.count_if(is_out),
        f"{feature.name}.min": F.min(value),
        f"{feature.name}.max": F.max(value),
        f"{feature.name}.mean": F.avg(value),
        f"{feature.name}.quantiles": F.percentile_approx(value, list(QUANTILES), _ACCURACY),
    }


def _histograms(featured: DataFrame) -> dict[str, list[int]]:
    buckets = F.explode(
        F.array(
            *(
                F.struct(F.lit(number).alias("feature"), _bucket(feature).alias("bucket"))
                for number, feature in enumerate(FEATURES)
            )
        )
    )
    counted = (
        featured.select(buckets.alias("at"))
        .where(F.col("at.bucket").isNotNull())
        .groupBy("at.feature", "at.bucket")
        .count()
        .collect()
    )
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    for row in counted:
        counts[FEATURES[row["feature"]].name][row["bucket"]] = row["count"]
    return {
        feature.name: [
            counts[feature.name].get(bucket, 0) for bucket in range(len(feature.histogram_edges) + 1)
        ]
        for feature in FEATURES
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


def _statistics(feature: Feature, totals: dict[str, Any], histogram: list[int]) -> FeatureStatistics:
    def total(name: str) -> Any:
        return totals[f"{feature.name}.{name}"]

    def number(name: str) -> float | None:
        return None if total(name) is None else float(total(name))

    return FeatureStatistics(
        count=total("count"),
        nulls=total("rows") - total("count"),
        out_of_bounds=total("out_of_bounds"),
        min=number("min"),
        max=number("max"),
        mean=number("mean"),
        quantiles={
            str(probability): float(value)
            for probability, value in zip(QUANTILES, total("quantiles") or [], strict=False)
        },
        histogram=histogram,
    )
