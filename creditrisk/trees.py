"""Decision trees laid out so that all of them are walked at once, one NumPy step a level.

A row's answer to every split of every tree comes first: where a feature's splits lie in the order of their
thresholds, those that send a value right are the first so many, found by one search. Then each tree is walked by
looking answers up, and no step compares anything.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from creditrisk.contract import FEATURE_NAMES

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_FEATURES = len(FEATURE_NAMES)
_LEAF = 2 * _FEATURES
"""What a leaf has for its kind: the splits' are a feature's number, and so many more where missing goes right."""


class Tree(NamedTuple):
    """One tree: arrays of one entry a node, children as numbers within the tree, the root first."""

    feature: IndexArray
    threshold: FloatArray
    """A value goes right where it is greater; a missing one where it does not go left."""
    left: IndexArray
    right: IndexArray
    missing_goes_left: BoolArray
    is_leaf: BoolArray
    value: FloatArray
    depth: int


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees, one after the other in the order they were given in.

    A split has two places side by side, at which its left and its right child's places stand in ``children``;
    splits lie by feature and then by threshold, and after them the leaves, one place each, their own children.
    """

    thresholds: tuple["array[float]", ...]
    """Of each feature, rising. Arrays of the standard library: its search takes a number faster than NumPy's."""
    begins: tuple[int, ...]
    """The first place of each feature's splits, and last the first leaf's."""
    kind: npt.NDArray[np.int8]
    """Of each place, what it asks: see ``_LEAF``."""
    children: IndexArray
    value: FloatArray
    """Of each place; only leaves have one."""
    roots: IndexArray
    depth: int
    _spare: list[BoolArray] = field(default_factory=list, repr=False)
    """Answers of rows that are done, to be written over: memory of this size costs more to get than to fill."""

    @classmethod
    def laid_out(cls, trees: Sequence[Tree]) -> "Trees":
        """Lay trees out; at least one."""
        return cls._of(*_joined(trees))

    def beside(self, other: "Trees") -> "Trees":
        """These trees and then another's, to be walked together."""
        (ours, our_roots), (theirs, their_roots) = _nodes_of(self), _nodes_of(other)
        both, (_, begin) = _joined((ours, theirs))
        return self._of(both, np.concatenate((our_roots, their_roots + begin)))

    def leaf_values(self, row: Sequence[float | None]) -> FloatArray:
        """Value of the leaf that a row reaches in each tree, shape (trees,).

        Args:
            row: a value a feature, finite; None or NaN where it is missing.
        """
        try:
            goes_right = self._spare.pop()  # and no other thread has it then
        except IndexError:
            goes_right = np.zeros(len(self.children), dtype=np.bool_)
        begins = self.begins
        for feature, value in enumerate(row):
            begin, end = begins[feature], begins[feature + 1]
            if value is None or value != value:
                goes_right[begin:end] = self.kind[begin:end] >= _FEATURES
            else:
                first_left = begin + 2 * bisect_left(self.thresholds[feature], value)
                goes_right[begin:first_left] = True
                goes_right[first_left:end] = False
        children = self.children
        places = self.roots
        for _ in range(self.depth):  # indexing is faster than take() on arrays this small
            places = children[places + goes_right[places]]
        self._spare.append(goes_right)
        return self.value[places]

    def leaf_values_of_rows(self, features: FloatArray) -> FloatArray:
        """Value of the leaf that each row reaches in each tree, shape (n, trees).

        Args:
            features: shape (n, 5), finite; NaN where a value is missing.
        """
        # Of each row and kind, the place from which on a split sends it left. A leaf's is before them all.
        bounds = np.zeros((len(features), _LEAF + 1), dtype=np.intp)
        for feature, (begin, end) in enumerate(pairwise(self.begins)):
            column = features[:, feature]
            missing = np.isnan(column)
            present = begin + 2 * np.searchsorted(np.asarray(self.thresholds[feature]), column)
            bounds[:, feature] = np.where(missing, begin, present)
            bounds[:, feature + _FEATURES] = np.where(missing, end, present)
        flat, offsets = bounds.ravel(), np.arange(len(features))[:, None] * (_LEAF + 1)
        places = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        for _ in range(self.depth):
            places = self.children[places + (places < flat[self.kind[places] + offsets])]
        return self.value[places]

    @classmethod
    def _of(cls, nodes: Tree, roots: IndexArray) -> "Trees":
        """Lay nodes out, of which those at ``roots`` are trees' first."""
        splits = np.flatnonzero(~nodes.is_leaf)
        splits = splits[np.lexsort((nodes.threshold[splits], nodes.feature[splits]))]
        leaves = np.flatnonzero(nodes.is_leaf)
        first_leaf = 2 * len(splits)
        place = np.empty(len(nodes.value), dtype=np.intp)
        place[splits] = 2 * np.arange(len(splits))
        place[leaves] = first_leaf + np.arange(len(leaves))
        children = np.column_stack((place[nodes.left[splits]], place[nodes.right[splits]])).ravel()
        kind = nodes.feature[splits] + _FEATURES * ~nodes.missing_goes_left[splits]
        value = np.zeros(first_leaf + len(leaves))
        value[first_leaf:] = nodes.value[leaves]
        ends = np.searchsorted(nodes.feature[splits], np.arange(_FEATURES + 1)).tolist()
        return cls(
            thresholds=tuple(
                array("d", nodes.threshold[splits[begin:end]].tolist()) for begin, end in pairwise(ends)
            ),
            begins=tuple(2 * end for end in ends),
            kind=np.concatenate((np.repeat(kind, 2), np.full(len(leaves), _LEAF))).astype(np.int8),
            children=np.concatenate((children, place[leaves])),
            value=value,
            roots=place[roots],
            depth=nodes.depth,
        )


def _joined(trees: Sequence[Tree]) -> tuple[Tree, IndexArray]:
    """Trees as one, children as numbers within it; and the number of each one's first node."""
    sizes = [len(tree.value) for tree in trees]
    firsts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.intp)
    offsets = np.repeat(firsts, sizes)

    def joined(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    everything = Tree(
        feature=joined("feature"),
        threshold=joined("threshold"),
        left=joined("left") + offsets,
        right=joined("right") + offsets,
        missing_goes_left=joined("missing_goes_left"),
        is_leaf=joined("is_leaf"),
        value=joined("value"),
        depth=max(tree.depth for tree in trees),
    )
    return everything, firsts


def _nodes_of(trees: Trees) -> tuple[Tree, IndexArray]:
    """What was laid out, the splits in their order and then the leaves; and the numbers of the roots."""
    first_leaf = trees.begins[-1]
    places = np.concatenate((np.arange(0, first_leaf, 2), np.arange(first_leaf, len(trees.children))))
    is_leaf = places >= first_leaf
    left, right = trees.children[places], trees.children[np.where(is_leaf, places, places + 1)]
    kind = np.where(is_leaf, 0, trees.kind[places])

    def numbers(places: IndexArray) -> IndexArray:
        return np.where(places < first_leaf, places // 2, places - first_leaf // 2)

    nodes = Tree(
        feature=kind % _FEATURES,
        threshold=np.concatenate((*map(np.asarray, trees.thresholds), np.zeros(is_leaf.sum()))),
        left=numbers(left),
        right=numbers(right),
        missing_goes_left=kind < _FEATURES,
        is_leaf=is_leaf,
        value=trees.value[places],
        depth=trees.depth,
    )
    return nodes, numbers(trees.roots)
