"""Trees that are laid out reach the leaves that walking each one node by node reaches."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

from creditrisk.trees import Tree, Trees

ROWS = 300
VALUES = (0.0, 1.0, 1.5, 2.0, 7.25, 100.0)


def grown(seed: int, depth: int) -> Tree:
    """A tree whose branches end at different depths, and whose thresholds are values that rows have."""
    random = np.random.default_rng(seed)
    nodes: list[list[float]] = []

    def grow(level: int) -> int:
        number = len(nodes)
        nodes.append([])
        if level == depth or (level and random.random() < 0.2):
            nodes[number] = [0, 0.0, number, number, 1, 1, float(random.normal())]
        else:
            split = [float(random.integers(5)), float(random.choice(VALUES))]
            nodes[number] = [*split, grow(level + 1), grow(level + 1), float(random.integers(2)), 0, 0.0]
        return number

    grow(0)
    feature, threshold, left, right, missing_goes_left, is_leaf, value = np.array(nodes).T
    return Tree(
        feature=feature.astype(np.intp),
        threshold=threshold,
        left=left.astype(np.intp),
        right=right.astype(np.intp),
        missing_goes_left=missing_goes_left.astype(bool),
        is_leaf=is_leaf.astype(bool),
        value=value,
        depth=depth,
    )


def walked(tree: Tree, row: Sequence[float]) -> float:
    node = 0
    while not tree.is_leaf[node]:
        value = row[tree.feature[node]]
        goes_left = tree.missing_goes_left[node] if np.isnan(value) else value <= tree.threshold[node]
        node = int(tree.left[node] if goes_left else tree.right[node])
    return float(tree.value[node])


def rows() -> npt.NDArray[np.float64]:
    random = np.random.default_rng(5)
    return random.choice([*VALUES, -3.0, 1e300, np.nan], size=(ROWS, 5))


FOREST = [grown(seed, depth) for seed, depth in enumerate((5, 1, 0, 8, 3))]
OTHER = [grown(seed, depth) for seed, depth in enumerate((2, 10), start=20)]
STUMPS = [grown(30, 0), grown(31, 0)]


@pytest.mark.parametrize("forest", [FOREST, OTHER, STUMPS, FOREST[:1]])
def test_each_row_reaches_the_leaf_of_each_tree(forest: list[Tree]) -> None:
    trees = Trees.laid_out(forest)
    expected = [[walked(tree, row) for tree in forest] for row in rows().tolist()]
    assert [trees.leaf_values(row).tolist() for row in rows().tolist()] == expected
    assert trees.leaf_values_of_rows(rows()).tolist() == expected


def test_none_is_a_missing_value() -> None:
    trees = Trees.laid_out(FOREST)
    for row in rows().tolist():
        holed = [None if np.isnan(value) else value for value in row]
        assert trees.leaf_values(holed).tolist() == trees.leaf_values(row).tolist()


@pytest.mark.parametrize(("first", "second"), [(FOREST, OTHER), (OTHER, FOREST), (STUMPS, FOREST)])
def test_side_by_side_each_reaches_its_own_leaves(first: list[Tree], second: list[Tree]) -> None:
    both = Trees.laid_out(first).beside(Trees.laid_out(second))
    at_once = Trees.laid_out([*first, *second])
    for row in rows().tolist():
        assert both.leaf_values(row).tolist() == [walked(tree, row) for tree in (*first, *second)]
    np.testing.assert_array_equal(both.leaf_values_of_rows(rows()), at_once.leaf_values_of_rows(rows()))


def test_threads_do_not_write_over_one_another_s_answers() -> None:
    trees = Trees.laid_out(FOREST + OTHER)
    expected = trees.leaf_values_of_rows(rows()).tolist()

    def walk(_: int) -> list[list[float]]:
        return [trees.leaf_values(row).tolist() for row in rows().tolist()]

    with ThreadPoolExecutor(4) as threads:
        assert all(found == expected for found in threads.map(walk, range(8)))
