"""A flat model says what its scikit-learn model says: on ordinary rows, at thresholds, with holes, at extremes."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from creditrisk.errors import VersionUnservable
from creditrisk.scoring import TOLERANCE, FlatModel, FlatPair, flatten, verify

ESTIMATORS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(25, max_depth=8, random_state=3, class_weight="balanced"),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=25, max_depth=6, random_state=3),
}


@cache
def sample(missing: bool = True) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    random = np.random.default_rng(11)
    n = 4000
    rows = np.column_stack(
        [
            random.integers(20, 70, n),
            random.integers(0, 40, n),
            random.poisson(10, n),
            random.gamma(2.0, 80.0, n),
            random.integers(0, 2, n),
        ]
    ).astype(np.float64)
    late = (random.random(n) < 1 / (1 + np.exp(3 - 0.03 * rows[:, 0] - 0.05 * rows[:, 2]))).astype(np.int64)
    if missing:
        # Missing tells something, so that the trees split on it, also alone.
        rows[(random.random(n) < 0.1 + 0.5 * late), 1] = np.nan
        rows[random.random(n) < 0.05, 3] = np.nan
    return rows, late


@cache
def fitted(kind: str, missing: bool = True) -> CalibratedClassifierCV:
    rows, late = sample(missing)
    estimator = ESTIMATORS[kind]().fit(rows[:2500], late[:2500])
    return CalibratedClassifierCV(FrozenEstimator(estimator), method="sigmoid").fit(rows[2500:], late[2500:])


@cache
def flattened(kind: str, missing: bool = True) -> FlatModel:
    return flatten(fitted(kind, missing))


def thresholds(kind: str) -> list[tuple[int, float]]:
    """Every (feature, threshold) that a model compares with."""
    estimator = fitted(kind).calibrated_classifiers_[0].estimator.estimator
    if kind == "forest":
        pairs = [
            (int(feature), float(threshold))
            for tree in estimator.estimators_
            for feature, threshold in zip(tree.tree_.feature, tree.tree_.threshold, strict=True)
            if feature >= 0
        ]
    else:
        pairs = [
            (int(node["feature_idx"]), float(node["num_threshold"]))
            for (tree,) in estimator._predictors
            for node in tree.nodes
            if not node["is_leaf"]
        ]
    return sorted({pair for pair in pairs if np.isfinite(pair[1])})


def assert_same(kind: str, rows: npt.NDArray[np.float64]) -> None:
    expected = fitted(kind).predict_proba(rows)[:, 1]
    flat = flattened(kind)
    np.testing.assert_allclose(flat.probabilities(rows), expected, rtol=0, atol=TOLERANCE)
    alone = [flat.probability([None if np.isnan(v) else v for v in row]) for row in rows.tolist()]
    np.testing.assert_allclose(alone, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ESTIMATORS)
class TestFlatModel:
    def test_gives_the_models_own_bits_on_its_training_rows(self, kind: str) -> None:
        rows, _ = sample()
        expected = fitted(kind).predict_proba(rows)[:, 1]
        assert np.array_equal(flattened(kind).probabilities(rows), expected)
        assert np.ptp(expected) > 0.05

    def test_agrees_exactly_at_every_threshold_and_a_hair_beside_it(self, kind: str) -> None:
        rows, _ = sample()
        at_thresholds = []
        for number, (feature, threshold) in enumerate(thresholds(kind)):
            rounded = float(np.float32(threshold))
            for value in (
                threshold,
                np.nextafter(threshold, np.inf),
                np.nextafter(threshold, -np.inf),
                float(np.nextafter(np.float32(rounded), np.float32(np.inf))),
                rounded,
            ):
                row = rows[number % len(rows)].copy()
                row[feature] = value
                at_thresholds.append(row)
        assert len(at_thresholds) > 500
        assert_same(kind, np.array(at_thresholds))

    def test_sends_missing_values_where_each_split_sends_them(self, kind: str) -> None:
        rows, _ = sample()
        for hole in range(2**5):
            holed = rows[:20].copy()
            holed[:, [feature for feature in range(5) if hole >> feature & 1]] = np.nan
            assert_same(kind, holed)

    def test_handles_missing_values_that_training_never_saw(self, kind: str) -> None:
        rows, _ = sample(missing=False)
        flat, model = flattened(kind, missing=False), fitted(kind, missing=False)
        np.testing.assert_array_equal(flat.probabilities(rows), model.predict_proba(rows)[:, 1])

    def test_scores_an_empty_batch_as_empty(self, kind: str) -> None:
        assert flattened(kind).probabilities(np.empty((0, 5))).shape == (0,)

    def test_refuses_rows_of_another_width(self, kind: str) -> None:
        with pytest.raises(ValueError, match=r"rows: shape \(3, 4\) is not \(n, 5\)"):
            flattened(kind).probabilities(np.zeros((3, 4)))

    def test_splits_a_large_batch_without_changing_it(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows, _ = sample()
        whole = flattened(kind).probabilities(rows[:1000])
        monkeypatch.setattr("creditrisk.scoring.BATCH_CELLS", 700)
        assert np.array_equal(flattened(kind).probabilities(rows[:1000]), whole)

    def test_scores_a_row_many_times_faster_than_the_model_does(self, kind: str) -> None:
        row = sample()[0][:1]
        flat, model = flattened(kind), fitted(kind)
        values = row[0].tolist()

        def fastest(call: Callable[[], object]) -> float:
            times = []
            for _ in range(20):
                began = time.perf_counter()
                call()
                times.append(time.perf_counter() - began)
            return min(times)

        assert fastest(lambda: flat.probability(values)) < fastest(lambda: model.predict_proba(row)) / 5


class TestFlatPair:
    @pytest.mark.parametrize(
        "kinds",
        [("forest", "boosting"), ("boosting", "forest"), ("forest", "forest"), ("boosting", "boosting")],
    )
    def test_says_what_each_says_by_itself(self, kinds: tuple[str, str]) -> None:
        first, second = flattened(kinds[0]), flattened(kinds[1], missing=False)
        pair = FlatPair.of(first, second)
        for row in sample()[0][:500].tolist():
            assert pair.probabilities(row) == (first.probability(row), second.probability(row))


plain_values = st.one_of(
    st.none(),
    st.integers(-5, 200).map(float),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(-(2.0**127), 2.0**127, allow_nan=False, width=32),
    st.sampled_from([0.0, -0.0, 1e10, float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)]),
)


@pytest.mark.parametrize("kind", ESTIMATORS)
@settings(deadline=None, max_examples=60)  # the first example fits the model
@given(rows=st.lists(st.tuples(*[plain_values] * 5), min_size=1, max_size=30))
def test_any_row_scores_as_the_model_scores_it(kind: str, rows: list[tuple[float | None, ...]]) -> None:
    assert_same(kind, np.array(rows, dtype=np.float64))


SMALL = RandomForestClassifier(2, max_depth=2, random_state=3)


def calibrated(estimator: Any, method: str = "sigmoid", columns: slice = slice(None)) -> object:
    rows, late = sample(missing=False)
    fit = estimator.fit(rows[:, columns], late)
    return CalibratedClassifierCV(FrozenEstimator(fit), method=method).fit(rows[:, columns], late)


class TestFlatten:
    @pytest.mark.parametrize(
        ("make", "complaint"),
        [
            (lambda: SMALL.fit(*sample(False)), "a RandomForestClassifier is not a CalibratedClassifierCV"),
            (lambda: calibrated(LogisticRegression()), "a LogisticRegression is neither a random forest nor"),
            (lambda: calibrated(ExtraTreesClassifier(2)), "an? ExtraTreesClassifier is neither"),
            (lambda: calibrated(SMALL, method="isotonic"), "its calibration is isotonic, not one sigmoid"),
            (lambda: calibrated(SMALL, columns=slice(0, 3)), "3 features, not 5"),
            (lambda: CalibratedClassifierCV(SMALL, cv=2).fit(*sample(False)), "averages 2 calibrated models"),
            (
                lambda: calibrated(HistGradientBoostingClassifier(max_iter=9, categorical_features=[1, 2])),
                "splits on categories",
            ),
            (lambda: "pickled text", "a str is not a CalibratedClassifierCV"),
        ],
    )
    def test_refuses_another_shape_and_names_it(self, make: Callable[[], object], complaint: str) -> None:
        with pytest.raises(VersionUnservable, match=complaint):
            flatten(make())

    def test_refuses_three_classes(self) -> None:
        features, late = sample(missing=False)
        three = late + (features[:, 4] == 1)
        forest = RandomForestClassifier(2, max_depth=2).fit(features, three)
        with pytest.raises(VersionUnservable, match="not 0 and 1"):
            flatten(CalibratedClassifierCV(FrozenEstimator(forest), method="sigmoid").fit(features, three))


class TestVerify:
    def test_accepts_the_models_own_probabilities(self) -> None:
        rows, _ = sample()
        verify(flattened("forest"), rows[:100], fitted("forest").predict_proba(rows[:100])[:, 1], 0.1)

    def test_refuses_a_model_that_differs_by_more_than_rounding(self) -> None:
        rows, _ = sample()
        expected = fitted("forest").predict_proba(rows[:100])[:, 1]
        expected[42] += 1e-9
        with pytest.raises(VersionUnservable, match="reference row 42 scores"):
            verify(flattened("forest"), rows[:100], expected, 0.1)

    def test_refuses_other_decisions_even_within_rounding(self) -> None:
        rows, _ = sample()
        expected = fitted("forest").predict_proba(rows[:100])[:, 1]
        threshold = float(expected[7])
        expected[7] = np.nextafter(threshold, 0)
        with pytest.raises(VersionUnservable, match=r"the decision on \d+ of 100 reference rows differs"):
            verify(flattened("forest"), rows[:100], expected, threshold)

    def test_refuses_a_score_that_is_not_a_number(self) -> None:
        rows, _ = sample()
        expected = fitted("forest").predict_proba(rows[:10])[:, 1]
        broken = replace(flattened("forest"), slope=float("nan"))
        with pytest.raises(VersionUnservable, match="reference row 0 scores"):
            verify(broken, rows[:10], expected, 0.1)

    def test_refuses_to_check_against_nothing(self) -> None:
        with pytest.raises(VersionUnservable, match="no reference rows"):
            verify(flattened("forest"), np.empty((0, 5)), np.empty(0), 0.1)
