"""Small fitted models in their flat form, and rows that they know, with holes."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from creditrisk.scoring import FlatModel, flatten

Rows = npt.NDArray[np.float64]


@cache
def rows() -> Rows:
    """2,000 rows; amounts are round, and values are missing where they may be."""
    random = np.random.default_rng(5)
    made = np.column_stack(
        [
            random.integers(20, 70, 2000),
            random.integers(0, 40, 2000),
            random.poisson(6, 2000),
            random.gamma(2.0, 10.0, 2000).round() * 10,
            random.integers(0, 2, 2000),
        ]
    ).astype(np.float64)
    made[random.random(2000) < 0.2, 1] = np.nan
    made[made[:, 2] < 2, 3] = np.nan
    return made


@cache
def flat_model(kind: str) -> FlatModel:
    """A ``forest`` or ``boosting``."""
    random = np.random.default_rng(6)
    known = rows()
    odds = 0.08 * (40 - known[:, 0]) + 0.4 * np.isnan(known[:, 1]) + 0.3 * known[:, 4] - 1
    late = (random.random(len(known)) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    estimators: dict[str, Any] = {
        "forest": RandomForestClassifier(100, max_depth=8, min_samples_leaf=5, random_state=1),
        "boosting": HistGradientBoostingClassifier(max_iter=30, max_depth=4, random_state=1),
    }
    fitted = estimators[kind].fit(known[:1500], late[:1500])
    return flatten(
        CalibratedClassifierCV(FrozenEstimator(fitted), method="sigmoid").fit(known[1500:], late[1500:])
    )
