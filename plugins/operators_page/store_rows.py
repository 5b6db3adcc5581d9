"""Rows of the market's prepared tables, as the page's views take them."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Served:
    """The snapshot that is being served."""

    snapshot: str
    switched_at: datetime


@dataclass(frozen=True, slots=True)
class Night:
    """A run of the nightly refresh."""

    as_of: date
    run_id: str
    started_at: datetime
    ended_at: datetime | None
    snapshot: str | None
    rows_in: int | None
    kept: int | None
    quarantined: int | None
    later: int | None
    seconds: float | None
    verdict: str | None
    outcome: str
    why: str | None


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
class Traffic:
    """The service's answers since a moment."""

    requests: int
    failed: int
    """Answered with a status of 500 or more."""
    seconds: float


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


@dataclass(frozen=True, slots=True)
class Vintage:
    """How a month's decisions turned out so far, by version and arm."""

    month: date
    version: str
    arm: str
    decisions: int
    excluded: int
    """Of them, those of which no outcome will ever count: declined, not taken up, or used to make the version."""
    labelled: int
    late: int
    roc_auc: float | None
    brier: float | None
    calibration_error: float | None
    expected_roc_auc: float | None
    expected_late_share: float | None
    measured_at: datetime
