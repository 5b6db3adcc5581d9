"""A cohort: what one version, as champion or challenger, scored in a month, and what is known of it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from monitoring.outcome_reads import Counted
from monitoring.score_histogram import BinCount, Outcomes, ScoreHistogram, all_bins

NOT_COUNTED = {
    "declined": "declined",
    "no loan": "without a loan so far",
    "made with": "about loans that the version was made with",
    "unlinked": "about loans that no snapshot names",
}
"""Questions of which no outcome counts, with the words for them."""


@dataclass(frozen=True)
class Cohort:
    """What is known of one scorer's decisions of a month."""

    month: date
    version: str
    arm: str
    states: dict[str, list[BinCount]]

    @property
    def last_day(self) -> date:
        """Of the month."""
        return (self.month + timedelta(days=31)).replace(day=1) - timedelta(days=1)

    @property
    def part(self) -> str:
        """Of a measure."""
        return f"{self.month:%Y-%m}/{self.version}/{self.arm}"

    @property
    def name(self) -> str:
        """In a sentence."""
        return f"{self.month:%Y-%m}, {self.version} as {self.arm}"

    @cached_property
    def outcomes(self) -> Outcomes:
        """Of those whose outcome is known."""
        return Outcomes(self._histogram("late"), self._histogram("in time"))

    @cached_property
    def scores(self) -> ScoreHistogram:
        """Of all those of which an outcome may count."""
        return self.outcomes.together().with_all_of(self._histogram("open"))

    @cached_property
    def left_out(self) -> dict[str, int]:
        """How many do not count, by why."""
        return {state: self._count(state) for state in NOT_COUNTED if self._count(state)}

    @property
    def late(self) -> int:
        """How many turned out late."""
        return self._count("late")

    @property
    def labelled(self) -> int:
        """Of how many the outcome is known."""
        return self.late + self._count("in time")

    @property
    def possible(self) -> int:
        """Of how many an outcome may count: a loan followed, or was there."""
        return self.labelled + self._count("open")

    @property
    def labelled_share(self) -> float:
        """Of those of which an outcome may count."""
        return self.labelled / self.possible if self.possible else 0.0

    def joined(self, other: "Cohort") -> "Cohort":
        """The decisions of both, as one scorer's."""
        states = {
            state: [*self.states.get(state, ()), *other.states.get(state, ())]
            for state in self.states.keys() | other.states.keys()
        }
        return Cohort(self.month, self.version, self.arm, states)

    def _count(self, state: str) -> int:
        return sum(each.loans for each in self.states.get(state, ()))

    def _histogram(self, state: str) -> ScoreHistogram:
        bins = all_bins(*(self.states.get(name, ()) for name in ("late", "in time", "open")))
        return ScoreHistogram.of(self.states.get(state, ()), bins)


def arranged(of_month: Iterable[Counted]) -> tuple[list[Cohort], list[tuple[Cohort, Cohort]]]:
    """Each version's decisions, and pairs of challenger and champion over the same decisions."""
    alone = dict[tuple[str, str], Cohort]()
    besides = dict[tuple[str, str, str], Cohort]()
    for each in of_month:
        scorer = each.scorer
        cohort = Cohort(scorer.month, scorer.version, scorer.arm, each.states)
        if scorer.beside is not None:
            besides[scorer.arm, scorer.version, scorer.beside] = cohort
        if scorer.beside is None or scorer.arm == "challenger":
            key = (scorer.version, scorer.arm)
            alone[key] = alone[key].joined(cohort) if key in alone else cohort
    pairs = [
        (cohort, besides["champion", beside, version])
        for (arm, version, beside), cohort in besides.items()
        if arm == "challenger" and ("champion", beside, version) in besides
    ]
    return list(alone.values()), pairs
