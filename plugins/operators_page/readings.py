"""All that the page asks of the market's store: prepared tables, and indexed look-ups in the decision log.

One connection and one moment a request, as the reading role, each statement within a time limit. A table that has not
been made yet reads as an empty one, for a market's first day is a day too.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends
from psycopg2 import extensions, sql

from creditrisk.alert_store import Told, alerts_since
from creditrisk.decisions import DecisionRecord, record_of
from creditrisk.look_store import Look, looks_at
from creditrisk.nights import Night
from creditrisk.probe_store import Probe, probes
from creditrisk.snapshots import Verdict
from creditrisk.store_reader import StoreReader
from creditrisk.traffic import TrafficSum, answers_between, sum_of
from creditrisk.vintage_store import Vintage, newest_vintages
from plugins.operators_page.rendering import PageDep
from plugins.operators_page.store_rows import Decided, Metric, Served

SECONDS = 2.0
"""How long a statement may take."""

_CLOCKS_DIFFER = timedelta(hours=1)
"""How far the time in a decision's id may be from that in its record."""

_TABLES = (
    "current_snapshot", "publications", "decisions", "metrics", "vintages", "alerts", "deliveries", "probes", "nights", "traffic", "looks",
)  # fmt: skip


_WORST = (Verdict.FAIL, Verdict.WARN, Verdict.NOT_JUDGED, Verdict.PASS)


