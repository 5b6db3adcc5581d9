"""How often a key may ask: the generic cell rate algorithm, on one number a key.

The number is the moment at which everything that the key has asked for is paid off. It stands in memory that all
workers of a service share, so the limit is the service's and not a worker's. Two workers that count the same key at
the very same moment may count once: that errs by a request, and only in the client's favour.

Source: ITU-T I.371, the virtual scheduling form.
"""

import mmap
import time

SLOTS = 1024
"""Keys are counted apart by their number; from here on two keys may share a limit."""


class RateLimit:
    """So many requests a second, and so many at once after a quiet time."""

    def __init__(self, per_second: float, burst: int) -> None:
        """Nothing has been asked for yet. Made before the workers are, it is shared by them.

        Args:
            per_second: of each key; 0 sets no limit.
            burst: requests that may come at once.
        """
        self.per_second = per_second
        self._cost = 1 / per_second if per_second else 0.0
        self._burst = self._cost * burst
        self._paid_off = memoryview(mmap.mmap(-1, 8 * SLOTS)).cast("d")

    def wait(self, number: int) -> float:
        """Count a request of a key: 0.0 where it may be served, else the seconds until it might be."""
        if not self._cost:
            return 0.0
        slot, now = number % SLOTS, time.monotonic()  # the same clock in all processes of a machine
        paid_off = max(self._paid_off[slot], now) + self._cost
        early = paid_off - now - self._burst
        if early > 1e-9:
            return early
        self._paid_off[slot] = paid_off
        return 0.0

    def charge(self, number: int, requests: int) -> None:
        """Count more requests of a key that has been let in: it waits for them afterwards."""
        slot = number % SLOTS
        self._paid_off[slot] = max(self._paid_off[slot], time.monotonic()) + requests * self._cost
