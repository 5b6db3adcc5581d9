"""Features to probability, fast: a fitted model's trees as flat arrays, all walked at once.

:func:`flatten` takes what training registers, ``CalibratedClassifierCV(FrozenEstimator(forest or histogram
boosting), method="sigmoid")``, and nothing else. The numbers are scikit-learn's own: the same comparisons in
the same precision, the trees summed in the same order, the same logistic function.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from creditrisk.contract import FEATURE_NAMES
from creditrisk.errors import VersionUnservable

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]

TOLERANCE = 1e-12
"""How far a flat model's probability may be from its own model's on a reference row."""

_INFINITY = float("inf")

BATCH_CELLS = 500_000
"""Rows times trees walked at once in a batch, which bounds its working memory to some 30 MB."""


@dataclass(frozen=True, slots=True)
class _Tree:
    """One tree: arrays of one entry a node, children as numbers within the tree, the root first."""

    feature: IndexArray
    threshold: FloatArray
    left: IndexArray
    right: IndexArray
    missing_goes_left: npt.NDArray[np.bool_]
    is_leaf: npt.NDArray[np.bool_]
    value: FloatArray
    depth: int


@dataclass(frozen=True, slots=True)
class FlatModel:
    """A model's trees, one after the other, and its calibration.

    All arrays are views of one, in which a node's four entries stand side by side: a visit to a node meets one
    line of the processor's cache. Of the node at place ``p``, ``cell[p]`` says which cell of the row it compares
    with ``threshold[p]``; the walk goes on at the place ``children[p]``, or ``children[p + 1]`` where the cell
    is greater. A leaf is its own child, and has its value where others have their threshold. A row has two cells
    a feature, alike but where the value is missing: there the first holds minus infinity, which goes left, the
    second plus infinity, which goes right.
    """

    roots: IndexArray
    root_cell: IndexArray
    root_threshold: FloatArray
    cell: IndexArray
    threshold: FloatArray
    children: IndexArray
    value: FloatArray
    depth: int
    precision: type[np.floating[Any]]
    """What a feature is rounded to before it is compared: 32 bits by forests, 64 by boosting."""
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
        goes_left = [-_INFINITY if value is None or value != value else value for value in row]
        goes_right = [_INFINITY if value is None or value != value else value for value in row]
        cells = np.array(goes_left + goes_right, dtype=self.precision).astype(np.float64)
        # Indexing is faster than take() on arrays this small. What the roots compare with is always the same.
        places = self.children[self.roots + (cells[self.root_cell] > self.root_threshold)]
        for _ in range(self.depth - 1):
            places = self.children[places + (cells[self.cell[places]] > self.threshold[places])]
        # Added up one by one, as the model does: numpy's pairwise sum can differ in the last bit.
        total = float(self.value[places].cumsum()[-1])
        return float(self.logistic(-(self.slope * (total / self.divisor) + self.intercept)))

    def probabilities(self, rows: npt.ArrayLike | Sequence[Sequence[float | None]]) -> FloatArray:
        """Calibrated probabilities of class 1, shape (n,), of rows of shape (n, 5), None or NaN where missing.

        Each is what :meth:`probability` says of its row alone, to the last bit.
        """
        features = np.asarray(rows, dtype=np.float64)
        if features.ndim != 2 or features.shape[1] != len(FEATURE_NAMES):
            raise ValueError(f"rows: shape {features.shape} is not (n, {len(FEATURE_NAMES)})")
        probabilities = np.empty(len(features))
        step = max(1, BATCH_CELLS // len(self.roots))
        for first in range(0, len(features), step):
            probabilities[first : first + step] = self._batch(features[first : first + step])
        return probabilities

    def _batch(self, features: FloatArray) -> FloatArray:
        rounded = features.astype(self.precision).astype(np.float64)
        missing = np.isnan(rounded)
        cells = np.hstack((np.where(missing, -np.inf, rounded), np.where(missing, np.inf, rounded)))
        places = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        for _ in range(self.depth):
            goes_right = np.take_along_axis(cells, self.cell[places], axis=1) > self.threshold[places]
            places = self.children[places + goes_right]
        totals = self.value[places].cumsum(axis=1)[:, -1]
        return np.asarray(self.logistic(-(self.slope * (totals / self.divisor) + self.intercept)))


def flatten(model: Any) -> FlatModel:
    """A fitted scikit-learn model as a :class:`FlatModel`.

    Raises:
        VersionUnservable: the model is not a sigmoid-calibrated forest or histogram boosting of the
            contract's five features with the classes 0 and 1; the message says what it is instead.
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

    sizes = [len(tree.value) for tree in trees]
    roots = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.intp)
    is_leaf = _joined(trees, "is_leaf")
    own = np.arange(sum(sizes))
    offset = np.repeat(roots, sizes)
    left = np.where(is_leaf, own, _joined(trees, "left") + offset)
    right = np.where(is_leaf, own, _joined(trees, "right") + offset)
    feature = np.where(is_leaf, 0, _joined(trees, "feature"))
    # A split of missing from present values has an infinite threshold, which an infinite cell is not above.
    threshold = np.minimum(_joined(trees, "threshold"), np.finfo(np.float64).max)
    cell = feature + len(FEATURE_NAMES) * ~_joined(trees, "missing_goes_left")

    nodes = np.column_stack((cell, np.zeros_like(own), 4 * left, 4 * right)).astype(np.int64)
    nodes.view(np.float64)[:, 1] = np.where(is_leaf, _joined(trees, "value"), threshold)
    whole, real = nodes.ravel(), nodes.view(np.float64).ravel()
    return FlatModel(
        roots=4 * roots,
        root_cell=whole[4 * roots],
        root_threshold=real[4 * roots + 1],
        cell=whole,
        threshold=real[1:],
        children=whole[2:],
        value=real[1:],
        depth=max(tree.depth for tree in trees),
        precision=np.float32 if kind == "RandomForestClassifier" else np.float64,
        divisor=divisor,
        slope=slope,
        intercept=intercept,
        logistic=expit,
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


def _forest_tree(tree: Any) -> _Tree:
    _require(tree.value.shape[1:] == (1, 2), f"a tree's values have the shape {tree.value.shape[1:]}")
    return _Tree(
        feature=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_goes_left=tree.missing_go_to_left.astype(bool),
        is_leaf=tree.children_left < 0,
        value=tree.value[:, 0, 1],
        depth=int(tree.max_depth),
    )


def _boosting_trees(estimator: Any) -> Iterator[_Tree]:
    """What boosting starts from, as a tree of one leaf so that it is summed first, then its trees."""
    # Private, but their only home; the lock and the registry pin the release, and a load is verified.
    yield _constant_tree(estimator._baseline_prediction)  # noqa: SLF001
    for iteration in estimator._predictors:  # noqa: SLF001
        _require(len(iteration) == 1, f"{len(iteration)} trees an iteration, not one")
        nodes = iteration[0].nodes
        _require(not nodes["is_categorical"].any(), "it splits on categories")
        yield _Tree(
            feature=nodes["feature_idx"],
            threshold=nodes["num_threshold"],
            left=nodes["left"].astype(np.intp),
            right=nodes["right"].astype(np.intp),
            missing_goes_left=nodes["missing_go_to_left"].astype(bool),
            is_leaf=nodes["is_leaf"].astype(bool),
            value=nodes["value"],
            depth=int(nodes["depth"].max()),
        )


def _constant_tree(value: Any) -> _Tree:
    none = np.zeros(1, dtype=np.intp)
    leaf = np.ones(1, dtype=bool)
    constant = np.asarray(value, dtype=np.float64).reshape(1)
    return _Tree(none, np.zeros(1), none, none, leaf, leaf, constant, depth=0)


def _joined(trees: Sequence[_Tree], name: str) -> npt.NDArray[Any]:
    return np.concatenate([getattr(tree, name) for tree in trees])


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise VersionUnservable(f"model: {otherwise}")
