"""What retention has removed: a small record beside what is left, so that a later question is told why.

``removed/<kind>/<name>.json`` lies in the storage that held the thing. It is written before the first of its
files goes, and says that it went, not that it cannot come back: a date can be built again.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from creditrisk.errors import ObjectExists, ObjectMissing
from creditrisk.storage import Storage


class Kind(StrEnum):
    """What retention removes."""

    DECISIONS = "decisions"
    """Of one day, by its date."""
    SNAPSHOT = "snapshot"
    QUARANTINE = "quarantine"
    """A snapshot's refused rows, by the snapshot's id."""
    REPORTS = "reports"
    """Of one date."""
    VERSION = "version"


class Removal(BaseModel):
    """That something was removed, when, and by which rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    name: str
    at: AwareDatetime
    why: str

    @property
    def sentence(self) -> str:
        """What happened, for whoever asks for it now."""
        return f"removed by retention on {self.at.astimezone(UTC):%Y-%m-%d} ({self.why})"


def record_removal(storage: Storage, kind: Kind, name: str, why: str, at: datetime) -> None:
    """Say that something is about to be removed; the first time stays."""
    removal = Removal(kind=kind, name=name, at=at, why=why)
    with suppress(ObjectExists):
        storage.create(
            _key(kind, name), json.dumps(removal.model_dump(mode="json"), indent=2).encode() + b"\n"
        )


def removal_of(storage: Storage, kind: Kind, name: str) -> Removal | None:
    """The record of a removal, or None where nothing of that name was removed."""
    try:
        return Removal.model_validate_json(storage.read(_key(kind, name)))
    except ObjectMissing:
        return None


def _key(kind: Kind, name: str) -> str:
    return f"removed/{kind}/{name}.json"
