"""Fitting looks at three sides only; the threshold declines the share that was asked for."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.made_loans import SMALL_FOREST
from training.dataset import Loans
from training.fitting import fit_baseline, fit_deciding_model, late_probabilities, threshold_for
from training.specs import parse_spec
from training.split import Side, split_loans

SPEC = parse_spec(SMALL_FOREST)


@pytest.fixture(scope="session")
def parts(loans: Loans) -> dict[Side, Loans]:
    return split_loans(loans, 0.25)[0]


@pytest.mark.parametrize(
    ("probabilities", "share", "threshold"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], 0.2, 0.9),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], 0.29, 0.9),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], 0.3, 0.8),
        ([0.3, 0.1, 0.3, 0.2], 0.5, 0.3),
        ([0.3, 0.1, 0.3, 0.2], 0.75, 0.2),
        ([0.1, 0.2], 1.0, 0.1),
    ],
)
def test_the_threshold(probabilities: list[float], share: float, threshold: float) -> None:
    assert threshold_for(np.array(probabilities), share) == threshold


@pytest.mark.parametrize(
    ("probabilities", "share"), [([0.1, 0.2], 0.0), ([0.3, 0.3, 0.3], 0.5), ([1.0], 0.9)]
)
def test_a_share_that_no_probability_meets_declines_nobody(probabilities: list[float], share: float) -> None:
    threshold = threshold_for(np.array(probabilities), share)
    assert (np.array(probabilities) >= threshold).sum() == 0


@given(st.lists(st.sampled_from([k / 16 for k in range(17)]), min_size=1, max_size=40), st.floats(0, 1))
def test_the_threshold_is_the_lowest_that_declines_no_more_than_the_share(
    values: list[float], share: float
) -> None:
    probabilities = np.array(values)
    threshold = threshold_for(probabilities, share)
    assert (probabilities >= threshold).sum() <= share * len(values) + 1e-6
    lower = probabilities[probabilities < threshold]
    if len(lower):
        assert (probabilities >= lower.max()).sum() > share * len(values) - 1e-6


def test_the_test_side_is_not_looked_at(parts: dict[Side, Loans]) -> None:
    whole = fit_deciding_model(SPEC, parts, 0.1)
    without = fit_deciding_model(SPEC, {side: parts[side] for side in Side if side is not Side.TEST}, 0.1)
    np.testing.assert_array_equal(
        whole.probabilities(parts[Side.TEST]), without.probabilities(parts[Side.TEST])
    )
    assert whole.threshold == without.threshold


@pytest.mark.parametrize("side", [Side.CALIBRATE, Side.VALIDATE])
def test_each_side_has_its_own_use(parts: dict[Side, Loans], side: Side) -> None:
    whole = fit_deciding_model(SPEC, parts, 0.1)
    half = parts[side].where(parts[side].loan_ids % 2 == 0)
    other = fit_deciding_model(SPEC, {**parts, side: half}, 0.1)
    test = parts[Side.TEST]
    is_same = bool((whole.probabilities(test) == other.probabilities(test)).all())
    assert is_same is (side is Side.VALIDATE)
    assert other.threshold != whole.threshold


def test_calibration_sets_the_level_that_weights_moved(parts: dict[Side, Loans]) -> None:
    deciding = fit_deciding_model(SPEC, parts, 0.1)
    calibration = parts[Side.CALIBRATE]
    raw: Any = deciding.model.calibrated_classifiers_[0].estimator
    late_share = float(calibration.late.mean())
    assert raw.predict_proba(calibration.features)[:, 1].mean() > 3 * late_share
    assert deciding.probabilities(calibration).mean() == pytest.approx(late_share, rel=0.05)


def test_the_declined_share_is_recorded(parts: dict[Side, Loans]) -> None:
    deciding = fit_deciding_model(SPEC, parts, 0.2)
    validation = deciding.probabilities(parts[Side.VALIDATE])
    assert deciding.declined_share == float((validation >= deciding.threshold).mean())
    assert 0.1 < deciding.declined_share <= 0.2


def test_the_baseline_takes_missing_values_even_where_all_are(parts: dict[Side, Loans]) -> None:
    train = parts[Side.TRAIN]
    features = train.features.copy()
    features[:, 1] = np.nan
    baseline = fit_baseline({**parts, Side.TRAIN: replace(train, features=features)})
    probabilities = late_probabilities(baseline, parts[Side.TEST])
    assert np.isfinite(probabilities).all()
    assert len(np.unique(probabilities)) > 100
