"""What an evaluation says: of the whole, of groups, of features, against others."""

from dataclasses import replace

import numpy as np
import pytest

from creditrisk.contract import FEATURE_NAMES
from training.dataset import Loans
from training.evaluation import (
    Evaluation,
    Rival,
    calibration_table,
    confusion,
    evaluate,
    groups_of,
    permutation_importance,
    prediction_hash,
    score_range,
)

AGE, CAR = FEATURE_NAMES.index("age"), FEATURE_NAMES.index("flag_own_car")


def good_score(loans: Loans) -> np.ndarray:
    """What late loans really depend on in made loans."""
    ages, cars = loans.features[:, AGE], loans.features[:, CAR]
    return np.asarray(1 / (1 + np.exp(3.6 - 1.6 * (ages < 35) - 0.9 * (cars == 0))))


@pytest.fixture(scope="session")
def evaluation(loans: Loans) -> Evaluation:
    score = good_score(loans)
    return evaluate(
        loans,
        score,
        0.12,
        baseline=Rival("coin", np.random.default_rng(0).random(len(loans))),
        champion=Rival("2020-01-01-aaaaaaaaaa", score),
        replicates=100,
    )


def test_a_rival_with_the_same_score_differs_by_nothing_in_any_replicate(evaluation: Evaluation) -> None:
    assert evaluation.champion
    assert evaluation.champion.metrics == evaluation.metrics
    difference = evaluation.champion.roc_auc_difference
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_a_difference_is_taken_in_pairs(evaluation: Evaluation) -> None:
    assert evaluation.baseline
    mine, theirs = evaluation.metrics["roc_auc"], evaluation.baseline.metrics["roc_auc"]
    difference = evaluation.baseline.roc_auc_difference
    assert difference.value == pytest.approx(mine.value - theirs.value)
    assert 0 < difference.low < difference.value < difference.high


def test_an_evaluation_is_read_back_as_it_was_written(evaluation: Evaluation) -> None:
    assert Evaluation.model_validate_json(evaluation.model_dump_json(indent=2)) == evaluation


def test_each_kind_of_group_holds_every_loan_once(evaluation: Evaluation, loans: Loans) -> None:
    kinds = {group.group for group in evaluation.groups}
    assert kinds == {"gender", "age", "own car"}
    for kind in kinds:
        members = [group for group in evaluation.groups if group.group == kind]
        assert sum(group.rows for group in members) == len(loans)
        assert sum(group.positives for group in members) == loans.late.sum()
    assert {group.value for group in evaluation.groups if group.group == "gender"} == {"F", "M", "unknown"}


def test_a_group_has_the_figures_of_its_loans_alone(evaluation: Evaluation, loans: Loans) -> None:
    women = loans.where(loans.genders == "F")
    alone = evaluate(women, good_score(women), 0.12, baseline=Rival("same", good_score(women)), replicates=10)
    [group] = [group for group in evaluation.groups if group.value == "F"]
    assert group.customers == len(set(women.customers.tolist()))
    assert group.confusion == alone.confusion
    for name in ("roc_auc", "brier", "log_loss", "ks"):
        assert group.metrics[name].value == pytest.approx(alone.metrics[name].value)


def test_age_bands_take_whole_years() -> None:
    count = 4
    ages = np.array([29.0, 30.0, 59.0, 100.0])
    features = np.column_stack([ages, *[np.zeros(count)] * 4])
    zeros = np.zeros(count, dtype=np.int64)
    loans = Loans(
        zeros, zeros, zeros.astype("datetime64[D]"), features, zeros.astype(np.int8), np.full(count, "F")
    )
    bands = {value: mask.tolist() for group, value, mask in groups_of(loans) if group == "age"}
    assert bands == {
        "18 to 29": [True, False, False, False],
        "30 to 39": [False, True, False, False],
        "50 to 59": [False, False, True, False],
        "60 to 100": [False, False, False, True],
    }


def test_a_group_of_one_class_has_no_figures(loans: Loans) -> None:
    spared = replace(loans, late=np.where(loans.genders == "M", 0, loans.late).astype(np.int8))
    found = evaluate(
        spared, good_score(loans), 0.12, baseline=Rival("same", good_score(loans)), replicates=10
    )
    assert {group.value: bool(group.metrics) for group in found.groups if group.group == "gender"} == {
        "F": True,
        "M": False,
        "unknown": True,
    }


def test_scores_that_are_not_numbers_are_counted_and_judged_no_further(loans: Loans) -> None:
    score = good_score(loans)
    score[:3] = np.nan
    found = evaluate(loans, score, 0.12, baseline=Rival("same", good_score(loans)))
    assert found.scores.not_a_number == 3
    assert found.metrics == {}
    assert found.groups == []


def test_the_confusion_counts_a_loan_at_the_threshold_as_declined() -> None:
    found = confusion(np.array([0.1, 0.2, 0.3, 0.3]), np.array([0, 1, 0, 1]), 0.3)
    assert found.model_dump() == {
        "declined_late": 1,
        "declined_in_time": 1,
        "accepted_late": 1,
        "accepted_in_time": 1,
    }
    assert found.declined_share == 0.5


def test_the_range_of_scores() -> None:
    found = score_range(np.array([0.2, 0.1, np.nan, 0.2]))
    assert found.model_dump() == {"rows": 4, "not_a_number": 1, "distinct": 2, "lowest": 0.1, "highest": 0.2}
    assert score_range(np.array([np.nan])).lowest is None


def test_the_calibration_table_has_tenths_of_the_loans() -> None:
    probabilities = np.arange(100)[::-1] / 100
    table = calibration_table(probabilities, (probabilities >= 0.9).astype(int))
    assert [entry.rows for entry in table] == [10] * 10
    assert [entry.late_share for entry in table] == [0.0] * 9 + [1.0]
    assert table[0].mean_probability == pytest.approx(0.045)


def test_shuffling_a_feature_that_is_not_used_costs_nothing(loans: Loans) -> None:
    class AgeOnly:
        def predict_proba(self, features: np.ndarray) -> np.ndarray:
            return np.column_stack([features[:, AGE], 100 - features[:, AGE]])

    importance = permutation_importance(AgeOnly(), loans)
    assert importance[0].feature == "age"
    assert importance[0].mean > 0.1
    assert {entry.mean for entry in importance[1:]} == {0.0}
    assert len(importance) == len(FEATURE_NAMES)


def test_the_prediction_hash_is_of_the_bits_and_their_order() -> None:
    probabilities = np.array([0.1, 0.25])
    assert prediction_hash(probabilities) == (
        "1f27034dbac076b6a67d187db16938f2ba453c8ce2d13b0273e82077b4b8bd6d"
    )
    assert prediction_hash(probabilities[::-1]) != prediction_hash(probabilities)
    assert prediction_hash(np.nextafter(probabilities, 1)) != prediction_hash(probabilities)
