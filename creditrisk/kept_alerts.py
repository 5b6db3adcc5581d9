"""Alerts that could not be written into Postgres, above all that Postgres is away: they wait in the lake, told meanwhile.

``alerts/kept/<name>/alert.json`` is created if absent, so it is there once however many see it; ``told-<channel>`` beside
it says who has been told. Once Postgres is back, whoever writes alerts takes them over and removes them here.
"""

import hashlib
import json
from datetime import date, datetime
from typing import NamedTuple

from creditrisk.alert_store import NewAlert
from creditrisk.errors import ObjectExists, ObjectMissing
from creditrisk.storage import Storage

_FOLDER = "alerts/kept"
_ALERT = "alert.json"
_TOLD = "told-"


class KeptAlert(NamedTuple):
    """An alert in the lake."""

    name: str
    alert: NewAlert
    started_at: datetime
    told: frozenset[str]
    """Channels that have taken it."""


def keep_alert(lake: Storage, alert: NewAlert, now: datetime) -> None:
    """Keep an alert until Postgres takes it; nothing where its rule and subject are kept already.

    Raises:
        StorageError: the lake cannot be written.
    """
    name = hashlib.sha256(f"{alert.rule}\n{alert.subject}".encode()).hexdigest()[:16]
    fields = {**alert._asdict(), "since": alert.since.isoformat(), "started_at": now.isoformat()}
    try:
        lake.create(f"{_FOLDER}/{name}/{_ALERT}", json.dumps(fields).encode())
    except ObjectExists:
        return


def kept_alerts(lake: Storage) -> list[KeptAlert]:
    """What is kept, oldest first; raises StorageError."""
    found = []
    for folder in lake.folders(_FOLDER):
        name = folder.rsplit("/", 1)[-1]
        names = lake.names(f"{_FOLDER}/{name}")
        try:
            fields = json.loads(lake.read(f"{_FOLDER}/{name}/{_ALERT}"))
        except ObjectMissing:
            continue  # somebody has just taken it over
        started_at = datetime.fromisoformat(fields.pop("started_at"))
        alert = NewAlert(**{**fields, "since": date.fromisoformat(fields["since"])})
        told = frozenset(each.removeprefix(_TOLD) for each in names if each.startswith(_TOLD))
        found.append(KeptAlert(name, alert, started_at, told))
    return sorted(found, key=lambda each: each.started_at)


def mark_told(lake: Storage, kept: KeptAlert, channel: str) -> None:
    """Say that a channel has taken it; raises StorageError."""
    try:
        lake.create(f"{_FOLDER}/{kept.name}/{_TOLD}{channel}", b"{}")
    except ObjectExists:
        return


def drop_kept(lake: Storage, kept: KeptAlert) -> None:
    """Remove one that Postgres has now; raises StorageError."""
    lake.remove(f"{_FOLDER}/{kept.name}/{_ALERT}")
    lake.remove_folder(f"{_FOLDER}/{kept.name}")
