"""A generated history's rows in the market's store: nights, publications, decisions and traffic, each marked as such."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np
from psycopg2 import extensions, sql

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decisions import Arm
from creditrisk.errors import StoreError
from creditrisk.nights import Outcome
from creditrisk.release import ReleaseRecord
from creditrisk.snapshots import SnapshotId, SnapshotManifest, Verdict
from creditrisk.store_schema import StoreSchema
from local.demo_month import Application

KEY_NAME = "demo history"
"""Of the decisions' API key, whoever published, and the worker that counted."""
RUN_PREFIX = "generated "

_COLUMNS = (
    "decision_id", "decided_at", "customer", "loan", "as_of", "snapshot", *FEATURE_NAMES, "release", "champion",
    "model_version", "arm", "probability", "threshold", "decision", "latency_microseconds", "key_name",
)  # fmt: skip


class GeneratedNight(NamedTuple):
    """A night as it is to be told."""

    manifest: SnapshotManifest
    verdict: Verdict | None
    began: datetime
    seconds: float
    is_built: bool = False
    """Whether the feature job built it; else the history wrote it from its own loans."""

    @property
    def ended(self) -> datetime:
        """The moment at which it ended."""
        return self.began + timedelta(seconds=self.seconds)


class DemoTables:
    """Writes over one connection of the publisher's; each method is one transaction."""

    def __init__(self, connection: extensions.connection, schema: StoreSchema) -> None:
        self._connection = connection
        self._schema = schema

    def require_none(self) -> None:
        """Return if there is no generated history in the market yet.

        Raises:
            StoreError: there is.
        """
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "SELECT count(*), min(as_of), max(as_of) FROM {} WHERE starts_with(run_id, %s)"
                ).format(self._schema.table("nights")),
                (RUN_PREFIX,),
            )
            ((nights, first, last),) = cursor.fetchall()
        if nights:
            raise StoreError(
                f"schema {self._schema.schema}: there is a generated history already, {nights} nights from {first} to "
                f"{last}: python -m local.demo_history --remove"
            )

    def publish(self, night: GeneratedNight) -> None:
        """Tell of a night that ended well; what is served does not change."""
        manifest, snapshot = night.manifest, SnapshotId.parse(night.manifest.snapshot)
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {} (snapshot, as_of, table_name, customers, action, published_by, published_at) "
                    "VALUES (%s, %s, %s, %s, 'publish', %s, %s)"
                ).format(self._schema.table("publications")),
                (
                    manifest.snapshot, manifest.as_of, snapshot.table_name, manifest.counts.customers, KEY_NAME,
                    night.ended,
                ),
            )  # fmt: skip
        how = "built" if night.is_built else "not built"
        told = f"Snapshot {manifest.snapshot} was published: {manifest.counts.customers:,} customers."
        self.tell_night(night, Outcome.PUBLISHED, f"{told} (Generated, and {how} by the feature job.)")

    def tell_night(self, night: GeneratedNight, outcome: Outcome, why: str | None) -> None:
        """A row of the table of nights; one that goes on has no end, no snapshot and no verdict."""
        counts, is_over = night.manifest.counts, outcome is not Outcome.RUNNING
        values = {
            "as_of": night.manifest.as_of,
            "run_id": f"{RUN_PREFIX}{night.manifest.as_of}",
            "started_at": night.began,
            "outcome": str(outcome),
            "why": why,
        }
        if is_over:
            values |= {
                "ended_at": night.ended,
                "seconds": night.seconds,
                "snapshot": night.manifest.snapshot,
                "rows_in": counts.rows_in,
                "kept": counts.kept,
                "quarantined": counts.quarantined,
                "later": counts.later,
                "verdict": str(night.verdict),
            }
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                    self._schema.table("nights"),
                    sql.SQL(", ").join(map(sql.Identifier, values)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(values)),
                ),
                tuple(values.values()),
            )

    def decide(
        self, applications: Sequence[Application], release: ReleaseRecord, threshold: float, seed: int
    ) -> None:
        """Copy decisions into the log, with their days' partitions where those are missing."""
        text = io.StringIO()
        rng = np.random.default_rng(seed)
        latencies = np.exp(rng.normal(6.6, 0.35, len(applications))).astype(int).tolist()
        lines = csv.writer(text)
        for one, latency in zip(applications, latencies, strict=True):
            lines.writerow(
                [
                    _time_ordered_id(one.at, rng), one.at.isoformat(), one.customer, one.loan, one.as_of, one.snapshot,
                    *one.features, release.number, release.champion, release.champion, Arm.CHAMPION,
                    repr(one.probability), repr(threshold), int(one.is_declined), latency, KEY_NAME,
                ]
            )  # fmt: skip
        text.seek(0)
        columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
        with self._connection, self._connection.cursor() as cursor:
            for day in sorted({one.at.date() for one in applications}):
                cursor.execute(
                    sql.SQL("SELECT {}(%s)").format(self._schema.table("add_decision_day")), (day,)
                )
            cursor.copy_expert(
                sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT csv)").format(
                    self._schema.table("decisions"), columns
                ),
                text,
            )

    def count_traffic(self) -> None:
        """The requests that the decisions came by, a minute at a time, and one in two hundred about nobody known."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "WITH asked AS (SELECT date_trunc('minute', decided_at) AS minute, count(*) AS requests, "
                    "sum(latency_microseconds) / 1e6 AS seconds, "
                    "count(*) FILTER (WHERE hashint8(customer + extract(epoch FROM decided_at)::bigint) %% 200 = 0) AS strays "
                    "FROM {decisions} WHERE key_name = %(key)s GROUP BY 1) "
                    "INSERT INTO {traffic} (minute, worker, route, status, requests, seconds_sum) "
                    "SELECT minute, %(key)s, 'POST /predict', 200, requests, seconds FROM asked UNION ALL "
                    "SELECT minute, %(key)s, 'POST /predict', 404, strays, strays * 0.0006 FROM asked WHERE strays > 0"
                ).format(decisions=self._schema.table("decisions"), traffic=self._schema.table("traffic")),
                {"key": KEY_NAME},
            )

    def analyze(self) -> None:
        """Let Postgres count what has come, which it would do by itself minutes later: it plans by that."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(sql.SQL("ANALYZE {}").format(self._schema.table("decisions")))

    def remove(self, first: date, last: date, snapshots: Sequence[str]) -> dict[str, int]:
        """Remove all of it and what was measured of its days, which can be measured again; rows by table.

        Args:
            first: the first of its days.
            last: the last one.
            snapshots: those of its own that go. The last one was published like any other, without the history's mark.
        """
        days = (first, last)
        statements = {
            "decisions": ("key_name = %s", (KEY_NAME,)),
            "traffic": ("worker = %s", (KEY_NAME,)),
            "nights": ("starts_with(run_id, %s)", (RUN_PREFIX,)),
            "publications": ("published_by = %s OR snapshot = ANY(%s)", (KEY_NAME, list(snapshots))),
            "metrics": ("day BETWEEN %s AND %s", days),
            "vintages": ("month BETWEEN date_trunc('month', %s::date) AND %s", days),
        }
        removed = {}
        with self._connection, self._connection.cursor() as cursor:
            for table, (condition, values) in statements.items():
                cursor.execute(
                    sql.SQL("DELETE FROM {} WHERE ").format(self._schema.table(table)) + sql.SQL(condition),
                    values,
                )
                removed[table] = cursor.rowcount
        return removed

    def days(self) -> tuple[date, date] | None:
        """The first and last day of the generated nights and decisions, or None."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("SELECT min(as_of), max(as_of) + 1 FROM {} WHERE starts_with(run_id, %s)").format(
                    self._schema.table("nights")
                ),
                (RUN_PREFIX,),
            )
            ((first, last),) = cursor.fetchall()
        return (first, last) if first else None


def _time_ordered_id(at: datetime, rng: np.random.Generator) -> str:
    """A UUID of version 7 of a moment."""
    random = rng.bytes(10).hex()
    stamp = f"{int(at.astimezone(UTC).timestamp() * 1000):012x}"
    return (
        f"{stamp[:8]}-{stamp[8:]}-7{random[:3]}-{'89ab'[int(random[3], 16) % 4]}{random[4:7]}-{random[7:19]}"
    )
