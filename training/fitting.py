"""From the sides of a split to a model that decides: fitted, calibrated, with its threshold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from training.dataset import FloatArray, Loans
from training.specs import BoostingSpec, ForestSpec, fit
from training.split import Side


@dataclass(frozen=True, slots=True)
class DecidingModel:
    """A calibrated classifier and the probability from which it declines."""

    model: Any
    threshold: float
    declined_share: float
    """The share of validation loans that the threshold declines."""

    def probabilities(self, loans: Loans) -> FloatArray:
        """Probability of being late, shape (n,)."""
        return late_probabilities(self.model, loans)


def fit_deciding_model(
    spec: ForestSpec | BoostingSpec, parts: Mapping[Side, Loans], decline_share: float
) -> DecidingModel:
    """Fit on one side, calibrate on the next, set the threshold on the third. The test side is not looked at."""
    model = calibrated(fit(spec, parts[Side.TRAIN]), parts[Side.CALIBRATE])
    validation = late_probabilities(model, parts[Side.VALIDATE])
    threshold = threshold_for(validation, decline_share)
    return DecidingModel(model, threshold, float((validation >= threshold).mean()))


def fit_baseline(parts: Mapping[Side, Loans]) -> Any:
    """A logistic regression, calibrated the same way: what a model must beat."""
    pipeline = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    )
    with threadpool_limits(limits=1):
        pipeline.fit(parts[Side.TRAIN].features, parts[Side.TRAIN].late)
    return calibrated(pipeline, parts[Side.CALIBRATE])


def calibrated(estimator: Any, loans: Loans) -> Any:
    """A fitted classifier with a sigmoid (Platt, 1999) on top, fitted on customers whom it has not seen."""
    calibrated_model = CalibratedClassifierCV(FrozenEstimator(estimator), method="sigmoid")
    with threadpool_limits(limits=1):
        calibrated_model.fit(loans.features, loans.late)
    return calibrated_model


def late_probabilities(model: Any, loans: Loans) -> FloatArray:
    """A classifier's probability of class 1, shape (n,), on one thread."""
    with threadpool_limits(limits=1):
        return np.asarray(model.predict_proba(loans.features)[:, 1], dtype=np.float64)


def threshold_for(probabilities: FloatArray, decline_share: float) -> float:
    """The lowest of the probabilities that declines no more than the share; above all of them where none does.

    Loans with equal probabilities are declined together, so the share may not be reached exactly.
    """
    allowed = math.floor(decline_share * len(probabilities) + 1e-9)
    candidates, counts = np.unique(probabilities, return_counts=True)
    declined = np.cumsum(counts[::-1])[::-1]
    fitting = candidates[declined <= allowed]
    return float(fitting[0] if len(fitting) else np.nextafter(candidates[-1], np.inf))
