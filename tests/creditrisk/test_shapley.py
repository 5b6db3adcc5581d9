"""Exact Shapley values: by the definition, by the shap library, and whatever rows have in common."""

import warnings
from itertools import permutations

import numba
import numpy as np
import numpy.typing as npt
import pytest

from creditrisk.shapley import Background, Probabilities
from tests.creditrisk.small_models import flat_model, rows

Rows = npt.NDArray[np.float64]
NOTHING = np.empty((0, 5))


def background_of(score: Probabilities, chosen: Rows) -> Background:
    return Background(chosen, score(chosen))


def values_of(background: Background, row: Rows, score: Probabilities) -> Rows:
    values, _ = background.shapley_values(row, float(score(row[np.newaxis])[0]), score, NOTHING)
    return values


def by_definition(background: Rows, row: Rows, score: Probabilities) -> Rows:
    """The mean over all orders in which features can join, without a clever line."""
    values = np.zeros(5)
    orders = list(permutations(range(5)))
    for order in orders:
        mixed = background.copy()
        before = score(mixed).mean()
        for feature in order:
            mixed[:, feature] = row[feature]
            after = score(mixed).mean()
            values[feature] += after - before
            before = after
    return values / len(orders)


def test_each_part_of_a_sum_is_its_own_features() -> None:
    weights = np.array([0.5, -2.0, 3.0, 0.25, 1.0])
    chosen = np.arange(40.0).reshape(8, 5)
    row = np.array([7.0, 1.0, 90.0, -4.0, 0.0])
    values = values_of(background_of(lambda each: each @ weights, chosen), row, lambda each: each @ weights)
    np.testing.assert_allclose(values, weights * (row - chosen.mean(axis=0)), rtol=0, atol=1e-12)


def test_a_product_is_shared_between_its_two_features() -> None:
    def product(each: Rows) -> Rows:
        return np.asarray(each[:, 0] * each[:, 4])

    background = background_of(product, np.zeros((1, 5)))
    values = values_of(background, np.array([3.0, 9.0, 9.0, 9.0, 2.0]), product)
    np.testing.assert_allclose(values, [3.0, 0.0, 0.0, 0.0, 3.0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_they_are_those_of_the_definition_whatever_rows_have_in_common(kind: str) -> None:
    score = flat_model(kind).probabilities
    chosen = rows()[:32]
    background = background_of(score, chosen)
    almost = chosen[3].copy()
    almost[0] += 1
    for row in (rows()[700], chosen[3], almost, np.array([30.0, np.nan, 0.0, np.nan, 1.0])):
        expected = by_definition(chosen, row, score)
        np.testing.assert_allclose(values_of(background, row, score), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_they_are_those_of_the_shap_library(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)  # compiling what shap compiles takes seconds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library itself, at its import
        import shap

        score = flat_model(kind).probabilities
        chosen, explained = rows()[:32], rows()[1000:1020]
        explain = shap.explainers.Exact(score, shap.maskers.Independent(chosen, max_samples=len(chosen)))
        expected = explain(explained, silent=True)
    background = background_of(score, chosen)
    found = np.array([values_of(background, row, score) for row in explained])
    np.testing.assert_allclose(found, expected.values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(background.mean, expected.base_values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_they_add_up_to_the_score_less_the_mean_score_of_the_background(kind: str) -> None:
    score = flat_model(kind).probabilities
    background = background_of(score, rows()[:32])
    for row in rows()[:200]:
        total = values_of(background, row, score).sum()
        assert abs(total - (score(row[np.newaxis])[0] - background.mean)) < 1e-12


def test_no_mixed_row_is_scored_twice_and_other_rows_are_scored_with_them() -> None:
    score, scored = flat_model("forest").probabilities, []

    def counted(each: Rows) -> Rows:
        scored.append(len(each))
        return score(each)

    chosen, also, row = rows()[:32], rows()[500:503], rows()[900]
    background = background_of(score, chosen)
    _, probabilities = background.shapley_values(row, float(score(row[np.newaxis])[0]), counted, also)
    np.testing.assert_array_equal(probabilities, score(also))

    new = 0
    for other in np.nan_to_num(chosen, nan=-1):
        own = np.nan_to_num(row, nan=-1)
        mixed = {tuple(np.where(each, own, other).tolist()) for each in np.ndindex(2, 2, 2, 2, 2)}
        new += len(mixed - {tuple(own.tolist()), tuple(other.tolist())})
    assert scored == [new + len(also)]
    assert new < 0.75 * 32 * 32
