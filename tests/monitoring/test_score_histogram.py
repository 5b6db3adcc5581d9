"""Figures from bins against those of the libraries and of training, which have every score."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from monitoring.expected import expected_late_share, expected_roc_auc, roc_auc_error
from monitoring.score_histogram import (
    BINS_PER_LOG_ODDS,
    GROUPS,
    T_QUANTILE,
    BinCount,
    Outcomes,
    ScoreHistogram,
    all_bins,
    brier,
    brier_of_no_skill,
    calibration_error,
    estimated,
    estimated_difference,
    realised_roc_auc,
    roc_auc,
    tie_share,
)
from training.bootstrap import CustomerBootstrap, ScoredLoans

Array = Any


def binned(scores: Array, late: Array, customers: Array) -> Outcomes:
    """What Postgres makes of rows, a row each."""
    bins = np.floor(np.log(scores / (1 - scores)) * BINS_PER_LOG_ODDS).astype(int)

    def of(mask: Array) -> list[BinCount]:
        rows = zip(customers[mask] % GROUPS, bins[mask], scores[mask], strict=True)
        return [BinCount(int(group), int(number), 1, p, p * p) for group, number, p in rows]

    counted = of(late == 1), of(late == 0)
    return Outcomes(*(ScoreHistogram.of(rows, all_bins(*counted)) for rows in counted))


def drawn(count: int, mean: float, spread: float, seed: int = 1) -> tuple[Array, Array, Array]:
    """Calibrated scores, outcomes by them, and customers with two loans each."""
    chance = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-(mean + spread * chance.normal(size=count))))
    return scores, (chance.random(count) < scores).astype(int), np.arange(count) // 2


@pytest.mark.parametrize(
    ("count", "mean", "spread"), [(4000, -3.8, 0.5), (30_000, -4.2, 0.15), (20_000, -1.0, 2.0)]
)
def test_figures_from_bins_are_those_of_the_scores(count: int, mean: float, spread: float) -> None:
    scores, late, customers = drawn(count, mean, spread)
    outcomes = binned(scores, late, customers)
    whole = outcomes.whole()
    assert realised_roc_auc(whole)[0] == pytest.approx(roc_auc_score(late, scores), abs=1e-3)
    assert brier(whole)[0] == pytest.approx(brier_score_loss(late, scores), abs=1e-12)
    theirs = ScoredLoans(scores, late).metrics()
    assert calibration_error(whole)[0] == pytest.approx(theirs["calibration_error"], abs=1e-3)
    assert brier_of_no_skill(whole)[0] == pytest.approx(late.mean() * (1 - late.mean()))
    assert 0 < tie_share(outcomes) < 0.05


def test_equal_scores_are_ties_and_one_class_alone_has_no_roc_auc() -> None:
    assert roc_auc(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]]))[0] == 0.5
    assert roc_auc(np.array([[0.0, 2.0]]), np.array([[3.0, 0.0]]))[0] == 1.0
    scores, _, customers = drawn(100, -3, 0.5)
    alone = binned(scores, np.zeros(100, dtype=int), customers)
    assert estimated(realised_roc_auc, alone) is None
    assert roc_auc_error(alone) is None
    assert estimated(brier, binned(scores[:0], customers[:0], customers[:0])) is None


def test_intervals_are_as_wide_as_those_of_the_gate_s_bootstrap() -> None:
    scores, late, customers = drawn(6000, -2.5, 0.6)
    outcomes = binned(scores, late, customers)
    drawn_again = CustomerBootstrap(customers, 200).replicates(ScoredLoans(scores, late))
    for name, figure in (("roc_auc", realised_roc_auc), ("brier", brier)):
        found = estimated(figure, outcomes)
        assert found
        assert found.low is not None
        assert found.high is not None
        half = 1.96 * drawn_again[name].std()
        assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.35)
        assert found.low < found.value < found.high
    assert stats.t.ppf(0.975, GROUPS - 1) == pytest.approx(T_QUANTILE, abs=1e-4)


def test_a_paired_difference_is_known_better_than_either_figure() -> None:
    scores, late, customers = drawn(6000, -2.5, 0.6)
    nearly = 1 / (
        1 + np.exp(-(np.log(scores / (1 - scores)) + 0.1 * np.random.default_rng(2).normal(size=6000)))
    )
    mine, theirs = binned(scores, late, customers), binned(nearly, late, customers)
    found = estimated_difference(realised_roc_auc, theirs, mine)
    alone = estimated(realised_roc_auc, mine)
    assert found
    assert alone
    assert found.low is not None
    assert found.high is not None
    assert alone.high is not None
    assert found.value == pytest.approx(roc_auc_score(late, nearly) - roc_auc_score(late, scores), abs=1e-3)
    assert found.high - found.value < 0.4 * (alone.high - alone.value)


def test_a_few_customers_give_a_figure_without_an_interval() -> None:
    scores, late, _ = drawn(4000, -2.5, 0.6)
    found = estimated(realised_roc_auc, binned(scores, late, np.arange(4000) % 10))
    assert found
    assert (found.low, found.high) == (None, None)
    assert found.shown == f"{found.value:.4f}"


def test_calibrated_scores_let_expect_what_comes_of_them() -> None:
    scores, late, customers = drawn(60_000, -3.0, 0.6)
    outcomes = binned(scores, late, customers)
    expected = expected_roc_auc(outcomes.together())
    assert expected == pytest.approx(roc_auc_score(late, scores), abs=0.015)
    assert expected_late_share(outcomes.together()) == pytest.approx(late.mean(), abs=0.002)
    error = roc_auc_error(outcomes)
    assert error
    assert error.low is not None
    assert error.high is not None
    assert error.low < 0 < error.high


def test_scores_that_say_too_much_let_expect_too_much_and_the_error_says_so() -> None:
    scores, late, customers = drawn(60_000, -3.0, 0.4)
    sure = 1 / (1 + np.exp(-(-3.0 + 3 * (np.log(scores / (1 - scores)) + 3.0))))
    error = roc_auc_error(binned(sure, late, customers))
    assert error
    assert error.low is not None
    assert error.low > 0.1
    unrelated = roc_auc_error(binned(scores, np.random.default_rng(3).permutation(late), customers))
    assert unrelated
    assert unrelated.low is not None
    assert unrelated.low > 0.05


def test_nothing_is_expected_of_nobody() -> None:
    nobody = ScoreHistogram.of([], all_bins([]))
    assert expected_roc_auc(nobody) is None
    assert expected_late_share(nobody) is None
