"""The gate against planted models: each bad one is refused for the right reason, an honest one is not."""

from typing import Any

import numpy as np
import pytest

from creditrisk.contract import FEATURE_NAMES
from creditrisk.registry import Estimate, GateDecision, ModelGateReport
from creditrisk.settings import ModelGateLimits
from creditrisk.snapshots import Verdict
from tests.training.made_loans import make_loans
from training.dataset import FloatArray, Loans
from training.evaluation import (
    Comparison,
    Confusion,
    Evaluation,
    GroupEvaluation,
    Rival,
    ScoreRange,
    evaluate,
)
from training.gate import judge_model

LIMITS = ModelGateLimits()


@pytest.fixture(scope="module")
def many() -> Loans:
    return make_loans(3000, seed=2)


def honest(loans: Loans) -> FloatArray:
    ages, cars = loans.features[:, 0], loans.features[:, FEATURE_NAMES.index("flag_own_car")]
    return np.asarray(1 / (1 + np.exp(3.6 - 1.6 * (ages < 35) - 0.9 * (cars == 0))))


def noise(loans: Loans) -> FloatArray:
    return np.random.default_rng(5).random(len(loans)) * 0.2


def judged(loans: Loans, score: FloatArray, *, champion: FloatArray | None = None) -> ModelGateReport:
    evaluation = evaluate(
        loans,
        score,
        0.12,
        baseline=Rival("logistic baseline", noise(loans)),
        champion=None if champion is None else Rival("2020-01-01-aaaaaaaaaa", champion),
        replicates=60,
    )
    return judge_model(evaluation, LIMITS)


def failed(report: ModelGateReport) -> set[str]:
    return {check.name for check in report.checks if check.verdict is Verdict.FAIL}


def test_an_honest_model_is_accepted_without_reasons(many: Loans) -> None:
    report = judged(many, honest(many), champion=honest(many))
    assert report.verdict is GateDecision.ACCEPTED
    assert report.reasons == []
    assert {check.verdict for check in report.checks} <= {Verdict.PASS, Verdict.NOT_JUDGED}


def test_a_leaky_model_is_refused_as_too_good(many: Loans) -> None:
    leaky = np.clip(
        0.05 + 0.5 * many.late + np.random.default_rng(3).normal(0, 0.05, len(many)), 0.001, 0.999
    )
    report = judged(many, leaky)
    assert "roc_auc_leak" in failed(report)
    assert any("too good to be true: look for a leaked label" in reason for reason in report.reasons)


def test_a_constant_model_is_refused(many: Loans) -> None:
    report = judged(many, np.full(len(many), 0.07))
    assert {"scores_differ", "roc_auc_floor"} <= failed(report)
    assert "1 distinct scores: a constant tells nobody apart" in report.reasons


def test_an_inverted_model_is_refused_for_its_order_not_its_level(many: Loans) -> None:
    score = honest(many)
    report = judged(many, score.max() + score.min() - score, champion=score)
    assert {"roc_auc_floor", "better_than_baseline", "not_worse_than_champion"} <= failed(report)
    assert any(name.startswith("roc_auc_floor:") for name in failed(report))
    assert "roc_auc_leak" not in failed(report)


def test_a_model_that_is_worse_than_the_champion_is_refused_for_that_alone(many: Loans) -> None:
    worse = honest(many) * np.random.default_rng(4).uniform(0.05, 1.95, len(many))
    report = judged(many, worse, champion=honest(many))
    assert failed(report) == {"not_worse_than_champion"}
    assert report.reasons[0].startswith("ROC AUC less that of champion 2020-01-01-aaaaaaaaaa -0.")
    assert report.reasons[0].endswith("is below -0.02")


def test_a_model_with_scores_that_are_not_numbers_is_refused(many: Loans) -> None:
    score = honest(many)
    score[7] = np.nan
    report = judged(many, score)
    assert report.reasons == [f"1 of {len(many)} scores are not a number, none may be"]
    assert report.verdict is GateDecision.REFUSED


def test_a_model_of_the_wrong_level_is_refused(many: Loans) -> None:
    assert failed(judged(many, honest(many) + 0.3)) == {"calibration_error"}


def test_a_model_that_fails_one_group_is_refused(many: Loans) -> None:
    score = honest(many)
    is_young = many.features[:, 0] < 30
    score[is_young] = 0.25 - 0.2 * score[is_young]
    report = judged(many, score)
    assert failed(report) == {"roc_auc_floor:age=18 to 29"}
    assert report.reasons[0].startswith("age 18 to 29: ROC AUC 0.")


# The limits themselves, on made-up figures.


