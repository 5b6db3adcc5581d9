"""All SQL on alerts: each started once and ended once, and with that the messages about it put down to be sent.

Whoever writes holds one lock of the market, so of two watchers the second sees what the first has done.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from psycopg2 import errors, extensions, sql

from creditrisk.errors import StoreError
from creditrisk.settings import Settings
from creditrisk.store_reader import StoreReader
from creditrisk.store_schema import StoreSchema

STARTED, ENDED = "started", "ended"


class Alert(NamedTuple):
    """One alert; its fields are the table's columns."""

    number: int
    rule: str
    subject: str
    """What of the rule, where it can be broken by several at once; else empty."""
    severity: str
    started_at: datetime
    ended_at: datetime | None
    """The same as ``started_at`` where it is of something that happened."""
    words: str
    since: date
    serving: str
    """What was being served: champion, snapshot and its age."""
    advice: str
    link: str
    """To its section of the runbook."""
    ended_because: str | None = None
    """What is well again, or why there is nothing more to be well."""


class NewAlert(NamedTuple):
    """An alert to start."""

    rule: str
    subject: str
    severity: str
    words: str
    since: date
    serving: str
    advice: str
    link: str


@dataclass(frozen=True, slots=True)
class AlertWriter:
    """Changes alerts in one transaction, in which nobody else does."""

    cursor: extensions.cursor
    schema: StoreSchema
    now: datetime

    def open_alerts(self) -> list[Alert]:
        """Alerts that have not ended, oldest first."""
        self.cursor.execute(_OPEN.format(ALERT_COLUMNS, self.schema.table("alerts")))
        return [Alert(*row) for row in self.cursor.fetchall()]

    def start(
        self,
        new: NewAlert,
        channels: Collection[str],
        *,
        started_at: datetime | None = None,
        happened_at: datetime | None = None,
    ) -> int | None:
        """Start an alert and have it told; its number, or None where it is open, or was told, already.

        Args:
            new: the alert.
            channels: to tell it on.
            started_at: when it started, if not now.
            happened_at: when it happened, of what has no end.
        """
        if self._is_told(new, started_at):  # asked first, for even a refused row would use up a number
            return None
        self.cursor.execute(
            sql.SQL(
                "INSERT INTO {} ({}, started_at, ended_at) VALUES ({}) ON CONFLICT DO NOTHING RETURNING number"
            ).format(
                self.schema.table("alerts"),
                sql.SQL(", ").join(map(sql.Identifier, NewAlert._fields)),
                sql.SQL(", ").join([sql.Placeholder()] * (len(NewAlert._fields) + 2)),
            ),
            (*new, happened_at or started_at or self.now, happened_at),
        )
        found = self.cursor.fetchone()
        if found is None:
            return None
        self._tell(found[0], STARTED, channels)
        return int(found[0])

    def renew(self, alert: Alert, words: str, serving: str) -> None:
        """Keep an open alert's words as they are now; nobody is told."""
        if (words, serving) != (alert.words, alert.serving):
            self.cursor.execute(
                sql.SQL("UPDATE {} SET words = %s, serving = %s WHERE number = %s").format(
                    self.schema.table("alerts")
                ),
                (words, serving, alert.number),
            )

    def end(self, alert: Alert, serving: str, channels: Collection[str], because: str) -> None:
        """End an alert for a reason, and have it told on those of the channels that were to tell its start."""
        # One that ends in the moment it started would be taken for something that happened.
        ended_at = max(self.now, alert.started_at + timedelta(microseconds=1))
        self.cursor.execute(
            sql.SQL(
                "UPDATE {} SET ended_at = %s, serving = %s, ended_because = %s "
                "WHERE number = %s AND ended_at IS NULL"
            ).format(self.schema.table("alerts")),
            (ended_at, serving, because, alert.number),
        )
        if self.cursor.rowcount:
            self.cursor.execute(
                sql.SQL("SELECT channel FROM {} WHERE alert = %s AND event = 'started'").format(
                    self.schema.table("deliveries")
                ),
                (alert.number,),
            )
            started_on = {channel for (channel,) in self.cursor.fetchall()}
            self._tell(alert.number, ENDED, [channel for channel in channels if channel in started_on])

    def _is_told(self, new: NewAlert, started_at: datetime | None) -> bool:
        """Whether it is open, happened, or was taken over before from where it still waits."""
        self.cursor.execute(
            sql.SQL(
                "SELECT 1 FROM {} WHERE rule = %s AND subject = %s "
                "AND (ended_at IS NULL OR ended_at = started_at OR started_at = %s)"
            ).format(self.schema.table("alerts")),
            (new.rule, new.subject, started_at),
        )
        return self.cursor.fetchone() is not None

    def _tell(self, number: int, event: str, channels: Collection[str]) -> None:
        for channel in channels:
            self.cursor.execute(
                sql.SQL(
                    "INSERT INTO {} (alert, event, channel, state, due_at) VALUES (%s, %s, %s, 'unsent', %s)"
                ).format(self.schema.table("deliveries")),
                (number, event, channel, self.now),
            )


@contextmanager
def changing_alerts(settings: Settings, now: datetime) -> Iterator[AlertWriter]:
    """A transaction of the publisher's that has the market's alerts to itself.

    Raises:
        SettingsError: there is no URL to write with.
        StoreUnavailable: Postgres cannot be reached.
        StoreError: it refused, such as where the tables have not been made yet.
    """
    schema = StoreSchema.of(settings)
    with schema.connected() as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"alerts {schema.schema}",))
        try:
            yield AlertWriter(cursor, schema, now)
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            raise StoreError(
                f"schema {schema.schema}: no table of alerts yet: run python -m creditrisk migrate"
            ) from None


class Told(NamedTuple):
    """An alert, and how its messages are doing."""

    alert: Alert
    unsent: int
    """Messages about it that have not got out."""
    problem: str | None
    """What the last try to send one of them said."""


def alerts_since(
    cursor: extensions.cursor, reader: StoreReader, since: datetime, most: int = 200
) -> list[Told]:
    """Alerts that are open, have ended since a moment, or have a message that has not got out; open ones first, the newest first.

    Args:
        cursor: of a role that may read the tables.
        reader: whose schema it is.
        since: an aware moment.
        most: rows.
    """
    cursor.execute(
        sql.SQL(
            "SELECT {columns}, count(d.alert) FILTER (WHERE d.state = 'unsent'), "
            "max(d.last_error) FILTER (WHERE d.state = 'unsent') "
            "FROM {alerts} LEFT JOIN {deliveries} d ON d.alert = number WHERE ended_at IS NULL OR ended_at >= %s "
            "OR number IN (SELECT alert FROM {deliveries} WHERE state = 'unsent') "
            "GROUP BY number ORDER BY ended_at IS NOT NULL, started_at DESC, number DESC LIMIT %s"
        ).format(columns=ALERT_COLUMNS, alerts=reader.table("alerts"), deliveries=reader.table("deliveries")),
        (since, most),
    )
    size = len(Alert._fields)
    return [Told(Alert(*row[:size]), *row[size:]) for row in cursor.fetchall()]


ALERT_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, Alert._fields))
_OPEN = sql.SQL("SELECT {} FROM {} WHERE ended_at IS NULL ORDER BY number")
