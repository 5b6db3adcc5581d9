"""The population stability index, by hand and by its properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk.population_stability import population_stability_index


def test_is_the_formula() -> None:
    # Shares 0.5, 0.3, 0.2 against 0.4, 0.3, 0.3, worked out by hand.
    expected = (0.4 - 0.5) * math.log(0.4 / 0.5) + (0.3 - 0.2) * math.log(0.3 / 0.2)
    assert population_stability_index([50, 30, 20], [40, 30, 30]) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(0.06286, abs=1e-5)


def test_counts_missing_values_as_a_bin() -> None:
    expected = (0.5 - 0.75) * math.log(0.5 / 0.75) + (0.5 - 0.25) * math.log(0.5 / 0.25)
    assert population_stability_index([75], [50], 25, 50) == pytest.approx(expected, rel=1e-12)


def test_merges_fine_bins_by_the_references_deciles() -> None:
    assert population_stability_index([1] * 1000, [2, 0] * 500) == pytest.approx(0)
    assert population_stability_index([5, 95], [20, 80]) > 0.1


def test_sees_values_where_the_reference_had_none() -> None:
    assert population_stability_index([0, 60, 40], [30, 40, 30]) > 1


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=40),
    st.integers(0, 1000),
    st.integers(2, 50),
)
def test_is_nothing_for_the_same_shares(counts: list[int], nulls: int, times: int) -> None:
    larger = [count * times for count in counts]
    assert population_stability_index(counts, larger, nulls, nulls * times) == pytest.approx(0, abs=1e-9)


@given(st.data())
def test_is_finite_and_never_negative(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    counts = st.lists(st.integers(0, 10_000), min_size=size, max_size=size)
    index = population_stability_index(
        data.draw(counts), data.draw(counts), data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))
    )
    assert 0 <= index < 50
