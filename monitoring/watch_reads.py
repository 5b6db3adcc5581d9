"""What the watch reads to hold its rules against, as it was at a moment."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from psycopg2 import sql

from creditrisk.errors import CreditRiskError
from creditrisk.metric_store import Measured, MetricStore
from creditrisk.nights import Night, Outcome, recent_nights
from creditrisk.release import ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from creditrisk.store_reader import StoreReader
from creditrisk.store_schema import StoreSchema
from monitoring.nightly_probe import Published
from monitoring.probes import PATIENCE

logger = logging.getLogger(__name__)

_NIGHTS = 60


@dataclass(frozen=True, slots=True)
class StoreState:
    """What Postgres says at a glance."""

    published: Published | None
    """None before the first publication."""
    newest_measured: date | None
    """The newest day before today that was measured."""
    snapshot: str | None
    """That is being served."""


@dataclass(frozen=True, slots=True)
class WatchReads:
    """Reads one market's state as of a moment; raises StoreUnavailable and StoreError."""

    settings: Settings
    now: datetime

    @property
    def today(self) -> date:
        """The day it is in the market."""
        return self.now.astimezone(self.settings.zone).date()

    def releases(self) -> list[ReleaseRecord]:
        """The record in force and those that are still to be told of, oldest first; none where the registry is away."""
        ledger = ReleaseLedger(Storage(self.settings.registry_root, patience=PATIENCE))
        found: list[ReleaseRecord] = []
        try:
            for number in reversed(ledger.numbers()):
                record = ledger.read(number)
                if record.at > self.now:
                    continue
                if found and not self.is_news(record):
                    break
                found.append(record)
        except (CreditRiskError, OSError) as error:
            logger.warning("The release records cannot be read: %s", error)
        return found[::-1]

    def is_news(self, record: ReleaseRecord) -> bool:
        """Whether a release record is young enough to be told of."""
        return self.now - record.at <= timedelta(hours=self.settings.alerts.happened_hours)

    def nights(self) -> list[Night]:
        """The runs that had begun by then, as they stood."""
        schema = StoreSchema.of(self.settings)
        with schema.connected() as connection:
            nights = recent_nights(connection, schema.schema, _NIGHTS)
        return [self._as_it_stood(night) for night in nights if night.started_at <= self.now]

    def store(self) -> StoreState:
        """What Postgres says of publications, measured days and the snapshot being served."""
        reader = StoreReader.of(self.settings)
        publications, metrics, pointer = (
            reader.table(name) for name in ("publications", "metrics", "current_snapshot")
        )
        with reader.reading() as cursor:
            cursor.execute(
                sql.SQL(
                    "SELECT min(published_at), max(as_of) FILTER (WHERE action = 'publish'), "
                    "(SELECT max(day) FROM {} WHERE day < %s), (SELECT snapshot FROM {}) "
                    "FROM {} WHERE published_at <= %s"
                ).format(metrics, pointer, publications),
                (self.today, self.now),
            )
            ((first_at, newest, measured, snapshot),) = cursor.fetchall()
            cursor.execute(
                sql.SQL(
                    "SELECT as_of, max(published_at) FROM {} "
                    "WHERE action = 'publish' AND published_at <= %s AND as_of >= %s GROUP BY as_of"
                ).format(publications),
                (self.now, self.today - timedelta(days=_NIGHTS)),
            )
            last_at = dict(cursor.fetchall())
        published = Published(first_at, newest, last_at) if first_at and newest else None
        return StoreState(published, measured, snapshot)

    def measures(self, newest: date | None, days: int) -> list[Measured]:
        """Those of the newest day that was measured, whenever that was, and of the days before it.

        A trouble does not end by not being measured any more.

        Args:
            newest: that day; None where there is none.
            days: how many.
        """
        if newest is None:
            return []
        first = newest - timedelta(days=days - 1)
        return MetricStore(self.settings).between(first, newest, with_detail=False)

    def _as_it_stood(self, night: Night) -> Night:
        if night.ended_at is None or night.ended_at <= self.now:
            return night
        return night._replace(ended_at=None, verdict=None, outcome=Outcome.RUNNING, why=None)


def serving_words(releases: Sequence[ReleaseRecord], snapshot: str | None, today: date) -> str:
    """The champion, its challenger, the snapshot and its age, as far as they are known.

    Args:
        releases: the one in force last.
        snapshot: that is being served.
        today: in the market.
    """
    if not releases:
        model = "no model that is known of"
    elif releases[-1].challenger:
        release = releases[-1]
        model = f"model {release.champion}, with {release.challenger} deciding on {release.share:.0%}"
    else:
        model = f"model {releases[-1].champion}"
    if snapshot is None:
        return f"{model}, no snapshot that is known of"
    days = (today - date.fromisoformat(snapshot[:10])).days
    return f"{model}, snapshot {snapshot} ({days} {'day' if days == 1 else 'days'} old)"
