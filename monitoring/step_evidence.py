"""What is known of a step of a release: counts of what champion and challenger said of the same requests.

Counts of two sources add up, so the log's and those of a fill-up are one evidence.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Self

SCORE_BINS = 400
"""Of the log-odds of a probability, from -10 to 10; what lies beyond counts as the outermost."""

LEAST_PROBABILITY = 5e-5
"""What a smaller probability counts as, so that its log-odds are a bin's; one that is nearer to 1 likewise."""

Group = tuple[str, str]
"""A kind and a value, such as ``("gender", "F")``."""

Timing = tuple[int, int]
"""Microseconds that champion and challenger took for one row."""


class Approvals(NamedTuple):
    """Customers by whom the two versions approve, each customer counted once."""

    both: int = 0
    only_champion: int = 0
    only_challenger: int = 0
    neither: int = 0

    @property
    def customers(self) -> int:
        """All of them."""
        return sum(self)

    @property
    def flips(self) -> int:
        """Those on whom the two decide differently."""
        return self.only_champion + self.only_challenger

    @property
    def shift(self) -> float:
        """The challenger's approval rate less the champion's; 0 where there is nobody."""
        return (self.only_challenger - self.only_champion) / self.customers if self.customers else 0.0

    def joined(self, other: "Approvals") -> "Approvals":
        """Those of both."""
        return Approvals(*map(sum, zip(self, other, strict=True)))

    @classmethod
    def of(cls, champion: bool, challenger: bool, customers: int = 1) -> Self:
        """Customers of whom both versions say the same."""
        counts = [0, 0, 0, 0]
        counts[2 * (not champion) + (not challenger)] = customers
        return cls(*counts)


_NOBODY = Approvals()


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """Counts since a step began. Decisions count each request, customers each customer's first one."""

    decisions: int = 0
    """Requests that both versions were asked about, those on which the challenger failed among them."""
    problems: Counter[str] = field(default_factory=Counter)
    """Requests on which the challenger failed, by its words."""
    challengers_customers: int = 0
    """Requests of the challenger's share of customers."""
    fallbacks: int = 0
    """Those of them that the champion decided because the challenger failed."""
    loading: int = 0
    """Requests that came while a process was still loading the challenger; they count for nothing else."""
    timings: Counter[Timing] = field(default_factory=Counter)
    """Requests by how long both took, of those on which each was scored by itself."""
    approvals: Approvals = _NOBODY
    groups: dict[Group, Approvals] = field(default_factory=dict)
    champion_scores: Counter[int] = field(default_factory=Counter)
    """Customers by the bin of their score."""
    challenger_scores: Counter[int] = field(default_factory=Counter)
    filled_up: int = 0
    """Customers among them whose request is of the day before, scored again for this."""

    def joined(self, other: "StepEvidence") -> "StepEvidence":
        """Both together; no customer may be in both."""
        groups = dict(self.groups)
        for group, approvals in other.groups.items():
            groups[group] = groups.get(group, _NOBODY).joined(approvals)
        return StepEvidence(
            decisions=self.decisions + other.decisions,
            problems=self.problems + other.problems,
            challengers_customers=self.challengers_customers + other.challengers_customers,
            fallbacks=self.fallbacks + other.fallbacks,
            loading=self.loading + other.loading,
            timings=self.timings + other.timings,
            approvals=self.approvals.joined(other.approvals),
            groups=groups,
            champion_scores=self.champion_scores + other.champion_scores,
            challenger_scores=self.challenger_scores + other.challenger_scores,
            filled_up=self.filled_up + other.filled_up,
        )

    def slow(self, limit: int) -> tuple[int, int, int]:
        """Requests on which only the champion, neither or both, and only the challenger took over ``limit`` µs."""
        only_champion = sum(n for (a, b), n in self.timings.items() if a > limit >= b)
        only_challenger = sum(n for (a, b), n in self.timings.items() if b > limit >= a)
        return only_champion, self.timings.total() - only_champion - only_challenger, only_challenger


def quantile(values: Iterable[tuple[int, int]], share: float) -> int | None:
    """The smallest of counted values, given as (value, count), that at least a share lies at or below."""
    counts = Counter[int]()
    for value, count in values:
        counts[value] += count
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= share * counts.total():
            return value
    return None


def histogram(scores: Counter[int]) -> list[int]:
    """Counts by bin, all bins."""
    return [scores[number] for number in range(SCORE_BINS)]
