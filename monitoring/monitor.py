"""One day's measures: each part measures a subject of its own, and its numbers replace those of an earlier try.

What the metrics and parts are called, and what they mean, stands in docs/operations.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from creditrisk.metric_store import Measure, MetricStore
from creditrisk.settings import Settings
from monitoring import drift, incoming, service_level, skew
from monitoring.drift_reads import DriftReads
from monitoring.reference import References
from monitoring.windows import day_window, week_window

_MOST_CUSTOMERS = 20_000
"""Of whom the share of unseen ones is taken."""


@dataclass(frozen=True, slots=True)
class Part:
    """A subject of monitoring."""

    metrics: tuple[str, ...]
    measure: Callable[[Settings, date], list[Measure]]


def drift_measures(settings: Settings, day: date, *, references: References | None = None) -> list[Measure]:
    """Data and score drift of the day's and the week's decisions.

    Args:
        settings: of the market.
        day: the day.
        references: of versions, read before; None reads them.

    Raises:
        StoreUnavailable: Postgres is down.
        StorageError: the registry cannot be read.
    """
    reads, known = DriftReads(settings), references or References(settings)
    measures = []
    for window in (day_window(day, settings.zone), week_window(day, settings.zone)):
        counts = reads.counts(window)
        measures += drift.drift_measures(
            window.name,
            counts,
            reads.customers(window, _MOST_CUSTOMERS),
            {each.version: known.of(each.version) for each in counts},
            settings.monitoring,
        )
    return measures


PARTS: dict[str, Part] = {
    "service_level": Part(service_level.METRICS, service_level.service_level_measures),
    "drift": Part(drift.METRICS, drift_measures),
    "incoming": Part(incoming.METRICS, incoming.incoming_measures),
    "skew": Part(skew.METRICS, skew.skew_measures),
}


def monitor_part(settings: Settings, day: date, name: str) -> list[Measure]:
    """Measure one subject of a day, and put its numbers in place of those that were there.

    Raises:
        StoreUnavailable: Postgres is down; what was there stays.
        StoreError: Postgres refused; what was there stays.
        StorageError: the lake or the registry cannot be read.
    """
    part = PARTS[name]
    measures = part.measure(settings, day)
    MetricStore(settings).replace(day, measures, metrics=part.metrics)
    return measures


def monitor_day(settings: Settings, day: date, *, references: References | None = None) -> list[Measure]:
    """Measure all subjects of a day, and put all numbers in place of those that were there, in one transaction.

    Args:
        settings: of the market.
        day: in the market's time zone.
        references: of versions, for who measures many days; None reads them.

    Raises what :func:`monitor_part` raises.
    """
    known = references or References(settings)
    measures = [
        measure
        for part in PARTS.values()
        for measure in (
            drift_measures(settings, day, references=known)
            if part.metrics is drift.METRICS
            else part.measure(settings, day)
        )
    ]
    metrics = [metric for part in PARTS.values() for metric in part.metrics]
    MetricStore(settings).replace(day, measures, metrics=metrics)
    return measures
