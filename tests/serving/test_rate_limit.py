"""The limit of a key: so many a second and a burst, each key apart, a batch paid for afterwards."""

import pytest

from serving import rate_limit
from serving.rate_limit import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limit, "time", clock)
    return clock


def test_lets_a_burst_in_and_then_so_many_a_second(clock: Clock) -> None:
    limit = RateLimit(10.0, burst=3)
    assert [limit.wait(1) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.wait(1) == pytest.approx(0.1)
    clock.now += 0.1
    assert limit.wait(1) == 0.0
    assert limit.wait(1) == pytest.approx(0.1)
    clock.now += 100  # a quiet time earns a burst and no more
    assert [bool(limit.wait(1)) for _ in range(4)] == [False, False, False, True]


@pytest.mark.usefixtures("clock")
def test_counts_keys_apart() -> None:
    limit = RateLimit(10.0, burst=1)
    assert (limit.wait(1), limit.wait(2)) == (0.0, 0.0)
    assert limit.wait(1) > 0


@pytest.mark.usefixtures("clock")
def test_a_refused_request_costs_nothing() -> None:
    limit = RateLimit(10.0, burst=1)
    limit.wait(1)
    assert [limit.wait(1) for _ in range(50)] == [pytest.approx(0.1)] * 50


def test_a_batch_is_paid_for_afterwards(clock: Clock) -> None:
    limit = RateLimit(10.0, burst=5)
    assert limit.wait(1) == 0.0
    limit.charge(1, 99)
    assert limit.wait(1) == pytest.approx(9.6)  # 101 requests at 10 a second, less the burst of 5
    clock.now += 9.6
    assert limit.wait(1) == 0.0


def test_zero_sets_no_limit() -> None:
    limit = RateLimit(0.0, burst=1)
    limit.charge(1, 10_000)
    assert [limit.wait(1) for _ in range(100)] == [0.0] * 100
