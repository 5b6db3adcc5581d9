"""Decisions joined to what became of them, in Postgres, where the decisions lie: counts by score bin come back.

The lake's side of the join (outcomes, and which loan was a customer's newest) is copied into temporary tables. All of it
is on the server's disk; here is never more than a batch of rows, eight bytes a loan asked about, and the counts of a
month.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from psycopg2 import extensions, sql

from creditrisk.store_schema import StoreSchema
from monitoring.score_histogram import BINS_PER_LOG_ODDS, GROUPS, BinCount
from monitoring.step_evidence import LEAST_PROBABILITY

_WORK_MEMORY = "128MB"
_STATEMENT_TIMEOUT = "1h"

_RESTS_ON = sql.SQL("""
    SELECT snapshot, champion, challenger, bool_or(loan = 'newest'), min(as_of)
    FROM {decisions} WHERE decided_at >= %(since)s AND decided_at < %(until)s GROUP BY 1, 2, 3
""")

_TABLES = """
    CREATE TEMPORARY TABLE named_snapshots (snapshot text PRIMARY KEY, number integer NOT NULL) ON COMMIT DROP;
    CREATE TEMPORARY TABLE newest_loans (number integer, customer bigint, loan_id bigint) ON COMMIT DROP;
    CREATE TEMPORARY TABLE outcomes (loan_id bigint, customer bigint, loan_date date, late smallint) ON COMMIT DROP;
    CREATE TEMPORARY TABLE made_with (version text, loan_id bigint) ON COMMIT DROP;
"""

_KEYS = """
    CREATE UNIQUE INDEX ON newest_loans (number, customer) INCLUDE (loan_id);
    CREATE UNIQUE INDEX ON outcomes (loan_id);
    CREATE INDEX ON outcomes (customer, loan_date, loan_id);
    CREATE UNIQUE INDEX ON made_with (version, loan_id);
    ANALYZE named_snapshots; ANALYZE newest_loans; ANALYZE outcomes; ANALYZE made_with;
"""

_QUESTIONS = sql.SQL("""
    CREATE TEMPORARY TABLE questions ON COMMIT DROP AS
    SELECT date_trunc('month', decided_at AT TIME ZONE %(zone)s)::date AS month, scored.version, scored.arm,
        scored.beside, d.customer,
        d.as_of, n.loan_id, min(ARRAY[extract(epoch FROM decided_at), score, decision]::float8[]) AS first
    FROM {decisions} AS d
    LEFT JOIN named_snapshots USING (snapshot)
    LEFT JOIN newest_loans AS n ON d.loan = 'newest' AND n.number = named_snapshots.number AND n.customer = d.customer
    CROSS JOIN LATERAL (VALUES
        (champion, 'champion', NULL, coalesce(champion_probability, probability)),
        (challenger, 'challenger', champion, challenger_probability),
        (champion, 'champion', challenger, CASE WHEN challenger_probability IS NOT NULL THEN champion_probability END)
    ) AS scored (version, arm, beside, score)
    WHERE decided_at >= %(since)s AND decided_at < %(until)s AND score IS NOT NULL
    GROUP BY month, scored.version, scored.arm, scored.beside, d.customer, d.as_of, n.loan_id,
        CASE WHEN n.loan_id IS NULL THEN snapshot END, d.loan
""")
"""A row a question and version. The same question again (the same newest loan, or the same day of the loan applied for)
counts once, with the first answer. The third kind of row is the champion's score where the challenger has one too."""

_COUNTS = sql.SQL("""
    WITH followed AS (
        SELECT q.month, q.version, q.arm, q.beside, q.customer, first[2] AS score,
            least(greatest(first[2], %(least)s), 1 - %(least)s) AS bounded, q.as_of,
            q.as_of IS NOT NULL AND first[3] = 1 AS is_declined,
            CASE WHEN q.as_of IS NULL THEN q.loan_id ELSE taken.loan_id END AS loan_id,
            CASE WHEN q.as_of IS NULL THEN newest.late ELSE taken.late END AS late
        FROM questions AS q
        LEFT JOIN outcomes AS newest ON q.as_of IS NULL AND newest.loan_id = q.loan_id
        LEFT JOIN LATERAL (
            SELECT loan_id, late FROM outcomes AS o
            WHERE o.customer = q.customer AND o.loan_date BETWEEN q.as_of AND q.as_of + %(horizon)s
            ORDER BY loan_date, loan_id LIMIT 1
        ) AS taken ON first[3] = 0
    ), judged AS (
        SELECT month, version, arm, beside, customer, score, bounded,
            CASE
                WHEN is_declined THEN 'declined'
                WHEN loan_id IS NULL AND as_of IS NULL THEN 'unlinked'
                WHEN loan_id IS NULL THEN 'no loan'
                WHEN version = ANY(%(unreadable)s) OR beside = ANY(%(unreadable)s) OR EXISTS (
                    SELECT FROM made_with AS m
                    WHERE m.loan_id = followed.loan_id AND m.version IN (followed.version, followed.beside)
                ) THEN 'made with'
                WHEN late IS NULL THEN 'open'
                WHEN late = 1 THEN 'late'
                ELSE 'in time'
            END AS state
        FROM followed
    )
    SELECT month, version, arm, beside, state, hashint8(customer) & (%(groups)s - 1) AS part,
        floor(ln(bounded / (1 - bounded)) * %(bins)s)::integer AS bin, count(*), sum(score), sum(score * score)
    FROM judged
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    ORDER BY 1, 2, 3, 4 NULLS FIRST
""")


