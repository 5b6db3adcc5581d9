"""Features to probability, fast: a fitted model's trees as flat arrays, all walked at once.

:func:`flatten` takes what training registers, ``CalibratedClassifierCV(FrozenEstimator(forest or histogram
boosting), method="sigmoid")``, and nothing else. The numbers are scikit-learn's own: comparisons with the same
outcome, the trees summed in the same order, the same logistic function.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from creditrisk.contract import FEATURE_NAMES
from creditrisk.errors import VersionUnservable
from creditrisk.trees import FloatArray, Tree, Trees

TOLERANCE = 1e-12
"""How far a flat model's probability may be from its own model's on a reference row."""

BATCH_CELLS = 500_000
"""Rows times trees walked at once in a batch, which bounds its working memory to some 30 MB."""


@dataclass(frozen=True, slots=True)
class FlatModel:
    """A model's trees, and its calibration."""

    trees: Trees
    divisor: float
    """What the sum of the reached leaves' values is divided by before it is calibrated."""
    slope: float
    intercept: float
    logistic: Callable[[Any], Any] = field(repr=False)

    def probability(self, row: Sequence[float | None]) -> float:
        """Calibrated probability of class 1 for one row.

        Args:
            row: five finite values in the order of ``FEATURE_NAMES``; None or NaN where one is missing.
        """
        return self.calibrated(self.trees.leaf_values(row))

    def calibrated(self, leaf_values: FloatArray) -> float:
        """The probability that the values of the reached leaves, shape (trees,), come to."""
        # Added up one by one, as the model does: numpy's pairwise sum can differ in the last bit.
        total = float(leaf_values.cumsum()[-1])
        return float(self.logistic(-(self.slope * (total / self.divisor) + self.intercept)))

    def probabilities(self, rows: npt.ArrayLike | Sequence[Sequence[float | None]]) -> FloatArray:
        """Calibrated probabilities of class 1, shape (n,), of rows of shape (n, 5), None or NaN where missing.

        Each is what :meth:`probability` says of its row alone, to the last bit.
        """
        features = np.asarray(rows, dtype=np.float64)
        if features.ndim != 2 or features.shape[1] != len(FEATURE_NAMES):
            raise ValueError(f"rows: shape {features.shape} is not (n, {len(FEATURE_NAMES)})")
        probabilities = np.empty(len(features))
        step = max(1, BATCH_CELLS // len(self.trees.roots))
        for first in range(0, len(features), step):
            leaf_values = self.trees.leaf_values_of_rows(features[first : first + step])
            totals = leaf_values.cumsum(axis=1)[:, -1]
            probabilities[first : first + step] = self.logistic(
                -(self.slope * (totals / self.divisor) + self.intercept)
            )
        return probabilities


@dataclass(frozen=True, slots=True)
class FlatPair:
    """Two models that score the same rows: their trees are walked together, faster than one after the other."""

    first: FlatModel
    second: FlatModel
    trees: Trees

    @classmethod
    def of(cls, first: FlatModel, second: FlatModel) -> "FlatPair":
        """Two models side by side; they may be of different kinds."""
        return cls(first, second, first.trees.beside(second.trees))

    def probabilities(self, row: Sequence[float | None]) -> tuple[float, float]:
        """What each says of a row by :meth:`FlatModel.probability`, to the last bit."""
        leaf_values = self.trees.leaf_values(row)
        cut = len(self.first.trees.roots)
        return self.first.calibrated(leaf_values[:cut]), self.second.calibrated(leaf_values[cut:])


def flatten(model: Any) -> FlatModel:
    """A fitted scikit-learn model as a :class:`FlatModel`.

    Raises:
        VersionUnservable: the model is not a sigmoid-calibrated forest or histogram boosting of the
            contract's five features with the classes 0 and 1, or its trees are damaged; the message says what
            it is instead.
    """
    from scipy.special import expit  # scikit-learn's own logistic function, loaded with any of its models

    estimator, slope, intercept = _calibration_of(model)
    kind = type(estimator).__name__
    if kind == "RandomForestClassifier":
        trees = [_forest_tree(tree.tree_) for tree in estimator.estimators_]
        divisor = float(len(trees))
    elif kind == "HistGradientBoostingClassifier":
        trees = list(_boosting_trees(estimator))
        divisor = 1.0
    else:
        raise VersionUnservable(f"model: a {kind} is neither a random forest nor histogram boosting")
    _require(estimator.n_features_in_ == len(FEATURE_NAMES), f"{estimator.n_features_in_} features, not 5")
    _require(all(map(_is_whole, trees)), "one of its trees names a node or a feature that is not there")

    return FlatModel(
        trees=Trees.laid_out(trees), divisor=divisor, slope=slope, intercept=intercept, logistic=expit
    )


def verify(
    flat: FlatModel,
    reference_rows: npt.ArrayLike,
    reference_probabilities: npt.ArrayLike,
    threshold: float,
) -> None:
    """Hold a flat model against probabilities that its own model gave.

    Args:
        flat: what is to be served.
        reference_rows: shape (n, 5), NaN where missing.
        reference_probabilities: shape (n,), the model's own ``predict_proba`` of class 1.
        threshold: a probability from here up declines.

    Raises:
        VersionUnservable: there are no reference rows, a probability is off by more than 1e-12, one row
            scored alone differs from the batch, or a decision is another one.
    """
    expected = np.asarray(reference_probabilities, dtype=np.float64)
    rows = np.asarray(reference_rows, dtype=np.float64)
    _require(len(rows) > 0 and expected.shape == (len(rows),), "no reference rows to check it against")
    for scored in (flat.probabilities(rows), np.array([flat.probability(row) for row in rows])):
        gaps = np.abs(scored - expected)
        worst = int(np.argmax(np.where(np.isnan(gaps), np.inf, gaps)))
        _require(
            bool(gaps[worst] <= TOLERANCE),
            f"reference row {worst} scores {scored[worst]!r}, the model itself says {expected[worst]!r}",
        )
        flips = np.flatnonzero((scored >= threshold) != (expected >= threshold))
        _require(not len(flips), f"the decision on {len(flips)} of {len(rows)} reference rows differs")


def _calibration_of(model: Any) -> tuple[Any, float, float]:
    """The estimator inside a calibrated model, and its calibration's slope and intercept."""
    kind = type(model).__name__
    _require(kind == "CalibratedClassifierCV", f"a {kind} is not a CalibratedClassifierCV")
    _require(list(model.classes_) == [0, 1], f"its classes are {list(model.classes_)}, not 0 and 1")
    folds = model.calibrated_classifiers_
    _require(len(folds) == 1, f"it averages {len(folds)} calibrated models, not one")
    calibrators = folds[0].calibrators
    _require(
        folds[0].method == "sigmoid" and len(calibrators) == 1,
        f"its calibration is {folds[0].method}, not one sigmoid",
    )
    frozen = folds[0].estimator
    _require(
        type(frozen).__name__ == "FrozenEstimator",
        f"it wraps a {type(frozen).__name__}, not a FrozenEstimator",
    )
    return frozen.estimator, float(calibrators[0].a_), float(calibrators[0].b_)


def _forest_tree(tree: Any) -> Tree:
    _require(tree.value.shape[1:] == (1, 2), f"a tree's values have the shape {tree.value.shape[1:]}")
    return Tree(
        feature=tree.feature,
        threshold=_before_rounding(tree.threshold),
        left=tree.children_left,
        right=tree.children_right,
        missing_goes_left=tree.missing_go_to_left.astype(bool),
        is_leaf=tree.children_left < 0,
        value=tree.value[:, 0, 1],
        depth=int(tree.max_depth),
    )


def _before_rounding(threshold: FloatArray) -> FloatArray:
    """Thresholds for values in double precision, of those that forests hold against values rounded to single.

    Each is the greatest number that rounds to one which is not above the forest's threshold.
    """
    below = threshold.astype(np.float32)
    below = np.where(below > threshold, np.nextafter(below, np.float32(-np.inf)), below)
    above = np.nextafter(below, np.float32(np.inf))
    middle = below.astype(np.float64) / 2 + above.astype(np.float64) / 2
    return np.where(middle.astype(np.float32) == below, middle, np.nextafter(middle, -np.inf))


def _boosting_trees(estimator: Any) -> Iterator[Tree]:
    """What boosting starts from, as a tree of one leaf so that it is summed first, then its trees."""
    # Private, but their only home; the lock and the registry pin the release, and a load is verified.
    yield _constant_tree(estimator._baseline_prediction)  # noqa: SLF001
    for iteration in estimator._predictors:  # noqa: SLF001
        _require(len(iteration) == 1, f"{len(iteration)} trees an iteration, not one")
        nodes = iteration[0].nodes
        _require(not nodes["is_categorical"].any(), "it splits on categories")
        yield Tree(
            feature=nodes["feature_idx"],
            threshold=nodes["num_threshold"],
            left=nodes["left"].astype(np.intp),
            right=nodes["right"].astype(np.intp),
            missing_goes_left=nodes["missing_go_to_left"].astype(bool),
            is_leaf=nodes["is_leaf"].astype(bool),
            value=nodes["value"],
            depth=int(nodes["depth"].max()),
        )


def _is_whole(tree: Tree) -> bool:
    """Whether each split asks of a feature that there is and goes on at nodes that there are."""
    feature, left, right = (
        named[~tree.is_leaf].astype(np.int64) for named in (tree.feature, tree.left, tree.right)
    )
    nodes = len(tree.value)
    return all(
        bool(np.all((named >= 0) & (named < limit)))
        for named, limit in ((feature, len(FEATURE_NAMES)), (left, nodes), (right, nodes))
    )


def _constant_tree(value: Any) -> Tree:
    none = np.zeros(1, dtype=np.intp)
    leaf = np.ones(1, dtype=bool)
    constant = np.asarray(value, dtype=np.float64).reshape(1)
    return Tree(none, np.zeros(1), none, none, leaf, leaf, constant, depth=0)


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise VersionUnservable(f"model: {otherwise}")
