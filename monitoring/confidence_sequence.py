"""Intervals for a mean that may be looked at after every observation, and acted on at any look.

An ordinary 95 % interval is right 95 % of the time if it is computed once. A judge that looks every few minutes and
stops when it likes what it sees is wrong far more often. A *confidence sequence* is an interval for every
sample size such that, with probability 1 - error, all of them at once hold the mean.

This one is the hedged capital process of I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random
variables by betting", Journal of the Royal Statistical Society B 86(1), 2024, with bets fixed in advance and averaged
(their diversified Kelly betting). For values x in [0, 1] and a candidate mean m, two gamblers bet on every
observation that the mean is above m, and below it; each splits a capital of 1 among D fixed shares c of the
largest bet that cannot ruin:

    K+(m) = 1/D * sum over c of prod over i of (1 + c * (x_i / m - 1))
    K-(m) = 1/D * sum over c of prod over i of (1 + c * ((1 - x_i) / (1 - m) - 1))

Where m is the mean, both are non-negative martingales from 1, and by Ville's inequality max(K+, K-) / 2 ever
reaches 1 / error with a probability of at most error. So the interval is every m for which it has not. As the bets do
not depend on the data, the products depend on how often each value was seen and not on the order: counts suffice.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

_BETS = tuple(0.99 * 2.0**-power for power in range(12))
"""Shares of the largest bet. The small ones are for large samples: the last is the best one at some 10**7."""

_HALVINGS = 50
"""Of the range that a bound is searched in: to 1e-15."""


class Interval(NamedTuple):
    """Where a mean is, with the error that was asked for over all looks together."""

    low: float
    high: float


def share_interval(hits: int, total: int, error: float) -> Interval:
    """The interval of a share, from how often something happened. All of [0, 1] where nothing was seen."""
    return mean_interval({1.0: hits, 0.0: total - hits}, error)


def difference_interval(minus: int, zero: int, plus: int, error: float) -> Interval:
    """The interval of the mean of differences in {-1, 0, 1}, from how often each was seen."""
    low, high = mean_interval({0.0: minus, 0.5: zero, 1.0: plus}, error)
    return Interval(2 * low - 1, 2 * high - 1)


def mean_interval(counts: Mapping[float, int], error: float) -> Interval:
    """The interval of the mean of values in [0, 1].

    Args:
        counts: how often each value was seen.
        error: the probability, over all looks together, that an interval misses the mean; above 0, below 1.

    Raises:
        ValueError: a value lies outside [0, 1], a count is negative, or the error is no probability.
    """
    if not 0.0 < error < 1.0:
        raise ValueError(f"error: {error}: not between 0 and 1")
    for value, count in counts.items():
        if not 0.0 <= value <= 1.0 or count < 0:
            raise ValueError(f"counts: {count} of {value}: values lie in [0, 1] and counts are not negative")
    limit = math.log(2.0 / error)
    mirrored = {1.0 - value: count for value, count in counts.items()}
    low = _bound(lambda mean: _log_capital(counts, mean) >= limit)
    high = 1.0 - _bound(lambda mean: _log_capital(mirrored, mean) >= limit)
    return Interval(low, high)


def _log_capital(counts: Mapping[float, int], mean: float) -> float:
    """The logarithm of K+; it falls as the mean rises."""
    logs = [
        sum(count * math.log1p(bet * (value / mean - 1.0)) for value, count in counts.items() if count)
        for bet in _BETS
    ]
    largest = max(logs)
    return largest + math.log(sum(math.exp(log - largest) for log in logs) / len(logs))


def _bound(is_excluded: Callable[[float], bool]) -> float:
    """The highest mean in [0, 1] that is excluded, which all below it are too; 0 where none is."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if is_excluded(middle):
            low = middle
        else:
            high = middle
    return low