def figures(**changes: Estimate) -> dict[str, Estimate]:
    names = ("roc_auc", "average_precision", "ks", "brier", "log_loss", "calibration_error")
    usual = {name: Estimate(value=0.02, low=0.01, high=0.03) for name in names}
    return {**usual, "roc_auc": Estimate(value=0.6, low=0.55, high=0.65), **changes}


def made_up(**changes: Any) -> Evaluation:
    ahead = Estimate(value=0.05, low=0.0, high=0.1)
    values: dict[str, Any] = {
        "replicates": 10,
        "scores": ScoreRange(rows=100, not_a_number=0, distinct=90, lowest=0.1, highest=0.9),
        "metrics": figures(),
        "baseline": Comparison(name="baseline", metrics=figures(), roc_auc_difference=ahead),
        "champion": None,
        "champion_not_compared": None,
        "calibration": [],
        "confusion": Confusion(declined_late=1, declined_in_time=1, accepted_late=1, accepted_in_time=1),
        "groups": [],
        "importance": [],
    }
    return Evaluation.model_validate({**values, **changes})


def group(positives: int, high: float) -> GroupEvaluation:
    return GroupEvaluation(
        group="gender",
        value="F",
        rows=1000,
        customers=100,
        positives=positives,
        metrics=figures(roc_auc=Estimate(value=0.3, low=0.2, high=high)),
        confusion=Confusion(declined_late=1, declined_in_time=1, accepted_late=1, accepted_in_time=1),
    )


def between(low: float, high: float) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("evaluation", "name", "verdict"),
    [
        (made_up(metrics=figures(roc_auc=between(0.1, 0.53))), "roc_auc_floor", Verdict.PASS),
        (made_up(metrics=figures(roc_auc=between(0.1, 0.5299))), "roc_auc_floor", Verdict.FAIL),
        (made_up(metrics=figures(roc_auc=between(0.9, 0.99))), "roc_auc_leak", Verdict.PASS),
        (made_up(metrics=figures(roc_auc=between(0.9001, 0.99))), "roc_auc_leak", Verdict.FAIL),
        (made_up(metrics=figures(calibration_error=between(0.05, 0.3))), "calibration_error", Verdict.PASS),
        (made_up(metrics=figures(calibration_error=between(0.051, 0.3))), "calibration_error", Verdict.FAIL),
        (made_up(groups=[group(200, 0.5)]), "roc_auc_floor:gender=F", Verdict.PASS),
        (made_up(groups=[group(200, 0.49)]), "roc_auc_floor:gender=F", Verdict.FAIL),
        (made_up(groups=[group(199, 0.49)]), "roc_auc_floor:gender=F", Verdict.NOT_JUDGED),
        (made_up(), "not_worse_than_champion", Verdict.NOT_JUDGED),
    ],
)
def test_a_check_fails_only_when_the_favourable_end_is_beyond_the_limit(
    evaluation: Evaluation, name: str, verdict: Verdict
) -> None:
    report = judge_model(evaluation, LIMITS)
    [check] = [check for check in report.checks if check.name == name]
    assert check.verdict is verdict
    assert (report.verdict is GateDecision.REFUSED) is (verdict is Verdict.FAIL)
    assert report.reasons == ([check.sentence] if verdict is Verdict.FAIL else [])


@pytest.mark.parametrize(
    ("rival", "high", "verdict"),
    [
        ("baseline", 0.0, Verdict.PASS),
        ("baseline", -0.001, Verdict.FAIL),
        ("champion", -0.02, Verdict.PASS),
        ("champion", -0.021, Verdict.FAIL),
    ],
)
def test_rivals_have_their_margins(rival: str, high: float, verdict: Verdict) -> None:
    comparison = Comparison(name=rival, metrics=figures(), roc_auc_difference=between(-0.3, high))
    report = judge_model(made_up(**{rival: comparison}), LIMITS)
    names = {"baseline": "better_than_baseline", "champion": "not_worse_than_champion"}
    [check] = [check for check in report.checks if check.name == names[rival]]
    assert check.verdict is verdict


def test_why_there_is_no_champion_to_compare_with_is_said() -> None:
    report = judge_model(made_up(champion_not_compared="the champion cannot be loaded: gone"), LIMITS)
    assert "not judged: the champion cannot be loaded: gone" in {check.sentence for check in report.checks}
    assert report.verdict is GateDecision.ACCEPTED


def test_every_reason_is_listed() -> None:
    bad = made_up(
        metrics=figures(roc_auc=between(0.1, 0.2), calibration_error=between(0.4, 0.5)),
        groups=[group(300, 0.3)],
    )
    assert len(judge_model(bad, LIMITS).reasons) == 3
