"""Alerts that could not be written into Postgres, above all that Postgres is away: they wait elsewhere, told meanwhile.

They wait in the lake, or where that is away too in a folder of this machine. ``alerts/kept/<name>/alert.json`` is created if
absent, so it is there once however many see it; beside it ``told-<channel>`` says who has been told, ``again`` that it was
seen another time, ``over.json`` that it is over, and ``taken`` that Postgres has it, for where nothing may be removed. What
comes after that waits in a folder of the next number. Once Postgres is back, whoever writes alerts takes them over and removes
them here. A folder that is damaged, or of another version of the code, is left as it is and logged at each look: no other
waits for it, and none is kept in it.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Final, NamedTuple

from pydantic import AwareDatetime, TypeAdapter

from creditrisk.alert_store import NewAlert
from creditrisk.errors import ObjectExists, ObjectMissing, StorageError
from creditrisk.storage import Storage

logger = logging.getLogger(__name__)

_FOLDER = "alerts/kept"
_ALERT, _AGAIN, _OVER, _TAKEN = "alert.json", "again", "over.json", "taken"
_TOLD = "told-"

_NEW_ALERT: Final = TypeAdapter(NewAlert)
_MOMENT: Final = TypeAdapter[datetime](AwareDatetime)


class KeptEnd(NamedTuple):
    """That an alert is over, whether it waits here or was in Postgres before."""

    because: str
    at: datetime


class KeptAlert(NamedTuple):
    """An alert that waits, or the end of one."""

    place: Storage
    name: str
    rule: str
    subject: str
    alert: NewAlert | None
    """None: it had started before."""
    started_at: datetime
    """Where only its end waits: when that was."""
    told: frozenset[str]
    """Channels that have taken it."""
    is_due: bool
    """Whether it was seen as often as it has to be."""
    over: KeptEnd | None

    def mark_told(self, channel: str) -> None:
        """Say that a channel has taken it; raises StorageError."""
        _create(self.place, f"{_FOLDER}/{self.name}/{_TOLD}{channel}")

    def drop(self) -> None:
        """Remove one that Postgres has now, or nobody needs; one that cannot be removed stays as *taken* if it can."""
        folder = f"{_FOLDER}/{self.name}"
        try:
            _create(self.place, f"{folder}/{_TAKEN}")
            self.place.remove(f"{folder}/{_ALERT}")
            self.place.remove_folder(folder)
        except StorageError as error:
            logger.warning("Taken over, and cannot be removed: %s", error)


@dataclass(frozen=True, slots=True)
class KeptAlerts:
    """Where alerts wait."""

    places: Sequence[Storage]
    """In the order in which they are tried."""

    def keep(self, alert: NewAlert, now: datetime, *, needs_another: bool = False) -> None:
        """Keep an alert until Postgres takes it; where its rule and subject wait already, they were seen again.

        Args:
            alert: where the first place is away it says so too.
            now: an aware moment.
            needs_another: whether it is to be told only once it was seen again.

        Raises:
            StorageError: no place can be written; what the last one said.
        """
        problems: list[StorageError] = []
        for place, folder, waits_there in self._reachable(alert.rule, alert.subject, problems):
            is_second_best = bool(problems) and place is not self.places[0]
            fields = {
                **alert._asdict(),
                "words": f"{alert.words} The lake cannot be used either: {problems[0]}"
                if is_second_best
                else alert.words,
                "since": alert.since.isoformat(),
                "started_at": now.isoformat(),
                "needs_another": needs_another,
            }
            try:
                _create(place, f"{folder}/{_AGAIN if waits_there else _ALERT}", fields)
            except StorageError as error:
                problems.append(error)
            else:
                return
        raise problems[-1]

    def keep_end(self, rule: str, subject: str, because: str, now: datetime) -> None:
        """Keep that an alert is over, whether it waits here or is in Postgres.

        Raises:
            StorageError: no place can be written; what the last one said.
        """
        problems: list[StorageError] = []
        fields = {"rule": rule, "subject": subject, "because": because, "at": now.isoformat()}
        for place, folder, _ in self._reachable(rule, subject, problems):
            try:
                _create(place, f"{folder}/{_OVER}", fields)
            except StorageError as error:
                problems.append(error)
            else:
                return
        raise problems[-1]

    def waiting(self) -> list[KeptAlert]:
        """What waits wherever it can be looked, oldest first."""
        found: list[KeptAlert] = []
        for place in self.places:
            try:
                found += _waiting(place)
            except StorageError as error:
                # What waits there waits on: that the lake is away is itself to be told, and all else too.
                logger.warning("What waits there cannot be seen: %s", error)
        return sorted(found, key=lambda each: each.started_at)

    def _reachable(
        self, rule: str, subject: str, problems: list[StorageError]
    ) -> list[tuple[Storage, str, bool]]:
        """Places that answer, each with the alert's folder, and whether it waits there already: such a place first."""
        name = hashlib.sha256(f"{rule}\n{subject}".encode()).hexdigest()[:16]
        found = []
        for place in self.places:
            try:
                for number in count():
                    folder = f"{_FOLDER}/{name}-{number}"
                    names = place.names(folder)
                    if _TAKEN in names or _OVER in names:
                        continue
                    waits_there = _ALERT in names
                    if not waits_there or _kept(place, f"{name}-{number}", names):
                        found.append((place, folder, waits_there))
                        break
            except StorageError as error:
                problems.append(error)
        return sorted(found, key=lambda each: not each[2])


def _waiting(place: Storage) -> Iterator[KeptAlert]:
    for name in place.folders(_FOLDER):
        names = place.names(f"{_FOLDER}/{name}")
        if _TAKEN not in names and (kept := _kept(place, name, names)):
            yield kept


def _kept(place: Storage, name: str, names: Sequence[str]) -> KeptAlert | None:
    """What a folder of these names keeps; None where somebody has just taken it over, or it cannot be understood."""
    folder = f"{_FOLDER}/{name}"
    told = frozenset(each.removeprefix(_TOLD) for each in names if each.startswith(_TOLD))
    try:
        started, ended = (
            _fields(place, f"{folder}/{each}") if each in names else None for each in (_ALERT, _OVER)
        )
        over = KeptEnd(str(ended["because"]), _MOMENT.validate_python(ended["at"])) if ended else None
        if started:
            started_at = _MOMENT.validate_python(started.pop("started_at"))
            is_due = not started.pop("needs_another", False) or _AGAIN in names
            alert = _NEW_ALERT.validate_python(started)
            return KeptAlert(place, name, alert.rule, alert.subject, alert, started_at, told, is_due, over)
        if ended and over:
            return KeptAlert(
                place, name, str(ended["rule"]), str(ended["subject"]), None, over.at, told, False, over
            )
    except ObjectMissing:
        pass  # somebody has just taken it over
    except (KeyError, ValueError) as error:
        # It may be of a newer version of the code, which takes it over once it runs everywhere: nothing is removed.
        why = " ".join(str(error).split())
        logger.error(
            "Not an alert that can be taken over, and left as it is: %s: %s", place.url_of(folder), why
        )
    return None


def _fields(place: Storage, key: str) -> dict[str, Any]:
    fields = json.loads(place.read(key))
    if not isinstance(fields, dict) or not fields:
        raise ValueError(f"{key.rpartition('/')[2]} is no object with fields")
    return fields


def _create(place: Storage, key: str, fields: Mapping[str, object] | None = None) -> None:
    """Create an object; one that is there already stays as it is."""
    with suppress(ObjectExists):
        place.create(key, json.dumps(fields or {}).encode())
