"""The model card: what a version is and what it is worth, for a person to read, with its plots."""

from collections.abc import Iterable, Sequence

from creditrisk.registry import Estimate, GateDecision, ModelGateReport
from training.candidate import Candidate
from training.evaluation import Comparison, Confusion, Evaluation
from training.plots import PLOTS

_METRIC_NAMES = {
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "ks": "KS",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "calibration_error": "Calibration error",
}


def model_card(candidate: Candidate, evaluation: Evaluation, gate: ModelGateReport) -> str:
    """The card as Markdown; the plots are beside it."""
    sections = (
        _head(candidate, gate),
        _origin(candidate),
        _figures(evaluation),
        _decisions(candidate, evaluation.confusion),
        _groups(evaluation),
        _calibration(evaluation),
        _checks(gate),
    )
    return "\n\n".join(sections) + "\n"


def _head(candidate: Candidate, gate: ModelGateReport) -> str:
    if gate.verdict is GateDecision.ACCEPTED:
        verdict = "**Accepted** by the model gate: it may be promoted."
    else:
        reasons = "\n".join(f"- {reason}" for reason in gate.reasons)
        verdict = f"**Refused** by the model gate; it cannot be promoted.\n\n{reasons}"
    return f"# Model {candidate.plan.version}\n\n{verdict}"


def _origin(candidate: Candidate) -> str:
    plan, split = candidate.plan, candidate.split
    parameters = ", ".join(f"{name} {value}" for name, value in plan.spec.items())
    libraries = ", ".join(f"{name} {version}" for name, version in plan.library_versions.items())
    facts = [
        ("Snapshot", plan.snapshot),
        ("Market", plan.market),
        ("Spec", parameters),
        ("Made", f"{candidate.created_at:%Y-%m-%d %H:%M} UTC, code {plan.code_version}"),
        ("Libraries", libraries),
        ("Loans", f"{split.first_date} to {split.last_date}; judged on loans from {split.cut_date} on"),
        ("Prediction hash", f"`{candidate.prediction_hash}`"),
    ]
    sides = [
        (side, f"{counts.rows:,}", f"{counts.customers:,}", f"{counts.positives:,}", _share(counts.positives, counts.rows))
        for side, counts in split.sides.items()
    ]  # fmt: skip
    return "\n\n".join(
        (
            "## What it was made from",
            _table(("", ""), facts),
            (
                "A customer is on one side for ever; the model is fitted, calibrated and given its threshold on loans"
                " before the cut date, and judged on other customers' loans from that date on."
            ),
            _table(("side", "loans", "customers", "late", "share"), sides),
        )
    )


def _figures(evaluation: Evaluation) -> str:
    others = [other for other in (evaluation.baseline, evaluation.champion) if other]
    rows = [
        (title, _shown(evaluation.metrics.get(metric)), *(_shown(other.metrics[metric]) for other in others))
        for metric, title in _METRIC_NAMES.items()
    ]
    parts = [
        "## What it is worth",
        f"On test loans, with 95 % intervals from {evaluation.replicates} bootstrap replicates of customers.",
        _table(("", "this model", *(other.name for other in others)), rows),
        "\n".join(_difference(other) for other in others),
    ]
    if evaluation.champion_not_compared:
        parts.append(f"Not compared with the champion: {evaluation.champion_not_compared}.")
    shown = ("roc.png", "precision_recall.png", "scores.png", "importance.png")
    parts += [f"![{PLOTS[name]}]({name})" for name in shown if evaluation.metrics]
    return "\n\n".join(part for part in parts if part)


def _difference(other: Comparison) -> str:
    return f"- ROC AUC less that of {other.name}, on the same loans: {_shown(other.roc_auc_difference)}"


def _decisions(candidate: Candidate, confusion: Confusion) -> str:
    rows = [
        ("late", f"{confusion.declined_late:,}", f"{confusion.accepted_late:,}"),
        ("paid in time", f"{confusion.declined_in_time:,}", f"{confusion.accepted_in_time:,}"),
    ]
    return "\n\n".join(
        (
            "## What it decides",
            (
                f"Declined from a probability of {candidate.threshold:.6f} up: {candidate.declined_share:.2%} of the"
                f" validation loans ({candidate.plan.decline_share:.2%} were asked for),"
                f" {confusion.declined_share:.2%} of the test loans."
            ),
            _table(("test loans", "declined", "accepted"), rows),
        )
    )


def _groups(evaluation: Evaluation) -> str:
    rows = [
        (
            f"{group.group}: {group.value}",
            f"{group.rows:,}",
            f"{group.positives:,}",
            _shown(group.metrics.get("roc_auc")),
            f"{group.confusion.declined_share:.2%}",
        )
        for group in evaluation.groups
    ]
    return "## By group\n\n" + _table(("group", "loans", "late", "ROC AUC", "declined"), rows)


def _calibration(evaluation: Evaluation) -> str:
    rows = [
        (f"{entry.rows:,}", f"{entry.mean_probability:.4f}", f"{entry.late_share:.4f}")
        for entry in evaluation.calibration
    ]
    picture = f"![{PLOTS['calibration.png']}](calibration.png)\n\n" if rows else ""
    return "## Calibration\n\n" + picture + _table(("loans", "mean probability", "late"), rows)


def _checks(gate: ModelGateReport) -> str:
    rows = [(check.name, str(check.verdict), check.sentence) for check in gate.checks]
    return "## What the gate looked at\n\n" + _table(("check", "verdict", "why"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _shown(estimate: Estimate | None) -> str:
    return "–" if estimate is None else f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "–"
