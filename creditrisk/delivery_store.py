"""All SQL on deliveries: the messages about alerts, each for one channel, from when they are put down until they got out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg2 import extensions, sql

from creditrisk.alert_store import ALERT_COLUMNS, Alert
from creditrisk.settings import Settings
from creditrisk.store_schema import StoreSchema

FIRST_BACKOFF, LONGEST_BACKOFF = timedelta(minutes=4), timedelta(hours=1)
"""Until a message is tried again, doubled with each try; at first a little less than from one look to the next."""

_ERROR_LENGTH = 500


class Delivery(NamedTuple):
    """One message about an alert on one channel."""

    alert: Alert
    event: str
    """``started`` or ``ended``."""
    channel: str
    state: str
    """``unsent`` or ``sent``."""
    tries: int
    last_error: str | None
    due_at: datetime
    sent_at: datetime | None


@dataclass(slots=True)
class Sending:
    """A delivery that is being sent."""

    delivery: Delivery
    error: str | None = "interrupted"
    """Why it did not get out; None once it has."""


@contextmanager
def next_delivery(settings: Settings, now: datetime, channels: Sequence[str]) -> Iterator[Sending | None]:
    """The delivery that has been due longest, held so that nobody else sends it meanwhile; None where there is none.

    What is not said to be sent inside counts as tried and comes again later. Whoever is killed between the sending and
    the end of this sends it again: better twice than never.

    Args:
        settings: of the market.
        now: an aware moment.
        channels: those that there are; an end is told where its start was.

    Raises what :func:`creditrisk.alert_store.changing_alerts` does.
    """
    schema = StoreSchema.of(settings)
    with schema.connected() as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            _DUE.format(
                alert=ALERT_COLUMNS,
                alerts=schema.table("alerts"),
                deliveries=schema.table("deliveries"),
            ),
            (now, list(channels)),
        )
        found = cursor.fetchone()
        if found is None:
            yield None
            return
        sending = Sending(_delivery(found))
        yield sending
        due_at = now + min(FIRST_BACKOFF * 2 ** min(sending.delivery.tries, 10), LONGEST_BACKOFF)
        error = sending.error and sending.error[:_ERROR_LENGTH]
        cursor.execute(
            sql.SQL(
                "UPDATE {} SET state = %s, tries = tries + 1, last_error = %s, due_at = %s, sent_at = %s "
                "WHERE alert = %s AND event = %s AND channel = %s"
            ).format(schema.table("deliveries")),
            (
                "sent" if error is None else "unsent", error, due_at, now if error is None else None,
                sending.delivery.alert.number, sending.delivery.event, sending.delivery.channel,
            ),
        )  # fmt: skip


def mark_sent(
    cursor: extensions.cursor, schema: StoreSchema, alert: int, channels: Iterable[str], now: datetime
) -> None:
    """Say, in the caller's transaction, that an alert's start was told on these channels while Postgres was away."""
    cursor.execute(
        sql.SQL(
            "UPDATE {} SET state = 'sent', tries = tries + 1, sent_at = %s "
            "WHERE alert = %s AND event = 'started' AND channel = ANY(%s)"
        ).format(schema.table("deliveries")),
        (now, alert, sorted(channels)),
    )


_DUE = sql.SQL(
    "SELECT {alert}, event, channel, state, tries, last_error, due_at, sent_at "
    "FROM {deliveries} AS delivery JOIN {alerts} ON number = delivery.alert "
    "WHERE state = 'unsent' AND due_at <= %s AND channel = ANY(%s) AND (event = 'started' OR NOT EXISTS ("
    "SELECT FROM {deliveries} AS start WHERE start.alert = delivery.alert AND start.channel = delivery.channel "
    "AND start.event = 'started' AND start.state = 'unsent')) "
    "ORDER BY due_at, number, event DESC LIMIT 1 FOR UPDATE OF delivery SKIP LOCKED"
)
"""The end of an alert waits for its start: nobody is told of an end first."""


def _delivery(row: tuple[object, ...]) -> Delivery:
    size = len(Alert._fields)
    return Delivery(Alert(*row[:size]), *row[size:])  # type: ignore[arg-type]
