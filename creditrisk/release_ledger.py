"""The release records in the registry, and the acts that write one: challenge, abort, promote and roll back.

``releases/00000042.json``, …: created only if absent, never changed, the highest is the truth. Of two who
write the same number, one wins and the other is told.
"""

import re
from bisect import bisect_right
from datetime import UTC, datetime

from creditrisk import release
from creditrisk.errors import NothingServed, ObjectExists, ObjectMissing, ReleaseConflict, ReleaseError
from creditrisk.registry import ModelRegistry
from creditrisk.release import ReleaseRecord
from creditrisk.settings import Settings
from creditrisk.storage import Storage

_NAME = re.compile(r"(\d{8})\.json")


class ReleaseLedger:
    """Reads and appends release records in one market's registry."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def numbers(self) -> list[int]:
        """Numbers of all records, ascending: one listing."""
        matches = (_NAME.fullmatch(name) for name in self.storage.names("releases"))
        return sorted(int(match[1]) for match in matches if match)

    def newest(self) -> ReleaseRecord | None:
        """The record in force, or None before the first."""
        numbers = self.numbers()
        return self.read(numbers[-1]) if numbers else None

    def exists(self, number: int) -> bool:
        """Whether there is a record of that number: one request, no listing."""
        return self.storage.exists(_key(number))

    def read(self, number: int) -> ReleaseRecord:
        """A record by number.

        Raises:
            ReleaseError: there is none of that number, or it cannot be read.
        """
        try:
            return ReleaseRecord.model_validate_json(self.storage.read(_key(number)))
        except ObjectMissing:
            raise ReleaseError(f"release {number}: no such record in {self.storage.url}") from None
        except ValueError as error:
            raise ReleaseError(
                f"release {number}: the record cannot be read: {str(error).splitlines()[0]}"
            ) from None

    def history(self) -> list[ReleaseRecord]:
        """All records, oldest first."""
        return [self.read(number) for number in self.numbers()]

    def served_at(self, time: datetime) -> ReleaseRecord:
        """The record in force at a moment. Reads few records, however many there are.

        Raises:
            NothingServed: nothing had been released by then.
        """
        numbers = self.numbers()
        before = bisect_right(numbers, time, key=lambda number: self.read(number).at)
        if not before:
            raise NothingServed(
                f"no version served at {time.isoformat()}: the first was released at {self.read(1).at.isoformat()}"
                if numbers
                else f"no version served at {time.isoformat()}: nothing has been released yet"
            )
        return self.read(numbers[before - 1])

    def append(self, record: ReleaseRecord) -> None:
        """Write the next record.

        Raises:
            ReleaseConflict: somebody else wrote a record of this number first; theirs stands.
        """
        try:
            self.storage.create(_key(record.number), record.model_dump_json(indent=2).encode() + b"\n")
        except ObjectExists:
            theirs = self.read(record.number)
            raise ReleaseConflict(
                f"release {record.number}: {theirs.by} was faster ({theirs.action} {theirs.champion}:"
                f" {theirs.reason}): look at it, then try again"
            ) from None


def challenge(settings: Settings, version: str, share: float, *, by: str, reason: str) -> ReleaseRecord:
    """Let a version challenge the champion, at share 0, or grow its share; the record in force then.

    Raises:
        RegistryError: the version is missing, damaged, refused, or made for another contract or library.
        NothingReleased: there is no champion to challenge.
        ChallengeRefused: it is the champion, another version challenges, the challenge would start above share
            0, or the share would shrink.
        ReleaseConflict: somebody else wrote a record meanwhile.
        ReleaseError: nobody, or no reason, is named.
    """
    ledger, registry = _opened(settings)
    newest = ledger.newest()
    record = release.challenge(newest, version, share, by=by, reason=reason, at=datetime.now(UTC))
    registry.require_servable(version)
    return _appended(ledger, newest, record)


def abort(settings: Settings, version: str, *, by: str, reason: str) -> ReleaseRecord:
    """End the challenge of a version, if it challenges still; the record in force then.

    The champion serves already, so nothing is asked of its files.

    Raises:
        NothingReleased: there is no record.
        ReleaseConflict: somebody else wrote a record meanwhile.
        ReleaseError: nobody, or no reason, is named.
    """
    ledger, _ = _opened(settings)
    newest = ledger.newest()
    return _appended(
        ledger, newest, release.abortion(newest, version, by=by, reason=reason, at=datetime.now(UTC))
    )


def promote(settings: Settings, version: str, *, by: str, reason: str) -> ReleaseRecord:
    """Put a version into service, alone; the record in force then. Promoting what serves alone changes nothing.

    Raises:
        RegistryError: the version is missing, damaged, refused, or made for another contract or library.
        ReleaseConflict: somebody else wrote a record meanwhile.
        ReleaseError: nobody, or no reason, is named.
    """
    ledger, registry = _opened(settings)
    newest = ledger.newest()
    record = release.promotion(newest, version, by=by, reason=reason, at=datetime.now(UTC))
    registry.require_servable(version)
    return _appended(ledger, newest, record)


def complete(settings: Settings, version: str, *, by: str, reason: str) -> ReleaseRecord:
    """Promote a version because it is the challenger; the record in force then. A second try finds it done.

    Raises:
        ChallengeRefused: it is not the challenger any more: somebody has ended its challenge.
        RegistryError: the version is missing, damaged, refused, or made for another contract or library.
        ReleaseConflict: somebody else wrote a record meanwhile.
        ReleaseError: nobody, or no reason, is named.
    """
    ledger, registry = _opened(settings)
    newest = ledger.newest()
    record = release.completion(newest, version, by=by, reason=reason, at=datetime.now(UTC))
    registry.require_servable(version)
    return _appended(ledger, newest, record)


def roll_back(settings: Settings, *, by: str, reason: str, to: str | None = None) -> ReleaseRecord:
    """Put back the version that served before, or ``to``, alone; the record in force then.

    Raises:
        NothingReleased, NothingToRollBackTo: there is nothing to go back to.
        RegistryError: that version cannot serve any more; name another.
        ReleaseConflict: somebody else wrote a record meanwhile.
        ReleaseError: nobody, or no reason, is named.
    """
    ledger, registry = _opened(settings)
    history = ledger.history()
    record = release.rollback(history, by=by, reason=reason, at=datetime.now(UTC), to=to)
    registry.require_servable(record.champion)
    return _appended(ledger, history[-1], record)


def _opened(settings: Settings) -> tuple[ReleaseLedger, ModelRegistry]:
    storage = Storage(settings.registry_root)
    return ReleaseLedger(storage), ModelRegistry(storage)


def _appended(ledger: ReleaseLedger, newest: ReleaseRecord | None, record: ReleaseRecord) -> ReleaseRecord:
    if record != newest:
        ledger.append(record)
    return record


def _key(number: int) -> str:
    return f"releases/{number:08d}.json"
