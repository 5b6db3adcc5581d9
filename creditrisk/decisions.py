"""The record of a decision: what was asked, what it rests on, what was answered. Its line in the log.

The service writes a record before its answer leaves; the log in Postgres, receipts, replay, the judge of a
release and monitoring read it. Nothing here opens a file or a connection.

A line is the CRC-32 of a JSON object in eight hexadecimal digits, a space, that object, and a line feed, so
that a line that was not written whole is known by itself. The object's fields are the columns of the table
``decisions``: JSON from either is the same record.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from creditrisk.contract import FEATURE_NAMES, FEATURES
from creditrisk.errors import RecordDamaged
from creditrisk.features import FeatureRow

_CHECKSUM_LENGTH = 9
"""Eight digits and a space."""


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
    The times are None where both were scored at once, so that neither has one of its own.
    """

    champion_probability: float
    champion_threshold: float
    champion_microseconds: int | None
    challenger: str
    challenger_probability: float | None
    challenger_threshold: float | None
    challenger_microseconds: int | None
    challenger_problem: str | None


_FLOATS = (
    *(feature.name for feature in FEATURES if feature.type == "double"),
    *("probability", "threshold"),
    *("champion_probability", "champion_threshold", "challenger_probability", "challenger_threshold"),
)
_UNPAIRED: dict[str, None] = dict.fromkeys(PairedScore._fields)


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


def to_line(record: DecisionRecord) -> bytes:
    """A record's line in the log, its line feed included."""
    given, paired = record.given, record.paired
    body = orjson.dumps(
        {
            "decision_id": record.decision_id,
            "decided_at": record.decided_at,
            "customer": record.customer,
            "loan": record.loan,
            "as_of": record.as_of,
            "given": given and given._asdict(),
            "snapshot": record.snapshot,
            **dict(zip(FEATURE_NAMES, record.features, strict=True)),
            "release": record.release,
            "champion": record.champion,
            "model_version": record.model_version,
            "arm": record.arm,
            "probability": record.probability,
            "threshold": record.threshold,
            "decision": record.decision,
            **(_UNPAIRED if paired is None else dict(zip(_UNPAIRED, paired, strict=True))),
            "reasons": record.reasons,
            "latency_microseconds": record.latency_microseconds,
            "key_name": record.key_name,
        }
    )
    return b"%08x %b\n" % (crc32(body), body)


def from_line(line: bytes) -> DecisionRecord:
    """The record of a line; the line feed may be missing.

    Raises:
        RecordDamaged: the line is not whole, or not a record's.
    """
    return record_of(json_of(line))


def json_of(line: bytes) -> bytes:
    """A line's JSON object, after its checksum was found right.

    Raises:
        RecordDamaged: the line is not whole.
    """
    body = line[_CHECKSUM_LENGTH:].removesuffix(b"\n")
    if line[:_CHECKSUM_LENGTH] != b"%08x " % crc32(body):
        raise RecordDamaged(f"a line of {len(line)} bytes: not written whole, or changed since")
    return body


def record_of(body: bytes | str) -> DecisionRecord:
    """The record of a JSON object as in a line, or as Postgres makes of a row of the table.

    Raises:
        RecordDamaged: it has not the fields of a record.
    """
    try:
        return _record(_with_floats(orjson.loads(body)))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordDamaged(f"not a decision's record: {type(error).__name__}: {error}") from None


def _record(fields: Mapping[str, Any]) -> DecisionRecord:
    given = fields["given"]
    is_paired = fields["challenger"] is not None
    plain = {name: fields[name] for name in DecisionRecord._fields if name in fields}
    return DecisionRecord(
        **plain
        | {
            "decided_at": datetime.fromisoformat(fields["decided_at"]).astimezone(UTC),
            "loan": LoanAsked(fields["loan"]),
            "as_of": _date(fields["as_of"]),
            "given": given
            and GivenAttributes(
                birthday=date.fromisoformat(given["birthday"]),
                job_start_date=_date(given["job_start_date"]),
                flag_own_car=given["flag_own_car"],
            ),
            "features": _features(fields),
            "arm": Arm(fields["arm"]),
            "paired": PairedScore(**{name: fields[name] for name in _UNPAIRED}) if is_paired else None,
        }
    )


def _with_floats(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with whole numbers as floats where floats belong: Postgres writes 200.0 as 200."""
    return fields | {name: float(fields[name]) for name in _FLOATS if fields[name] is not None}


def _features(fields: Mapping[str, Any]) -> FeatureRow:
    age, years, loans, mean, car = (fields[name] for name in FEATURE_NAMES)
    return age, years, loans, mean, car


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
