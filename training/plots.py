"""The evaluation as pictures: PNG files for the model card and the MLflow run."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import precision_recall_curve, roc_curve

from training.dataset import FloatArray
from training.evaluation import CalibrationBin, Evaluation, FeatureImportance, Rival

PLOTS = {
    "roc.png": "ROC",
    "precision_recall.png": "Precision and recall",
    "calibration.png": "Calibration",
    "scores.png": "Score distribution",
    "importance.png": "Permutation importance",
}
"""File name and title of each plot."""

_MODEL, _RIVALS, _LATE, _QUIET = "#1f5fa8", ("#8a8f98", "#c9862b"), "#b8352f", "#b9bec6"
_SIZE = (6.4, 4.6)
_DPI = 130


def draw_plots(
    evaluation: Evaluation,
    late: npt.NDArray[Any],
    probabilities: FloatArray,
    threshold: float,
    rivals: Sequence[Rival],
) -> dict[str, bytes]:
    """All plots of an evaluation, by file name; the same input gives the same bytes."""
    scores = {"this model": probabilities, **{rival.name: rival.probabilities for rival in rivals}}
    figures = (
        _roc(evaluation, late, scores),
        _precision_recall(evaluation, late, scores),
        _calibration(evaluation.calibration),
        _scores(late, probabilities, threshold),
        _importance(evaluation.importance),
    )
    return dict(zip(PLOTS, map(_png, figures), strict=True))


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e8eb", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    colours = (_MODEL, *_RIVALS)
    return {
        name: {"color": colours[place], "linewidth": 2.0 if place == 0 else 1.4}
        for place, name in enumerate(names)
    }


def _roc(evaluation: Evaluation, late: npt.NDArray[Any], scores: Mapping[str, FloatArray]) -> Figure:
    figure, axes = _axes(
        "ROC: late loans found, at the price of others declined",
        "Share of loans paid in time that are declined",
        "Share of late loans that are declined",
    )
    known = _metric_of_each(evaluation, "roc_auc")
    for name, style in _styles(list(scores)).items():
        fall_out, recall, _ = roc_curve(late, scores[name])
        axes.plot(fall_out, recall, label=f"{name}, AUC {known[name]}", **style)
    axes.plot([0, 1], [0, 1], color=_QUIET, linestyle="--", linewidth=1, label="chance, AUC 0.5")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    return figure


def _precision_recall(
    evaluation: Evaluation, late: npt.NDArray[Any], scores: Mapping[str, FloatArray]
) -> Figure:
    figure, axes = _axes(
        "Precision and recall: how many of the declined are late",
        "Recall: share of late loans that are declined",
        "Precision: share of the declined that are late",
    )
    known = _metric_of_each(evaluation, "average_precision")
    tops = []
    for name, style in _styles(list(scores)).items():
        precision, recall, _ = precision_recall_curve(late, scores[name])
        axes.plot(recall, precision, drawstyle="steps-post", label=f"{name}, AP {known[name]}", **style)
        tops.append(precision[(recall >= 0.02) & (recall < 1)].max(initial=0.0))
    base = float(late.mean())
    axes.axhline(base, color=_QUIET, linestyle="--", linewidth=1, label=f"all declined: {base:.2%}")
    axes.set(xlim=(0, 1), ylim=(0, min(1.0, 1.25 * max(*tops, 2 * base))))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.legend(frameon=False, loc="upper right", fontsize=8)
    return figure


def _metric_of_each(evaluation: Evaluation, metric: str) -> dict[str, str]:
    others = [other for other in (evaluation.baseline, evaluation.champion) if other]
    found = {"this model": evaluation.metrics, **{other.name: other.metrics for other in others}}
    return {
        name: f"{metrics[metric].value:.3f} ({metrics[metric].low:.3f} to {metrics[metric].high:.3f})"
        for name, metrics in found.items()
    }


def _calibration(table: Sequence[CalibrationBin]) -> Figure:
    figure, axes = _axes(
        "Calibration: what was predicted, and what happened",
        "Mean predicted probability, by tenth of the loans",
        "Share that was late",
    )
    predicted = np.array([entry.mean_probability for entry in table])
    observed = np.array([entry.late_share for entry in table])
    rows = np.array([entry.rows for entry in table])
    spread = 1.96 * np.sqrt(np.maximum(observed * (1 - observed), 1e-9) / rows)
    top = 1.1 * float(max(predicted.max(), (observed + spread).max()))
    axes.plot([0, top], [0, top], color=_QUIET, linestyle="--", linewidth=1, label="perfect")
    axes.errorbar(
        predicted,
        observed,
        yerr=[np.minimum(spread, observed), spread],
        fmt="o",
        color=_MODEL,
        ecolor=_QUIET,
        capsize=3,
        markersize=5,
        label="this model, ± 1.96 standard errors of independent loans",
    )
    axes.set(xlim=(0, top), ylim=(0, top))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    return figure


def _scores(late: npt.NDArray[Any], probabilities: FloatArray, threshold: float) -> Figure:
    figure, axes = _axes(
        "Scores of late loans and of loans paid in time", "Probability of being late", "Share of the class"
    )
    top = float(np.quantile(probabilities, 0.999))
    edges = np.linspace(float(probabilities.min()), max(top, float(probabilities.min()) + 1e-9), 50)
    for label, name, colour in ((0, "paid in time", _MODEL), (1, "late", _LATE)):
        of_class = np.clip(probabilities[late == label], edges[0], edges[-1])
        axes.hist(
            of_class,
            bins=edges,
            weights=np.full(len(of_class), 1 / max(1, len(of_class))),
            histtype="stepfilled" if label == 0 else "step",
            alpha=0.35 if label == 0 else 1.0,
            color=colour,
            linewidth=1.8,
            label=f"{name}, {len(of_class):,} loans",
        )
    axes.axvline(
        threshold,
        color="#222222",
        linestyle="--",
        linewidth=1.2,
        label=f"declined from {threshold:.2%} up: {(probabilities >= threshold).mean():.1%} of all",
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(frameon=False, loc="upper right", fontsize=8)
    return figure


def _importance(importance: Sequence[FeatureImportance]) -> Figure:
    figure, axes = _axes(
        "What shuffling a feature costs", "ROC AUC lost: mean and spread of several shuffles", ""
    )
    lowest_first = list(reversed(importance))
    axes.barh(
        [entry.feature for entry in lowest_first],
        [entry.mean for entry in lowest_first],
        xerr=[entry.spread for entry in lowest_first],
        color=_MODEL,
        ecolor=_QUIET,
        capsize=3,
        height=0.6,
    )
    axes.axvline(0, color="#222222", linewidth=0.8)
    axes.grid(axis="y", visible=False)
    return figure
