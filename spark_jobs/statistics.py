"""Statistics of each feature over all loan rows, for the manifest and the quality gate."""

from bisect import bisect_right
from collections import Counter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from creditrisk.contract import FEATURES, Feature
from creditrisk.snapshots import FeatureStatistics

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_SAMPLED = 1_000_000


class Tally(Protocol):
    """One feature's values, taken in batch by batch."""

    def add(self, values: pa.Array, hashes: npt.NDArray[np.uint64]) -> None:
        """Take a batch in: the feature's values, and a hash of each row."""

    def statistics(self) -> FeatureStatistics:
        """What has been taken in."""


def tallies() -> dict[str, Tally]:
    """A tally of each feature, of nothing yet.

    Whole numbers have few values: those are counted, and everything follows exactly. Doubles are held against the
    histogram's edges as they come; their quantiles are exact up to a million rows, and from there on those of the
    million rows of the smallest hashes, which are the same rows in whatever order they come: their error is half a
    thousandth of the rows (one standard deviation, at the median).
    """
    return {each.name: _Doubles(each) if each.type == "double" else _Integers(each) for each in FEATURES}


def bucket_of(feature: Feature, value: float) -> int:
    """The histogram's bucket of a value: how many edges are at or below it."""
    return bisect_right(feature.histogram_edges, value)


def counts_of(values: pa.Array) -> dict[Any, int]:
    """How often each value occurs; missing ones are left out."""
    counts = pc.value_counts(values.drop_null())
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


class _Integers:
    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._rows = 0
        self._counted: Counter[int] = Counter()

    def add(self, values: pa.Array, hashes: npt.NDArray[np.uint64]) -> None:  # noqa: ARG002
        self._rows += len(values)
        self._counted.update(counts_of(values))

    def statistics(self) -> FeatureStatistics:
        feature, counted, count = self._feature, self._counted, self._counted.total()
        histogram = [0] * (len(feature.histogram_edges) + 1)
        for value, times in counted.items():
            histogram[bucket_of(feature, value)] += times
        return FeatureStatistics(
            count=count,
            nulls=self._rows - count,
            out_of_bounds=sum(
                times for value, times in counted.items() if not feature.lower <= value <= feature.upper
            ),
            min=min(counted, default=None),
            max=max(counted, default=None),
            mean=sum(value * times for value, times in counted.items()) / count if count else None,
            quantiles=self._quantiles(count),
            histogram=histogram,
        )

    def _quantiles(self, count: int) -> dict[str, float]:
        """By probability, the smallest value that at least this share of the values does not exceed."""
        quantiles: dict[str, float] = {}
        waiting = list(QUANTILES)
        seen = 0
        for value in sorted(self._counted):
            seen += self._counted[value]
            while waiting and seen >= waiting[0] * count:
                quantiles[str(waiting.pop(0))] = float(value)
        return quantiles


class _Doubles:
    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._rows = self._out = 0
        self._total, self._least, self._greatest = 0.0, np.inf, -np.inf
        self._histogram = np.zeros(len(feature.histogram_edges) + 1, np.int64)
        self._sample = _Sample()

    def add(self, values: pa.Array, hashes: npt.NDArray[np.uint64]) -> None:
        self._rows += len(values)
        is_known = values.is_valid().to_numpy(zero_copy_only=False)
        known = values.drop_null().to_numpy()
        if not len(known):
            return
        feature, edges = self._feature, self._feature.histogram_edges
        self._out += int(np.count_nonzero((known < feature.lower) | (known > feature.upper)))
        self._total += float(known.sum())
        self._least, self._greatest = min(self._least, known.min()), max(self._greatest, known.max())
        self._histogram += np.bincount(
            np.searchsorted(edges, known, side="right"), minlength=len(self._histogram)
        )
        self._sample.add(known, hashes[is_known])

    def statistics(self) -> FeatureStatistics:
        count = int(self._histogram.sum())
        return FeatureStatistics(
            count=count,
            nulls=self._rows - count,
            out_of_bounds=self._out,
            min=float(self._least) if count else None,
            max=float(self._greatest) if count else None,
            mean=self._total / count if count else None,
            quantiles=self._sample.quantiles() if count else {},
            histogram=self._histogram.tolist(),
        )


class _Sample:
    """Values of the rows of the smallest hashes, :data:`_SAMPLED` at most."""

    def __init__(self) -> None:
        self._parts: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.uint64]]] = []
        self._held = 0

    def add(self, values: npt.NDArray[np.float64], hashes: npt.NDArray[np.uint64]) -> None:
        self._parts.append((values, hashes))
        self._held += len(values)
        if self._held > 2 * _SAMPLED:
            self._cut()

    def quantiles(self) -> dict[str, float]:
        """By probability, the smallest value that at least this share of the values does not exceed."""
        found: Any = np.quantile(self._cut(), QUANTILES, method="inverted_cdf")
        return {str(each): float(value) for each, value in zip(QUANTILES, found, strict=True)}

    def _cut(self) -> npt.NDArray[np.float64]:
        values, hashes = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        if len(values) > _SAMPLED:
            kept = np.argpartition(hashes, _SAMPLED)[:_SAMPLED]
            values, hashes = values[kept], hashes[kept]
        self._parts, self._held = [(values, hashes)], len(values)
        return values
