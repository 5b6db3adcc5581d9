"""The service's figures, counted in memory that all its workers share: each adds in its own part, any adds up all.

Counting is an addition to a number in memory, without a lock or a file: nobody else writes there. A worker that
takes a dead one's place goes on in its part, so that no counter ever goes back.
"""

import mmap
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from creditrisk.decisions import Arm, DecisionRecord

BOUNDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds of the latency histogram, in seconds; the last bucket has none."""

STATUSES = (200, 401, 403, 404, 405, 408, 413, 422, 429, 500, 503)
OTHER = "other"
"""The route of a path that is none, and the status of what is none of the above."""

GAUGES = (
    "seen",  # this process's clock when the others were written
    "release",
    "log_pending_bytes",
    "log_seconds_since_shipped",
    "log_rejected",
    "log_writable",
    "log_shipping",
    "keys_known",
)
FRESH_SECONDS = 10.0
"""Gauges older than that are a dead worker's."""

_ROUTES = 32
_CELL = len(BOUNDS) + 2  # the buckets, and the sum of seconds
_ROUTE = (len(STATUSES) + 1) * _CELL
_DECISIONS = _ROUTES * _ROUTE
_GAUGES = _DECISIONS + 2 * len(Arm)
_SIZE = _GAUGES + len(GAUGES)
_CELL_OF_STATUS = {status: place * _CELL for place, status in enumerate(STATUSES)}
_OTHER_STATUS = len(STATUSES) * _CELL
_PLACE_OF_ARM = {arm: _DECISIONS + 2 * place for place, arm in enumerate(Arm)}


class Latencies(NamedTuple):
    """How long the requests of a route with a status took."""

    route: str
    status: str
    buckets: list[float]
    """Requests by bucket, not added up."""
    seconds: float
    """Of all of them."""


class Figures:
    """The figures of one worker, and of all."""

    def __init__(self, workers: int = 1) -> None:
        """All are 0. Made before the workers are, it is shared by them."""
        self._workers = workers
        self._all = memoryview(mmap.mmap(-1, workers * _SIZE * 8)).cast("d")
        self._own = self._all[:_SIZE]
        self._routes: dict[str, int] = {}

    def take(self, worker: int) -> None:
        """Count in this worker's part from now on."""
        self._own = self._all[worker * _SIZE : (worker + 1) * _SIZE]

    def route(self, name: str) -> int:
        """Where a route is counted, by its name for people; all workers must name the same ones in the same order."""
        place = self._routes.setdefault(name, len(self._routes))
        if place >= _ROUTES:
            raise ValueError(f"route {name}: more than {_ROUTES} routes")
        return place * _ROUTE

    def answered(self, route: int, status: int, seconds: float) -> None:
        """Count a request."""
        own, cell = self._own, route + _CELL_OF_STATUS.get(status, _OTHER_STATUS)
        own[cell + bisect_left(BOUNDS, seconds)] += 1.0
        own[cell + _CELL - 1] += seconds

    def decided(self, record: DecisionRecord) -> None:
        """Count a decision by its arm and outcome."""
        self._own[_PLACE_OF_ARM[record.arm] + record.decision] += 1.0

    def set_gauges(self, values: Mapping[str, float]) -> None:
        """Write this worker's gauges, as of now."""
        for place, name in enumerate(GAUGES):
            self._own[_GAUGES + place] = time.monotonic() if name == "seen" else values.get(name, 0.0)

    def latencies(self) -> Iterator[Latencies]:
        """Of all workers together, where there is anything."""
        return self._latencies(self._total(0, _DECISIONS))

    def own(self) -> list[float]:
        """How far this worker's part has come, for :meth:`grown_since`."""
        return list(self._own[:_DECISIONS])

    def grown_since(self, before: list[float], now: list[float]) -> Iterator[Latencies]:
        """What this worker's part grew by from one moment to another."""
        return self._latencies([new - old for new, old in zip(now, before, strict=True)])

    def _latencies(self, total: list[float]) -> Iterator[Latencies]:
        for route, place in self._routes.items():
            for status, cell in [*_CELL_OF_STATUS.items(), (OTHER, _OTHER_STATUS)]:
                at = place * _ROUTE + cell
                buckets = total[at : at + _CELL - 1]
                if any(buckets):
                    yield Latencies(route, str(status), buckets, total[at + _CELL - 1])

    def decisions(self) -> Iterator[tuple[Arm, int, float]]:
        """Arm, outcome, and how many, of all workers together."""
        counts = self._total(_DECISIONS, _GAUGES)
        for place, arm in enumerate(Arm):
            yield arm, 0, counts[2 * place]
            yield arm, 1, counts[2 * place + 1]

    def gauges(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Each living worker's number and gauges."""
        for worker in range(self._workers):
            begin = worker * _SIZE + _GAUGES
            values = dict(zip(GAUGES, self._all[begin : begin + len(GAUGES)], strict=True))
            if 0 < time.monotonic() - values["seen"] + 1e-9 < FRESH_SECONDS and values["seen"]:
                yield worker, values

    def _total(self, begin: int, end: int) -> list[float]:
        parts = [self._all[worker * _SIZE + begin : worker * _SIZE + end] for worker in range(self._workers)]
        return [sum(values) for values in zip(*parts, strict=True)]
