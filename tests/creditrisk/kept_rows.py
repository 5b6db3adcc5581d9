"""What tests ask of alerts, their messages, probes and vintages, as the reading role."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from creditrisk import probe_store
from creditrisk.alert_store import Alert, alerts_since
from creditrisk.probe_store import Probe
from creditrisk.settings import Settings
from creditrisk.store_reader import StoreReader
from creditrisk.vintage_store import Vintage, newest_vintages
from tests.creditrisk.published_market import ask


class Message(NamedTuple):
    """One that has not got out."""

    alert: Alert
    event: str
    channel: str
    tries: int
    last_error: str | None
    due_at: datetime


def open_alerts(settings: Settings) -> list[Alert]:
    """Oldest first."""
    found = [one for one in recent_alerts(settings, 0) if one.ended_at is None]
    return sorted(found, key=lambda alert: alert.number)


def recent_alerts(settings: Settings, days: int) -> list[Alert]:
    """Those that are open, or started in the last days, newest first."""
    begin = datetime.now(UTC) - timedelta(days=days)
    reader = StoreReader.of(settings)
    with reader.reading() as cursor:
        found = [one.alert for one in alerts_since(cursor, reader, datetime.min.replace(tzinfo=UTC), 10_000)]
    chosen = [alert for alert in found if alert.ended_at is None or alert.started_at >= begin]
    return sorted(chosen, key=lambda alert: (alert.started_at, alert.number), reverse=True)


def unsent_deliveries(settings: Settings) -> list[Message]:
    """Messages that have not got out yet, oldest first."""
    names = ", ".join(Alert._fields)
    size = len(Alert._fields)
    rows: list[tuple[Any, ...]] = ask(
        settings,
        f"SELECT {names}, event, channel, tries, last_error, due_at FROM {{schema}}.deliveries "
        "JOIN {schema}.alerts ON number = alert WHERE state = 'unsent' ORDER BY number, event DESC, channel",
        "reader",
    )
    return [Message(Alert(*row[:size]), *row[size:]) for row in rows]


def vintages(settings: Settings, months: int = 24) -> list[Vintage]:
    """Those of the newest months."""
    reader = StoreReader.of(settings)
    with reader.reading() as cursor:
        return newest_vintages(cursor, reader.table("vintages"), months)


def probes(settings: Settings) -> list[Probe]:
    """The newest look at each part, by name."""
    reader = StoreReader.of(settings)
    with reader.reading() as cursor:
        return probe_store.probes(cursor, reader.table("probes"))