class Readings:
    """The market's store at one moment."""

    def __init__(self, reader: StoreReader, cursor: extensions.cursor) -> None:
        self._reader = reader
        self._cursor = cursor
        names = [f'"{reader.schema}".{name}' for name in _TABLES]
        cursor.execute(
            "SELECT to_regclass(name) IS NOT NULL FROM unnest(%s) WITH ORDINALITY AS t(name, n) ORDER BY n",
            (names,),
        )
        self._there = {name for name, (there,) in zip(_TABLES, cursor.fetchall(), strict=True) if there}

    def served(self) -> Served | None:
        """What is served, or None where nothing has been published."""
        rows = self._ask("SELECT snapshot, switched_at FROM {current_snapshot}")
        return Served(*rows[0]) if rows else None

    def nights(self, limit: int, before: date | None = None) -> list[Night]:
        """The newest runs of the nightly, of dates before one, newest first."""
        rows = self._ask(
            "SELECT {fields} FROM {nights} WHERE %s::date IS NULL OR as_of < %s ORDER BY as_of DESC, started_at DESC LIMIT %s",
            (before, before, limit),
            Night,
        )
        return [Night(*row) for row in rows]

    def night(self, as_of: date, run_id: str) -> Night | None:
        """One run of the nightly."""
        rows = self._ask(
            "SELECT {fields} FROM {nights} WHERE as_of = %s AND run_id = %s", (as_of, run_id), Night
        )
        return Night(*rows[0]) if rows else None

    def night_of_run(self, run_id: str) -> Night | None:
        """The newest row of a run of the DAG, whatever its date."""
        rows = self._ask(
            "SELECT {fields} FROM {nights} WHERE run_id = %s ORDER BY started_at DESC LIMIT 1",
            (run_id,),
            Night,
        )
        return Night(*rows[0]) if rows else None

    def alerts(self, since: datetime) -> list[Told]:
        """Alerts that are open, have ended since a moment, or have unsent messages; open ones first, the newest first."""
        return (
            alerts_since(self._cursor, self._reader, since) if self._are_there("alerts", "deliveries") else []
        )

    def probes(self) -> list[Probe]:
        """The parts of the system as they were last seen, the worst first."""
        if not self._are_there("probes"):
            return []
        return sorted(
            probes(self._cursor, self._reader.table("probes")), key=lambda probe: _WORST.index(probe.verdict)
        )

    def traffic(self, since: datetime, until: datetime) -> TrafficSum | None:
        """What the service's clients got from one moment to another; None where they asked nothing."""
        if not self._are_there("traffic"):
            return None
        total = sum_of(answers_between(self._cursor, self._reader.table("traffic"), since, until))
        return total if total.requests else None

    def decided(self, since: datetime, until: datetime) -> Decided | None:
        """Decisions from one moment to another; None where there are none."""
        rows = self._ask(
            "SELECT count(*), count(*) FILTER (WHERE decision = 0) FROM {decisions} "
            "WHERE decided_at >= %s AND decided_at <= %s HAVING count(*) > 0",
            (since, until),
        )
        return Decided(*rows[0]) if rows else None

    def newest_measured_day(self) -> date | None:
        """The newest day that monitoring has measured."""
        rows = self._ask("SELECT max(day) FROM {metrics}")
        return rows[0][0] if rows else None

    def metrics(self, first: date, last: date, names: Sequence[str] | None = None) -> list[Metric]:
        """Measures of the days from one to another, both included, by metric, part and day."""
        rows = self._ask(
            'SELECT day, metric, part, value, limit_value AS "limit", verdict, words FROM {metrics} '
            "WHERE day BETWEEN %s AND %s AND (%s OR metric = ANY(%s)) ORDER BY metric, part, day",
            (first, last, names is None, list(names or ())),
        )
        return [Metric(*row) for row in rows]

    def metrics_of(self, first: date, last: date, names: Sequence[str], part: str) -> list[Metric]:
        """Measures of a part and of the parts below it, such as ``week/all``, by metric, part and day."""
        rows = self._ask(
            'SELECT day, metric, part, value, limit_value AS "limit", verdict, words FROM {metrics} '
            "WHERE day BETWEEN %s AND %s AND metric = ANY(%s) AND (part = %s OR starts_with(part, %s)) "
            "ORDER BY metric, part, day",
            (first, last, list(names), part, f"{part}/"),
        )
        return [Metric(*row) for row in rows]

    def arms(self, day: date) -> list[str]:
        """The arms that decided in the week before a day, as measured."""
        rows = self._ask(
            "SELECT DISTINCT split_part(part, '/', 2) FROM {metrics} WHERE day = %s AND metric = 'decisions'",
            (day,),
        )
        return [arm for (arm,) in rows if arm]

    def detail(self, day: date, metric: str, part: str) -> dict[str, Any] | None:
        """What a measure comes from."""
        rows = self._ask(
            "SELECT detail FROM {metrics} WHERE day = %s AND metric = %s AND part = %s", (day, metric, part)
        )
        return rows[0][0] if rows else None

    def vintages(self) -> list[Vintage]:
        """The newest two years of decisions by month, newest first."""
        if not self._are_there("vintages"):
            return []
        return newest_vintages(self._cursor, self._reader.table("vintages"))

    def looks(self, releases: Sequence[int], most: int) -> list[Look]:
        """Looks of the judge at the steps of these release records, oldest first, spread over time where many."""
        return looks_at(self._cursor, self._reader, releases, most) if self._are_there("looks") else []

    def decision(self, decision_id: UUID) -> DecisionRecord | None:
        """The record of a decision. Its id tells its day, so that few partitions are asked, unless it is not there."""
        question = "SELECT row_to_json(d)::text FROM {decisions} d WHERE decision_id = %s"
        rows: list[tuple[Any, ...]] = []
        made = _made_at(decision_id)
        if made:
            near = (made - _CLOCKS_DIFFER, made + _CLOCKS_DIFFER)
            rows = self._ask(f"{question} AND decided_at BETWEEN %s AND %s", (str(decision_id), *near))
        rows = rows or self._ask(question, (str(decision_id),))
        return record_of(rows[0][0]) if rows else None

    def decisions_of(self, customer: int, limit: int) -> list[DecisionRecord]:
        """A customer's newest decisions, newest first."""
        rows = self._ask(
            "SELECT row_to_json(d)::text FROM {decisions} d WHERE customer = %s ORDER BY decided_at DESC LIMIT %s",
            (customer, limit),
        )
        return [record_of(body) for (body,) in rows]

    def _are_there(self, *tables: str) -> bool:
        return self._there.issuperset(tables)

    def _ask(
        self, question: str, values: Sequence[Any] = (), kind: type | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows; none where a table of the question has not been made. ``{fields}`` are those of ``kind``."""
        tables = [name for name in _TABLES if f"{{{name}}}" in question]
        if not self._are_there(*tables):
            return []
        fields = sql.SQL(", ").join(
            map(sql.Identifier, getattr(kind, "_fields", getattr(kind, "__slots__", ())))
        )
        places = {name: self._reader.table(name) for name in tables}
        self._cursor.execute(sql.SQL(question).format(fields=fields, **places), tuple(values))
        return list(self._cursor.fetchall())


def _made_at(decision_id: UUID) -> datetime | None:
    """When an id of version 7 was made; None of another version, or of a time that there is not."""
    if decision_id.version != 7:
        return None
    try:
        return datetime.fromtimestamp((decision_id.int >> 80) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@contextmanager
def opened(reader: StoreReader) -> Iterator[Readings]:
    """The store at this moment.

    Raises:
        StoreUnavailable: Postgres cannot be reached, or is too slow.
    """
    with reader.reading(seconds=SECONDS, name="creditrisk operators page", sort_memory="16MB") as cursor:
        yield Readings(reader, cursor)


def _of_page(page: PageDep) -> Iterator[Readings]:
    with opened(StoreReader.of(page.settings)) as readings:
        yield readings


ReadingsDep = Annotated[Readings, Depends(_of_page)]
