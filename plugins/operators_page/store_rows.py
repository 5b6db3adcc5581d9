"""What the page's views take of the market's store where they want less, or more, than a row of one of its tables."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Served:
    """The snapshot that is being served."""

    snapshot: str
    switched_at: datetime


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions since a moment."""

    decisions: int
    approved: int


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure of a day."""

    day: date
    metric: str
    part: str
    value: float | None
    limit: float | None
    verdict: str
    words: str
