"""Who serves: release records, the rules of challenge, promotion and rollback, and whose customer one is.

A challenge starts at share 0, where the challenger decides on nobody, and its share only grows. It ends by an
abort, or by any promotion or rollback, each in that one record. Pure: no storage, no clock.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from enum import StrEnum
from hashlib import sha256
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from creditrisk.errors import ChallengeRefused, NothingReleased, NothingToRollBackTo, ReleaseError


class ReleaseAction(StrEnum):
    """What made a release record."""

    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    CHALLENGE = "challenge"
    GROW = "grow"
    ABORT = "abort"


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

    @model_validator(mode="after")
    def _challenges_another(self) -> Self:
        if self.challenger is None and self.share > 0:
            raise ValueError(f"share: {self.share:g}: there is no challenger to have it")
        if self.challenger == self.champion:
            raise ValueError(f"challenger: {self.challenger}: is the champion itself")
        return self


def promotion(
    newest: ReleaseRecord | None, version: str, *, by: str, reason: str, at: datetime
) -> ReleaseRecord:
    """The record that puts ``version`` into service, alone; ``newest`` itself where it serves alone already.

    Raises:
        ReleaseError: nobody, or no reason, is named.
    """
    _require_words(by=by, reason=reason)
    return _next(newest, ReleaseAction.PROMOTE, version, by=by, reason=reason, at=at)


def completion(
    newest: ReleaseRecord | None, version: str, *, by: str, reason: str, at: datetime
) -> ReleaseRecord:
    """The record that promotes ``version`` because it is the challenger; ``newest`` itself where it serves alone.

    Raises:
        ChallengeRefused: it is not, or no longer, the challenger: whoever ended its challenge is to be heard.
        ReleaseError: nobody, or no reason, is named.
    """
    if newest is None or version not in (newest.champion, newest.challenger):
        raise ChallengeRefused(f"version {version}: is not the challenger: {_in_force(newest)}")
    if version == newest.champion and newest.challenger is not None:
        raise ChallengeRefused(f"version {version}: is the champion, and {_in_force(newest)}")
    return promotion(newest, version, by=by, reason=reason, at=at)


def challenge(
    newest: ReleaseRecord | None, version: str, share: float, *, by: str, reason: str, at: datetime
) -> ReleaseRecord:
    """The record that lets ``version`` challenge the champion, or grows its share; ``newest`` where it has it.

    Raises:
        NothingReleased: there is no champion to challenge.
        ChallengeRefused: it is the champion; another version challenges; the challenge would start above
            share 0 or its share would shrink; or the share is not one.
        ReleaseError: nobody, or no reason, is named.
    """
    _require_words(by=by, reason=reason)
    if newest is None:
        raise NothingReleased("challenge: nothing has been released yet: promote a first version")
    if not 0.0 <= share <= 1.0:
        raise ChallengeRefused(f"share: {share:g}: not a number from 0 to 1")
    if version == newest.champion:
        raise ChallengeRefused(f"version {version}: is the champion, and cannot challenge itself")
    if newest.challenger not in (None, version):
        raise ChallengeRefused(f"version {version}: {_in_force(newest)}: abort that first")
    if newest.challenger is None:
        if share > 0:
            raise ChallengeRefused(
                f"share: {share:g}: version {version} does not challenge: a challenge starts at share 0"
            )
        action = ReleaseAction.CHALLENGE
    else:
        if share < newest.share:
            raise ChallengeRefused(
                f"share: {share:g}: version {version} has {newest.share:g}, and a share only grows:"
                " abort the challenge instead"
            )
        if share == newest.share:
            return newest
        action = ReleaseAction.GROW
    return _after(
        newest, action, newest.champion, challenger=version, share=share, by=by, reason=reason, at=at
    )


def abortion(
    newest: ReleaseRecord | None, version: str, *, by: str, reason: str, at: datetime
) -> ReleaseRecord:
    """The record that ends the challenge of ``version``; ``newest`` itself where it is not the challenger.

    Raises:
        NothingReleased: there is no record.
        ReleaseError: nobody, or no reason, is named.
    """
    _require_words(by=by, reason=reason)
    if newest is None:
        raise NothingReleased("abort: nothing has been released yet")
    if newest.challenger != version:
        return newest
    return _after(newest, ReleaseAction.ABORT, newest.champion, by=by, reason=reason, at=at)


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

    Rolling back twice goes two versions back, never to the version that was rolled back from. A challenger
    has not served: to be rid of it alone is to abort its challenge.

    Raises:
        NothingToRollBackTo: there is none.
    """
    line = _succession(history)
    if len(line) < 2:
        champion = f"{line[0]} is the first that" if line else "nothing"
        challenger = history[-1].challenger if history else None
        instead = f"; to end the challenge of {challenger}, abort it" if challenger else ""
        raise NothingToRollBackTo(f"roll back: {champion} has served: there is no version before it{instead}")
    return line[-2]


def release_time(text: str, zone: tzinfo) -> datetime:
    """A moment from its text, such as ``2021-01-15`` or ``2021-01-15T10:30:00Z``; ``zone`` is that of a bare one.

    Raises:
        ReleaseError: it is none.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ReleaseError(f"time: {text!r}: not an ISO 8601 date or time such as 2021-01-15T10:30") from None
    return time if time.tzinfo else time.replace(tzinfo=zone)


def arm_of(customer: int, challenger: str, share: float) -> bool:
    """Whether a customer is the challenger's at this share.

    By a hash of the customer and the challenger's version: the same in every process and for ever, growing the
    share moves nobody back, and the next challenger draws its customers anew.
    """
    digest = sha256(f"{challenger}:{customer}".encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) * 2.0**-53 < share  # 53 bits, which a float holds exactly


def _in_force(newest: ReleaseRecord | None) -> str:
    if newest is None:
        return "nothing has been released yet"
    if newest.challenger is None:
        return f"nothing challenges {newest.champion}"
    return f"{newest.challenger} challenges {newest.champion}"


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
    """The record by which a version serves alone."""
    if newest is None:
        return ReleaseRecord(number=1, action=action, champion=champion, by=by, reason=reason, at=at)
    if newest.champion == champion and newest.challenger is None:
        return newest
    return _after(newest, action, champion, by=by, reason=reason, at=at)


def _after(
    newest: ReleaseRecord,
    action: ReleaseAction,
    champion: str,
    *,
    challenger: str | None = None,
    share: float = 0.0,
    by: str,
    reason: str,
    at: datetime,
) -> ReleaseRecord:
    return ReleaseRecord(
        number=newest.number + 1,
        action=action,
        champion=champion,
        challenger=challenger,
        share=share,
        by=by,
        reason=reason,
        at=max(at, newest.at),  # clocks differ between machines; the order of records must not
    )


def _require_words(**fields: str) -> None:
    for name, value in fields.items():
        if not value.strip():
            raise ReleaseError(f"{name}: empty: a release record names who and why")
