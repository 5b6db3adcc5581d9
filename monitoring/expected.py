"""What the scores themselves say of their quality, before any outcome is known. Pure.

The method is *confidence-based performance estimation* (CBPE), as NannyML has it: https://nannyml.readthedocs.io,
"Estimation of Performance of the Monitored Model"; J. Kivimäki, J. Białek, W. Kuberski and J. K. Nurminen, "Performance
Estimation in Binary Classification Using Calibrated Confidence", arXiv:2505.05295, 2025. A calibrated probability p
says that of many such loans the share p is late. So each loan counts as p of a late one and 1 - p of one in time, and
figures are computed of those parts as they will be of whole loans.

It holds while the probabilities are right: it sees that other customers come, whom the model tells apart better or
worse, and it is blind to a world that has changed (concept drift), for it asks the model itself. How wrong it was is told
as soon as the outcomes are there.
"""

import math

from monitoring.score_histogram import (
    Estimated,
    FloatArray,
    Outcomes,
    ScoreHistogram,
    estimated,
    realised_roc_auc,
    roc_auc,
)


def expected_roc_auc(scores: ScoreHistogram) -> float | None:
    """The ROC AUC that calibrated scores let expect; None where there is nobody to tell apart."""
    value = float(_roc_auc(scores.whole())[0])
    return value if math.isfinite(value) else None


def expected_late_share(scores: ScoreHistogram) -> float | None:
    """The share of late loans that they let expect; None of nobody."""
    count = scores.counts.sum()
    return float(scores.totals.sum() / count) if count else None


def roc_auc_error(outcomes: Outcomes) -> Estimated | None:
    """By how much the estimate for these very loans is above what they turned out to be; None of one kind alone."""
    return estimated(lambda known: _roc_auc(known.together()) - realised_roc_auc(known), outcomes)


def _roc_auc(scores: ScoreHistogram) -> FloatArray:
    return roc_auc(scores.totals, scores.counts - scores.totals)
