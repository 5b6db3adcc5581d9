"""The record of a decision: what was asked, what it rests on, what was answered. Its line in the log.

The service writes a record before its answer leaves; the log in Postgres, receipts, replay, the judge of a
release and monitoring read it. Nothing here opens a file or a connection.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from creditrisk.features import FeatureRow


class LoanAsked(StrEnum):
    """Which of a customer's loans a question is about."""

    NEWEST = "newest"  # the newest one that is published
    NEXT = "next"  # the one being applied for


class Arm(StrEnum):
    """Which of the two released versions gave the answer, and why."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    FALLBACK = (
        "fallback"  # the challenger's customer, whom the champion decided on because the challenger failed
    )


class GivenAttributes(NamedTuple):
    """What a client says of a customer whom no snapshot knows."""

    birthday: date
    job_start_date: date | None
    flag_own_car: int


class PairedScore(NamedTuple):
    """What both versions say of the same features while there is a challenger.

    ``challenger_probability`` is None where the challenger failed or is refused; ``challenger_problem`` says why.
    """

    champion_probability: float
    champion_threshold: float
    champion_microseconds: int
    challenger: str
    challenger_probability: float | None
    challenger_threshold: float | None
    challenger_microseconds: int | None
    challenger_problem: str | None


class DecisionRecord(NamedTuple):
    """A decision, and all that is needed to explain it and to make it again."""

    decision_id: str
    """A time-ordered UUID (version 7), lower case."""
    decided_at: datetime
    """In UTC."""
    customer: int
    loan: LoanAsked
    as_of: date | None
    """The day of the loan being applied for; None for the newest loan."""
    given: GivenAttributes | None
    """What the client said of a customer whom the snapshot does not know, else None."""
    snapshot: str
    features: FeatureRow
    release: int
    """Number of the release record in force."""
    champion: str
    model_version: str
    """The version whose probability and threshold decided."""
    arm: Arm
    probability: float
    threshold: float
    decision: int
    """1 declines: the probability is at or above the threshold."""
    paired: PairedScore | None
    """Both versions' scores; None where there is no challenger."""
    reasons: list[dict[str, Any]] | None
    """As they were answered; None where they were not asked for."""
    latency_microseconds: int
    """From the request's arrival to the writing of this record."""
    key_name: str | None
    """Name of the API key that asked; None where none was needed."""
