"""What ``make run`` says while it works."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Lines on stdout, each with the seconds since the beginning."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._start

    def say(self, line: str) -> None:
        """Print one line."""
        print(f"[{self.seconds:5.0f} s] {line}", flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Say that a step begins, and how long it took when it has ended well."""
        self.say(f"{name} …")
        begun = time.monotonic()
        yield
        self.say(f"{name}: done in {time.monotonic() - begun:.1f} s")


class StackError(Exception):
    """Something on this machine stands in the way; the message is one line that says what to do."""


def fail(error: BaseException) -> int:
    """Print an error as one line on stderr and return the exit code."""
    print(f"creditrisk: {error}", file=sys.stderr, flush=True)
    return 1
