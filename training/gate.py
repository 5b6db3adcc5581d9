"""The model gate: is a candidate fit to serve? Pure, over its evaluation; every reason is listed.

Figures come from samples, so a check fails only where even the favourable end of the interval is beyond the
limit. What cannot be judged fairly is said to be *not judged*, and refuses nobody.
"""

from creditrisk.registry import Estimate, GateCheck, GateDecision, ModelGateReport
from creditrisk.settings import ModelGateLimits
from creditrisk.snapshots import Verdict
from training.evaluation import Evaluation, GroupEvaluation


def judge_model(evaluation: Evaluation, limits: ModelGateLimits) -> ModelGateReport:
    """Hold an evaluation against the limits.

    Returns:
        ``refused`` with the sentence of every check that failed, else ``accepted`` without reasons.
    """
    checks = [
        _scores_are_numbers(evaluation),
        _scores_differ(evaluation),
        *_whole(evaluation, limits),
        _champion(evaluation, limits),
        *(_group(group, limits) for group in evaluation.groups),
    ]
    reasons = [check.sentence for check in checks if check.verdict is Verdict.FAIL]
    return ModelGateReport(
        verdict=GateDecision.REFUSED if reasons else GateDecision.ACCEPTED, reasons=reasons, checks=checks
    )


def _scores_are_numbers(evaluation: Evaluation) -> GateCheck:
    scores = evaluation.scores
    return _check(
        "scores_are_numbers",
        scores.not_a_number == 0,
        f"{scores.not_a_number} of {scores.rows} scores are not a number, none may be",
        value=float(scores.not_a_number),
        limit=0.0,
    )


def _scores_differ(evaluation: Evaluation) -> GateCheck:
    distinct = evaluation.scores.distinct
    return _check(
        "scores_differ",
        distinct > 1,
        f"{distinct} distinct scores: a constant tells nobody apart"
        if distinct < 2
        else f"{distinct} distinct scores",
        value=float(distinct),
        limit=2.0,
    )


def _whole(evaluation: Evaluation, limits: ModelGateLimits) -> list[GateCheck]:
    """Checks on all test loans."""
    names = ("roc_auc_floor", "roc_auc_leak", "calibration_error", "better_than_baseline")
    if not evaluation.metrics or evaluation.baseline is None:
        return [_not_judged(name, "there are no figures of scores that are not numbers") for name in names]
    auc, error = evaluation.metrics["roc_auc"], evaluation.metrics["calibration_error"]
    gain = evaluation.baseline.roc_auc_difference
    return [
        _at_least("roc_auc_floor", "ROC AUC", auc, limits.roc_auc_floor),
        _at_most(
            "roc_auc_leak",
            "ROC AUC",
            auc,
            limits.roc_auc_leak,
            "too good to be true: look for a leaked label",
        ),
        _at_most("calibration_error", "calibration error", error, limits.calibration_error_ceiling),
        _at_least("better_than_baseline", f"ROC AUC less that of {evaluation.baseline.name}", gain, 0.0),
    ]


def _champion(evaluation: Evaluation, limits: ModelGateLimits) -> GateCheck:
    name, champion = "not_worse_than_champion", evaluation.champion
    if champion is None:
        return _not_judged(name, evaluation.champion_not_compared or "there is no champion to compare with")
    return _at_least(
        name,
        f"ROC AUC less that of champion {champion.name}",
        champion.roc_auc_difference,
        -limits.champion_margin,
    )


def _group(group: GroupEvaluation, limits: ModelGateLimits) -> GateCheck:
    name = f"roc_auc_floor:{group.group}={group.value}"
    if group.positives < limits.group_smallest_positives or not group.metrics:
        return _not_judged(
            name,
            f"{group.group} {group.value}: {group.positives} late loans,"
            f" fewer than {limits.group_smallest_positives}",
        )
    return _at_least(
        name, f"{group.group} {group.value}: ROC AUC", group.metrics["roc_auc"], limits.group_roc_auc_floor
    )


def _at_least(name: str, figure: str, estimate: Estimate, limit: float) -> GateCheck:
    passes = estimate.high >= limit
    words = "at least" if passes else "below"
    return _check(
        name, passes, f"{figure} {_shown(estimate)} is {words} {limit:g}", estimate=estimate, limit=limit
    )


def _at_most(name: str, figure: str, estimate: Estimate, limit: float, remark: str = "") -> GateCheck:
    passes = estimate.low <= limit
    words = "at most" if passes else "above"
    tail = f", {remark}" if remark and not passes else ""
    return _check(
        name,
        passes,
        f"{figure} {_shown(estimate)} is {words} {limit:g}{tail}",
        estimate=estimate,
        limit=limit,
    )


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def _check(
    name: str,
    passes: bool,
    sentence: str,
    *,
    limit: float,
    value: float | None = None,
    estimate: Estimate | None = None,
) -> GateCheck:
    return GateCheck(
        name=name,
        value=estimate.value if estimate else value,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        limit=limit,
        verdict=Verdict.PASS if passes else Verdict.FAIL,
        sentence=sentence,
    )


def _not_judged(name: str, why: str) -> GateCheck:
    return GateCheck(
        name=name,
        value=None,
        low=None,
        high=None,
        limit=None,
        verdict=Verdict.NOT_JUDGED,
        sentence=f"not judged: {why}",
    )
