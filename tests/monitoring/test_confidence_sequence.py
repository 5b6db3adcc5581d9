from collections import Counter

import numpy as np
import pytest

from monitoring.confidence_sequence import Interval, difference_interval, mean_interval, share_interval

ERROR = 0.1


def test_nothing_seen_says_nothing() -> None:
    assert share_interval(0, 0, ERROR) == Interval(0.0, 1.0)
    assert difference_interval(0, 0, 0, ERROR) == Interval(-1.0, 1.0)


def test_a_share_of_one_value_is_bounded_as_by_hand() -> None:
    """With hits alone K+(m) is the mean over the bets of (1 + c (1/m - 1))**n: at the bound it is 2 / error."""
    low, high = share_interval(5, 5, 0.005)
    bets = [0.99 * 2.0**-power for power in range(12)]
    capital = np.mean([(1 + bet * (1 / low - 1)) ** 5 for bet in bets])
    assert capital == pytest.approx(2 / 0.005, rel=1e-9)
    assert high == 1.0
    assert low == pytest.approx(0.18512465837366943, abs=1e-12)


def test_known_values() -> None:
    assert difference_interval(30, 940, 30, 0.005) == pytest.approx((-0.033617, 0.033617), abs=1e-6)
    assert difference_interval(60_000, 1_880_000, 60_000, 0.005) == pytest.approx(
        (-0.00072036, 0.00072036), abs=1e-8
    )
    assert share_interval(0, 1000, 0.005) == pytest.approx((0.0, 0.0085062), abs=1e-6)


def test_mirrored_differences_have_the_mirrored_interval() -> None:
    low, high = difference_interval(3, 200, 17, ERROR)
    assert difference_interval(17, 200, 3, ERROR) == pytest.approx((-high, -low), abs=1e-12)


def test_it_shrinks_with_the_sample_and_grows_with_the_certainty() -> None:
    widths = [
        (lambda low, high: high - low)(*difference_interval(n // 50, n - 2 * (n // 50), n // 50, ERROR))
        for n in (100, 1_000, 10_000, 100_000, 1_000_000)
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[-2] / 2.5  # nearly by the root of ten, as every interval of a mean
    strict, lax = share_interval(50, 1000, 0.001), share_interval(50, 1000, 0.2)
    assert strict.low < lax.low < 0.05 < lax.high < strict.high


@pytest.mark.parametrize(
    ("minus", "plus"),
    [(0.02, 0.02), (0.10, 0.05), (0.5, 0.5)],
)
def test_it_holds_the_mean_at_every_look_together(minus: float, plus: float) -> None:
    """100 streams of 2,000, looked at ever more rarely, as a judge does that looks at its intervals."""
    random = np.random.default_rng(5)
    looks = np.geomspace(2, 2000, 14).astype(int).tolist()
    missed = 0
    for stream in random.choice([-1, 0, 1], p=[minus, 1 - minus - plus, plus], size=(100, 2000)):
        seen = {value: np.cumsum(stream == value) for value in (-1, 0, 1)}
        intervals = (
            difference_interval(*(int(seen[value][look - 1]) for value in (-1, 0, 1)), ERROR)
            for look in looks
        )
        missed += any(not low <= plus - minus <= high for low, high in intervals)
    assert missed / 100 <= ERROR


def test_an_interval_for_one_look_does_not_hold_at_every_look() -> None:
    """What the sequence is for: the usual interval, looked at as often, misses far more than its error."""
    random = np.random.default_rng(6)
    hits = np.cumsum(random.random((400, 2000)) < 0.5, axis=1)[:, 29:]
    seen = np.arange(30, 2001)
    half = 1.645 * np.sqrt(0.25 / seen)  # 90 %
    assert np.any(np.abs(hits / seen - 0.5) > half, axis=1).mean() > 3 * ERROR


def test_the_order_of_what_is_seen_changes_nothing() -> None:
    values = [0.0, 0.5, 1.0, 1.0, 0.5, 0.25]
    assert mean_interval(Counter(values), ERROR) == mean_interval(Counter(reversed(values)), ERROR)


@pytest.mark.parametrize(
    ("counts", "error", "named"),
    [({0.5: 3}, 0.0, "error"), ({1.5: 1}, 0.1, "1.5"), ({0.5: -1}, 0.1, "-1")],
)
def test_what_makes_no_sense_is_named(counts: dict[float, int], error: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        mean_interval(counts, error)
