"""Effect sizes against scipy's and their own definitions, and bounds that hold as often as they say."""

import numpy as np
import pytest
from scipy import stats

from monitoring.effects import cramers_v, kolmogorov_smirnov, share_at_least, share_shift, stability_index
from monitoring.histograms import Expected, FloatArray, Grid, Histogram, feature_grid

AGE, CAR = feature_grid("age"), feature_grid("flag_own_car")


def ages(seed: int, rows: int, mean: float = 45.0) -> FloatArray:
    drawn = np.random.default_rng(seed).normal(mean, 11, rows)
    return np.asarray(drawn.round().clip(20, 70), dtype=float)


def expected(values: FloatArray, grid: Grid = AGE) -> Expected:
    mixed = Expected.mixed([(Histogram.of(grid, values), 1)])
    assert mixed is not None
    return mixed


def test_the_statistic_of_whole_numbers_is_exact_and_its_p_value_kolmogorovs() -> None:
    reference, found = ages(1, 4000), ages(2, 900, 47.0)
    effect = kolmogorov_smirnov(Histogram.of(AGE, found), expected(reference), 0.001)
    theirs = stats.ks_2samp(found, reference, method="asymp")
    assert effect.value == pytest.approx(theirs.statistic, abs=1e-12)
    size = 1 / (1 / 4000 + 1 / 900)
    assert effect.p_value == pytest.approx(stats.kstwobign.sf(theirs.statistic * size**0.5), rel=1e-9)


def test_the_statistic_of_amounts_is_short_by_a_bucket_at_most() -> None:
    rng = np.random.default_rng(3)
    reference, found = rng.gamma(5, 25, 8000) + 100, rng.gamma(5, 27, 3000) + 100
    grid = feature_grid("avg_amount_loans_previous")
    effect = kolmogorov_smirnov(Histogram.of(grid, found), expected(reference, grid), 0.001)
    exact = stats.ks_2samp(found, reference).statistic
    assert exact - 0.01 <= effect.value <= exact


def test_missing_values_are_left_out_of_the_statistic_and_a_bin_of_the_index() -> None:
    values = ages(1, 2000)
    sparse = np.where(np.random.default_rng(5).random(2000) < 0.3, np.nan, values)
    found = Histogram.of(AGE, sparse)
    assert kolmogorov_smirnov(found, expected(values), 0.001).value < 0.03
    assert stability_index(found, expected(values), 0.001).low > 0.5
    nothing = Histogram.of(AGE, np.full(5, np.nan))
    assert kolmogorov_smirnov(nothing, expected(values), 0.001).value == 0.0


def test_the_index_is_that_of_ten_equal_bins() -> None:
    grid = feature_grid("nb_previous_loans")
    reference = np.repeat(np.arange(10.0), 100)
    found = np.repeat(np.arange(10.0), [200, 0, 100, 100, 100, 100, 100, 100, 100, 100])
    effect = stability_index(Histogram.of(grid, found), expected(reference, grid), 0.001)
    assert effect.value == pytest.approx(0.1 * np.log(2) + 0.0999 * np.log(1000), rel=1e-4)


@pytest.mark.parametrize("rows", [300, 3000])
def test_chance_alone_carries_a_bound_above_the_truth_hardly_more_often_than_was_asked(rows: int) -> None:
    reference, error = ages(0, 100_000), 0.05
    shifted = ages(1, 100_000, 47.0)
    truth = {
        test: test(Histogram.of(AGE, shifted), expected(reference), error).value
        for test in (stability_index, kolmogorov_smirnov)
    }
    above = dict.fromkeys(truth, 0)
    for seed in range(400):
        found = Histogram.of(AGE, ages(100 + seed, rows, 47.0))
        for test, value in truth.items():
            above[test] += test(found, expected(reference), error).low > value
    assert max(above.values()) <= 2 * 400 * error, above  # the index is chi-square only in the limit


def test_cramers_v_does_not_shrink_as_the_reference_grows() -> None:
    found = Histogram.of(CAR, np.repeat([0.0, 1.0], [600, 400]))
    effects = [
        cramers_v(found, expected(np.repeat([0.0, 1.0], [rows // 2, rows // 2]), CAR), 0.001)
        for rows in (1000, 100_000)
    ]
    assert effects[0].value == effects[1].value == pytest.approx(0.1 / (2 * (0.45 * 0.55) ** 0.5))
    assert 0 < effects[0].low < effects[1].low < effects[1].value
    table = [[600, 400], [500, 500]]
    chi_square = stats.chi2_contingency(table, correction=False)
    assert effects[0].p_value == pytest.approx(chi_square.pvalue, rel=1e-9)
    assert effects[0].value == pytest.approx(stats.contingency.association(np.array(table)), rel=1e-9)


def test_a_flag_that_never_changes_has_no_effect() -> None:
    found = Histogram.of(CAR, np.zeros(500))
    assert cramers_v(found, expected(np.zeros(900), CAR), 0.001).value == 0.0
    assert cramers_v(found, expected(np.ones(900), CAR), 0.001).value == 1.0


def test_bounds_of_shares() -> None:
    shift = share_shift(0.3, 1000, 0.2, 4000, 0.001)
    error = (0.3 * 0.7 / 1000 + 0.2 * 0.8 / 4000) ** 0.5
    assert (shift.value, shift.low) == (pytest.approx(0.1), pytest.approx(0.1 - 3.2905 * error, rel=1e-4))
    assert share_shift(0.2, 300, 0.21, 300, 0.001).low == 0.0
    wilson = stats.binomtest(60, 200).proportion_ci(0.998, method="wilson").low
    assert share_at_least(0.3, 200, 0.001) == pytest.approx(wilson)
    assert share_at_least(0.0, 200, 0.001) == 0.0
