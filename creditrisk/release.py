"""Who serves: release records and the rules of promotion and rollback. Pure: no storage, no clock."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from creditrisk.errors import NothingReleased, NothingToRollBackTo, ReleaseError


class ReleaseAction(StrEnum):
    """What made a release record."""

    PROMOTE = "promote"
    ROLL_BACK = "roll back"


class ReleaseRecord(BaseModel):
    """One release. The one with the highest number says who serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1)
    action: ReleaseAction
    champion: str
    challenger: str | None = None
    share: float = Field(0.0, ge=0.0, le=1.0)
    """The share of customers whom the challenger decides on."""
    by: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    at: AwareDatetime


def promotion(
    newest: ReleaseRecord | None, version: str, *, by: str, reason: str, at: datetime
) -> ReleaseRecord:
    """The record that puts ``version`` into service; ``newest`` itself where it serves already.

    Raises:
        ReleaseError: nobody, or no reason, is named.
    """
    _require_words(by=by, reason=reason)
    return _next(newest, ReleaseAction.PROMOTE, version, by=by, reason=reason, at=at)


def rollback(
    history: Sequence[ReleaseRecord], *, by: str, reason: str, at: datetime, to: str | None = None
) -> ReleaseRecord:
    """The record that puts an earlier version back; the newest one itself where that version serves already.

    Args:
        history: all records, oldest first.
        by: who rolls back.
        reason: why.
        at: when.
        to: a version that has served; by default :func:`rollback_target`.

    Raises:
        NothingReleased: there is no record.
        NothingToRollBackTo: no other version has served before, or ``to`` never has.
        ReleaseError: nobody, or no reason, is named.
    """
    _require_words(by=by, reason=reason)
    if not history:
        raise NothingReleased("roll back: nothing has been released yet")
    if to is None:
        to = rollback_target(history)
    elif to not in {record.champion for record in history}:
        raise NothingToRollBackTo(f"version {to}: has never served; promote it instead")
    return _next(history[-1], ReleaseAction.ROLL_BACK, to, by=by, reason=reason, at=at)


def rollback_target(history: Sequence[ReleaseRecord]) -> str:
    """The version that served before the present champion was promoted.

    Rolling back twice goes two versions back, never to the version that was rolled back from.

    Raises:
        NothingToRollBackTo: there is none.
    """
    line = _succession(history)
    if len(line) < 2:
        champion = f"{line[0]} is the first that" if line else "nothing"
        raise NothingToRollBackTo(f"roll back: {champion} has served: there is no version before it")
    return line[-2]


def served_at(history: Sequence[ReleaseRecord], time: datetime) -> ReleaseRecord | None:
    """The record in force at a moment, or None before the first."""
    return next((record for record in reversed(history) if record.at <= time), None)


def _succession(history: Sequence[ReleaseRecord]) -> list[str]:
    """The champions that led to the present one; what a rollback undid is not among them."""
    line: list[str] = []
    for record in history:
        if record.action is ReleaseAction.ROLL_BACK and record.champion in line:
            while line[-1] != record.champion:
                line.pop()
        elif not line or line[-1] != record.champion:
            line.append(record.champion)
    return line


def _next(
    newest: ReleaseRecord | None, action: ReleaseAction, champion: str, *, by: str, reason: str, at: datetime
) -> ReleaseRecord:
    if newest is None:
        return ReleaseRecord(number=1, action=action, champion=champion, by=by, reason=reason, at=at)
    if newest.champion == champion and newest.challenger is None:
        return newest
    return ReleaseRecord(
        number=newest.number + 1,
        action=action,
        champion=champion,
        by=by,
        reason=reason,
        at=max(at, newest.at),  # clocks differ between machines; the order of records must not
    )


def _require_words(**fields: str) -> None:
    for name, value in fields.items():
        if not value.strip():
            raise ReleaseError(f"{name}: empty: a release record names who and why")
