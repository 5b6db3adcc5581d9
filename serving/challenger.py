"""The version that challenges the champion, as this process has it. Whatever it does, it does not raise."""

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from creditrisk.errors import CreditRiskError
from creditrisk.features import FeatureRow
from creditrisk.scoring import FlatModel, FlatPair
from serving.loaded_version import LoadedVersion

logger = logging.getLogger(__name__)

SLOW_FACTOR = 10
"""How many times the limit a row takes that counts as far too slow."""

SLOW_IN_A_ROW = 5
"""Rows in a row, each far too slow, after which it is scored no more: a busy machine does not make so many."""

APART_NANOSECONDS = 20_000_000
"""Where requests come closer together than this, both versions are scored at once, but for one in so much time."""

LONGEST_PROBLEM = 200
"""Characters of an error that a decision's record keeps."""


class ChallengerScore(NamedTuple):
    """What the challenger says of a row, or why it says nothing."""

    probability: float | None
    threshold: float | None
    microseconds: int | None
    problem: str | None


class Challenger:
    """Scores beside the champion from :meth:`admit` on, until it turns out to be far too slow."""

    def __init__(self, version: str, microseconds_limit: float) -> None:
        """It is not loaded yet.

        Args:
            version: which one it is.
            microseconds_limit: what scoring a row should take at most.
        """
        self.version = version
        self.loaded: LoadedVersion | None = None
        self.problem: str | None = None
        """Why it is not scored; None also while it is still being loaded."""
        self.has_ended = False
        """Whether a later release has ended its challenge, while the release of that challenge goes on."""
        self._pair: FlatPair | None = None
        self._last_apart = 0
        self._far_too_slow_nanoseconds = SLOW_FACTOR * microseconds_limit * 1000
        self._slow_in_a_row = 0
        self._has_failed = False
        self._silent = _silent(f"challenger {version}: still being loaded")

    def admit(self, loaded: LoadedVersion, pair: FlatPair | None = None) -> None:
        """Score with it from now on, and, if there is a pair, also at once with the champion that is its first."""
        self.loaded, self.problem, self._pair = loaded, None, pair

    def refuse(self, problem: str) -> None:
        """Score with it no more, or not yet."""
        self._silence(problem)
        logger.error("%s", self.problem)

    def end(self, release: int) -> None:
        """Score with it no more, because a later release does not name it."""
        self.has_ended = True
        self._silence(f"release {release} has ended its challenge")

    def score_with(self, champion: FlatModel, features: FeatureRow) -> tuple[float, ChallengerScore] | None:
        """What the champion and it say of a row, found at once; None where each is to be scored by itself.

        At once costs a third, but hides what either takes, and does not tell whose a failure is. So requests that
        come slowly are scored apart, as is one in twenty milliseconds of those that come fast, and each that fails.
        """
        pair = self._pair
        if pair is None or pair.first is not champion or self.loaded is None or self.problem is not None:
            return None
        now = time.perf_counter_ns()
        if now - self._last_apart > APART_NANOSECONDS:
            self._last_apart = now
            return None
        try:
            probability, challenging = pair.probabilities(features)
        except Exception:  # noqa: BLE001  apart it will be found out whose it is
            return None
        if _problem_of(challenging) is not None:
            return None
        return probability, ChallengerScore(challenging, self.loaded.manifest.threshold, None, None)

    def score(self, features: FeatureRow) -> ChallengerScore:
        """What it says of a row."""
        if self.loaded is None or self.problem is not None:
            return self._silent
        began = time.perf_counter_ns()
        probability: float | None = None
        try:
            probability = self.loaded.flat.probability(features)
            problem = _problem_of(probability)
        except Exception as error:  # noqa: BLE001  whatever it raises, the champion's answer is to stand
            problem = in_words(error)[:LONGEST_PROBLEM]
        nanoseconds = time.perf_counter_ns() - began
        if nanoseconds > self._far_too_slow_nanoseconds:
            self._was_far_too_slow(1)
        else:
            self._slow_in_a_row = 0
        if problem is not None:
            self._tell_once(problem)
            probability = None
        return ChallengerScore(probability, self.loaded.manifest.threshold, nanoseconds // 1000, problem)

    def score_many(self, rows: Sequence[FeatureRow]) -> list[ChallengerScore]:
        """What it says of many rows, at least one; the time of each is its part of the whole."""
        if self.loaded is None or self.problem is not None:
            return [self._silent] * len(rows)
        began = time.perf_counter_ns()
        try:
            probabilities = self.loaded.flat.probabilities(rows).tolist()
        except Exception:  # noqa: BLE001  it may be one row's, and the others are to be scored
            return [self.score(row) for row in rows]
        nanoseconds = (time.perf_counter_ns() - began) // len(rows)
        if nanoseconds > self._far_too_slow_nanoseconds:
            self._was_far_too_slow(len(rows))
        threshold, microseconds = self.loaded.manifest.threshold, nanoseconds // 1000
        return [self._score_of(probability, threshold, microseconds) for probability in probabilities]

    def _silence(self, problem: str) -> None:
        self.problem = f"challenger {self.version}: not scored: {problem}"
        self._silent = _silent(self.problem)

    def _score_of(self, probability: float, threshold: float, microseconds: int) -> ChallengerScore:
        problem = _problem_of(probability)
        if problem is None:
            return ChallengerScore(probability, threshold, microseconds, None)
        self._tell_once(problem)
        return ChallengerScore(None, threshold, microseconds, problem)

    def _was_far_too_slow(self, rows: int) -> None:
        self._slow_in_a_row += rows
        if self._slow_in_a_row >= SLOW_IN_A_ROW and self.problem is None:
            limit = self._far_too_slow_nanoseconds / 1000
            self.refuse(f"{self._slow_in_a_row} rows in a row took more than {limit:g} µs each")

    def _tell_once(self, problem: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            logger.error("challenger %s: a row cannot be scored: %s", self.version, problem)


def _silent(problem: str) -> ChallengerScore:
    return ChallengerScore(None, None, None, problem[:LONGEST_PROBLEM])


def _problem_of(probability: float) -> str | None:
    return None if 0.0 <= probability <= 1.0 else f"its probability is {probability!r}, which is none"


def in_words(error: Exception) -> str:
    """One line for an operator: our own errors speak for themselves, others are named."""
    line = next(iter(str(error).splitlines()), "")
    return line if isinstance(error, CreditRiskError) else f"{type(error).__name__}: {line}"
