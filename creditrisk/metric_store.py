"""All SQL on the table ``metrics``: what monitoring measured of a day, held against limits, in words.

A row is one number: of a day, a metric, and what of it (``part``: a window, an arm, a feature, joined by ``/``).
A day can be measured again, any number of times: whoever measures replaces the rows of their own metrics, all in
one transaction, and leaves those of others alone.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extras import Json, execute_values

from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from creditrisk.store_reader import StoreReader
from creditrisk.store_schema import StoreSchema

_COLUMNS = ("day", "metric", "part", "value", "limit_value", "verdict", "words", "detail")


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of monitoring, and how it ended."""

    metric: str
    part: str
    """What of it: window, arm, feature, group or version, joined by ``/``; ``all`` for the whole."""
    value: float | None
    """None where there is nothing to say, which is then *not judged*."""
    limit: float | None
    """What the value was held against: where it is no longer a pass; None where it is only shown."""
    verdict: Verdict
    words: str
    """A sentence for an operator."""
    detail: dict[str, Any] = field(default_factory=dict)
    """JSON: what the number comes from."""

    def __post_init__(self) -> None:
        for name in ("value", "limit"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{name} of {self.metric} of {self.part}: {number} is not finite")


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure as it is kept."""

    day: date
    measure: Measure
    measured_at: datetime


class MetricStore:
    """One market's measures."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet, and a URL is only needed by what uses it."""
        self._settings = settings

    def replace(self, day: date, measures: Sequence[Measure], *, metrics: Collection[str]) -> None:
        """Put a day's measures in place of those of the same metrics; all or nothing, as the publisher.

        Args:
            day: that was measured.
            measures: each metric and part once.
            metrics: names that are replaced, also where there is no measure of them any more.

        Raises:
            ValueError: a measure is of none of these metrics.
            SettingsError: there is no URL to write with.
            StoreUnavailable: Postgres cannot be reached.
            StoreError: it refused, such as where the table has not been made yet.
        """
        foreign = sorted({measure.metric for measure in measures} - set(metrics))
        if foreign:
            raise ValueError(f"measures: {', '.join(foreign)}: not among the metrics to replace")
        schema = StoreSchema.of(self._settings)
        rows = [(day, *_values(each)) for each in measures]
        with schema.connected() as connection, connection, connection.cursor() as cursor:
            # Two that measure one day at the same moment take turns, and the second's rows stay.
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"metrics {schema.schema} {day}",)
            )
            cursor.execute(
                sql.SQL("DELETE FROM {} WHERE day = %s AND metric = ANY(%s)").format(schema.table("metrics")),
                (day, sorted(metrics)),
            )
            if rows:
                statement = sql.SQL("INSERT INTO {} ({}) VALUES %s").format(
                    schema.table("metrics"), sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
                )
                execute_values(cursor, statement, rows)

    def between(
        self, first: date, last: date, *, metrics: Collection[str] | None = None, with_detail: bool = True
    ) -> list[Measured]:
        """Measures of the days from ``first`` to ``last``, both included, by day, metric and part; as the reader.

        Args:
            first: the first day.
            last: the last day.
            metrics: only these; None: all.
            with_detail: False leaves the details out, which are most of the bytes.

        Raises:
            SettingsError: there is no URL to read with.
            StoreUnavailable: Postgres cannot be reached, or is too slow.
            StoreError: it refused, such as where the table has not been made yet.
        """
        reader = StoreReader.of(self._settings)
        question = sql.SQL(
            "SELECT day, metric, part, value, limit_value, verdict, words, {detail}, measured_at FROM {table} "
            "WHERE day BETWEEN %s AND %s AND (%s OR metric = ANY(%s)) ORDER BY day, metric, part"
        ).format(detail=sql.SQL("detail" if with_detail else "NULL"), table=reader.table("metrics"))
        with reader.reading() as cursor:
            cursor.execute(question, (first, last, metrics is None, sorted(metrics or ())))
            return [_measured(row) for row in cursor.fetchall()]


def _values(measure: Measure) -> tuple[Any, ...]:
    detail = Json(measure.detail) if measure.detail else None
    verdict = measure.verdict.value
    return measure.metric, measure.part, measure.value, measure.limit, verdict, measure.words, detail


def _measured(row: tuple[Any, ...]) -> Measured:
    day, metric, part, value, limit, verdict, words, detail, measured_at = row
    return Measured(
        day, Measure(metric, part, value, limit, Verdict(verdict), words, detail or {}), measured_at
    )
