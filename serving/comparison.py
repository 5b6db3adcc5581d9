"""A decision's record held against the same decision made again: what is the same, what differs, what cannot be said."""

from dataclasses import dataclass, field
from typing import Any

from creditrisk.decisions import DecisionRecord


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the record has otherwise than the replay."""

    what: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A comparison that can no longer be made."""

    what: str
    why: str


@dataclass(slots=True)
class Comparison:
    """What came of making a decision again."""

    record: DecisionRecord
    compared: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    not_compared: list[NotCompared] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        """Whether every comparison was made, and none found a difference."""
        return not self.differences and not self.not_compared

    @property
    def verdict(self) -> str:
        """``same``, ``differs``, or ``not compared`` where nothing differs but not all could be compared."""
        if self.differences:
            return "differs"
        return "not compared" if self.not_compared else "same"

    def compare(self, what: str, recorded: Any, replayed: Any, *, tolerance: float = 0.0) -> None:
        """Hold a value against the record's: bit for bit, or numbers within a tolerance."""
        self.compared.append(what)
        is_same = recorded == replayed
        if not is_same and tolerance and recorded is not None:
            is_same = abs(recorded - replayed) <= tolerance
        if not is_same:
            self.differences.append(Difference(what, recorded, replayed))

    def as_json(self) -> dict[str, Any]:
        """As the route answers it."""
        return {
            "decision_id": self.record.decision_id,
            "verdict": self.verdict,
            "compared": self.compared,
            "differences": [
                {"what": one.what, "recorded": _shown(one.recorded), "replayed": _shown(one.replayed)}
                for one in self.differences
            ],
            "not_compared": [{"what": one.what, "why": one.why} for one in self.not_compared],
        }

    def lines(self) -> list[str]:
        """As a person reads it."""
        record = self.record
        head = (
            f"{self.verdict}: decision {record.decision_id} by version {record.model_version} on snapshot"
            f" {record.snapshot}: {len(self.compared)} comparisons"
        )
        return [
            head,
            *(
                f"  {one.what}: recorded {one.recorded!r}, replayed {one.replayed!r}"
                for one in self.differences
            ),
            *(f"  {one.what}: cannot be compared: {one.why}" for one in self.not_compared),
        ]


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