class Scorer(NamedTuple):
    """Who scored decisions of a month: a version as champion or challenger, and whom it is compared with."""

    month: date
    version: str
    arm: str
    beside: str | None
    """The other version of the same decisions: of a challenger its champion; of a champion that is counted over the
    decisions that this challenger scored too, the challenger; else None."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A scorer's questions by what is known of them."""

    scorer: Scorer
    states: dict[str, list[BinCount]]
    """``late``, ``in time`` and ``open`` (no outcome yet) are about a loan; the others do not count: ``declined``,
    ``no loan`` (none has followed so far), ``unlinked`` (no snapshot says which loan it was), ``made with``."""


@dataclass(frozen=True, slots=True)
class RestsOn:
    """What the decisions of a time rest on."""

    versions: frozenset[str]
    newest_of: frozenset[str]
    """Snapshots that questions about the newest loan were answered from."""
    first_as_of: date | None
    """The first day of a loan applied for; None where none was."""


class OutcomeReads:
    """One transaction of the publisher's, whose temporary tables the lake's side is copied into."""

    def __init__(
        self, cursor: extensions.cursor, schema: StoreSchema, first: date, last: date, zone: ZoneInfo
    ) -> None:
        """Make the tables.

        Args:
            cursor: in a transaction, with which the tables go.
            schema: the market's.
            first: the first day of decisions.
            last: the last day.
            zone: the market's time zone, which days and months are of.
        """
        self._cursor = cursor
        self._decisions = schema.table("decisions")
        self._time = {
            "since": datetime.combine(first, time(), zone),
            "until": datetime.combine(last + timedelta(days=1), time(), zone),
            "zone": zone.key,
        }
        cursor.execute("SELECT set_config('work_mem', %s, true)", (_WORK_MEMORY,))
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (_STATEMENT_TIMEOUT,))
        cursor.execute(_TABLES)

    def rests_on(self) -> RestsOn:
        """What the decisions rest on."""
        self._cursor.execute(_RESTS_ON.format(decisions=self._decisions), self._time)
        found = self._cursor.fetchall()
        return RestsOn(
            versions=frozenset(name for row in found for name in row[1:3] if name),
            newest_of=frozenset(row[0] for row in found if row[3]),
            first_as_of=min((row[4] for row in found if row[4]), default=None),
        )

    def copy(self, table: str, rows: Iterable[bytes]) -> None:
        """Add CSV to a temporary table.

        Args:
            table: ``named_snapshots`` (snapshot, number), ``newest_loans`` (number, customer, loan_id), ``outcomes``
                (loan_id, customer, loan_date, late) or ``made_with`` (version, loan_id).
            rows: without a header, some rows at a time.
        """
        statement = sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv)").format(sql.Identifier("pg_temp", table))
        for chunk in rows:
            self._cursor.copy_expert(statement, io.BytesIO(chunk), size=1 << 20)

    def counted(self, horizon_days: int, unreadable: Iterable[str]) -> Iterator[Counted]:
        """Every scorer's questions, by month, version and arm, after all has been copied.

        Args:
            horizon_days: within which a loan follows an application.
            unreadable: versions of which nobody knows what they were made with: none of their outcomes counts.
        """
        self._cursor.execute(_KEYS)
        self._cursor.execute(_QUESTIONS.format(decisions=self._decisions), self._time)
        self._cursor.execute("ANALYZE questions")
        self._cursor.execute(
            sql.SQL("DECLARE counts NO SCROLL CURSOR FOR ") + _COUNTS,
            {
                "least": LEAST_PROBABILITY,
                "bins": BINS_PER_LOG_ODDS,
                "groups": GROUPS,
                "horizon": horizon_days,
                "unreadable": list(unreadable),
            },
        )
        counted: Counted | None = None
        for *scorer, state, part, number, count, total, squares in self._fetched("counts"):
            if counted is None or counted.scorer != tuple(scorer):
                if counted:
                    yield counted
                counted = Counted(Scorer(*scorer), {})
            counted.states.setdefault(state, []).append(BinCount(part, number, count, total, squares))
        if counted:
            yield counted

    def _fetched(self, name: str) -> Iterator[tuple[Any, ...]]:
        while True:
            self._cursor.execute(sql.SQL("FETCH 10000 FROM {}").format(sql.Identifier(name)))
            rows = self._cursor.fetchall()
            if not rows:
                return
            yield from rows
