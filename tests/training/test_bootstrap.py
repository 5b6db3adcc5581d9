"""The figures are scikit-learn's own, weighted or not; the intervals are of customers."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from training.bootstrap import METRICS, CustomerBootstrap, ScoredLoans, estimate, estimates


def scored(count: int = 500, seed: int = 0, decimals: int = 2) -> tuple[Any, Any, Any]:
    """Probabilities with ties, labels that depend on them, and weights with zeros."""
    chance = np.random.default_rng(seed)
    probabilities = chance.beta(2, 8, count).round(decimals).clip(0.01, 0.99)
    late = (chance.random(count) < probabilities).astype(np.int8)
    return probabilities, late, chance.integers(0, 4, count).astype(float)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("is_weighted", [False, True])
def test_figures_are_those_of_scikit_learn(seed: int, is_weighted: bool) -> None:
    probabilities, late, weights = scored(seed=seed)
    weight = weights if is_weighted else np.ones(len(late))
    loans = ScoredLoans(probabilities, late)
    figures = loans.metrics(weight[loans.rows] if is_weighted else None)
    reference = {
        "roc_auc": roc_auc_score(late, probabilities, sample_weight=weight),
        "average_precision": average_precision_score(late, probabilities, sample_weight=weight),
        "brier": brier_score_loss(late, probabilities, sample_weight=weight),
        "log_loss": log_loss(late, probabilities, sample_weight=weight),
    }
    assert {name: figures[name] for name in reference} == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_ks_is_the_two_sample_statistic(seed: int) -> None:
    probabilities, late, _ = scored(seed=seed)
    expected = ks_2samp(probabilities[late == 1], probabilities[late == 0]).statistic
    assert ScoredLoans(probabilities, late).metrics()["ks"] == pytest.approx(expected, abs=1e-12)


def test_calibration_error_by_hand() -> None:
    probabilities = np.repeat(np.arange(1, 11) / 100, 100)
    late = np.zeros(1000, dtype=int)
    late[np.arange(10) * 100] = 1  # 1 % late in every tenth: off by 0, 1, … 9 points
    assert ScoredLoans(probabilities, late).metrics()["calibration_error"] == pytest.approx(0.045)


def test_weights_count_loans_as_often_as_they_say() -> None:
    probabilities, late, weights = scored(count=60)
    loans = ScoredLoans(probabilities, late)
    copies = np.repeat(np.arange(60), weights.astype(int))
    whole = ScoredLoans(probabilities[copies], late[copies]).metrics()
    weighed = loans.metrics(weights[loans.rows])
    for name in set(METRICS) - {"calibration_error"}:  # whose bins are of loans, not of weight
        assert weighed[name] == pytest.approx(whole[name])


def test_a_constant_score_ranks_nothing() -> None:
    _, late, _ = scored()
    figures = ScoredLoans(np.full(len(late), 0.2), late).metrics()
    assert figures["roc_auc"] == pytest.approx(0.5)
    assert figures["ks"] == pytest.approx(0.0)
    assert figures["average_precision"] == pytest.approx(late.mean())


def test_one_class_alone_has_no_figures() -> None:
    probabilities, late, _ = scored(count=20)
    assert all(
        np.isnan(value) for value in ScoredLoans(probabilities, np.zeros_like(late)).metrics().values()
    )


def test_a_mask_looks_at_some_loans_only() -> None:
    probabilities, late, _ = scored()
    among = np.arange(len(late)) % 2 == 0
    masked = ScoredLoans(probabilities, late, among=among)
    assert masked.metrics() == ScoredLoans(probabilities[among], late[among]).metrics()
    assert set(masked.rows.tolist()) == set(np.flatnonzero(among).tolist())


def test_intervals_are_of_customers_not_of_loans() -> None:
    probabilities, late, _ = scored(count=400, decimals=6)
    repeated = np.repeat(np.arange(400), 10)  # ten loans each, all alike: no more is known than from one
    alike = ScoredLoans(probabilities[repeated], late[repeated])
    by_customer = CustomerBootstrap(repeated).replicates(alike)["roc_auc"]
    by_loan = CustomerBootstrap(np.arange(4000)).replicates(alike)["roc_auc"]
    once = CustomerBootstrap(np.arange(400)).replicates(ScoredLoans(probabilities, late))["roc_auc"]
    np.testing.assert_allclose(by_customer, once)
    assert by_customer.std() > 2.5 * by_loan.std()


def test_the_same_draws_for_every_score_and_every_time() -> None:
    probabilities, late, _ = scored()
    customers = np.arange(len(late)) // 5
    loans = ScoredLoans(probabilities, late)
    bootstrap = CustomerBootstrap(customers, replicates=50)
    shifted = bootstrap.replicates(ScoredLoans(probabilities / 2, late))["roc_auc"]
    np.testing.assert_array_equal(bootstrap.replicates(loans)["roc_auc"], shifted)
    np.testing.assert_array_equal(CustomerBootstrap(customers, 50).replicates(loans)["ks"], bootstrap.replicates(loans)["ks"])  # fmt: skip


def test_the_interval_holds_the_true_value_about_as_often_as_it_says() -> None:
    truth = ScoredLoans(*scored(count=200_000, seed=99, decimals=6)[:2]).metrics()["roc_auc"]
    hits = 0
    for seed in range(60):
        probabilities, late, _ = scored(count=400, seed=seed, decimals=6)
        loans = ScoredLoans(probabilities, late)
        drawn = CustomerBootstrap(np.arange(400), replicates=200).replicates(loans)
        interval = estimates(loans.metrics(), drawn)["roc_auc"]
        hits += interval.low <= truth <= interval.high
    assert 52 <= hits <= 60


def test_an_estimate_leaves_out_replicates_without_a_figure() -> None:
    drawn = np.array([np.nan, 1.0, 2.0, 3.0])
    found = estimate(2.0, drawn)
    assert (found.value, found.low, found.high) == (2.0, pytest.approx(1.05), pytest.approx(2.95))
    alone = estimate(2.0, np.array([np.nan]))
    assert (alone.low, alone.high) == (2.0, 2.0)
