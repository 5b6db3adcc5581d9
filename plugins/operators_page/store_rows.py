"""What the page's views take of the market's store where they want less, or more, than a row of one of its tables."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Served:
    """The snapshot that is being served."""

    snapshot: str
    switched_at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong, or was."""

    number: int
    rule: str
    subject: str
    severity: str
    started_at: datetime
    ended_at: datetime | None
    words: str
    since: date
    serving: str
    advice: str
    link: str
    unsent: int
    """Messages about it that have not got out."""
    problem: str | None
    """What the last try to send one of them said."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The newest look at a part of the system."""

    name: str
    verdict: str
    words: str
    seen_at: datetime


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
