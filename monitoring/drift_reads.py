"""What drift reads of the decision log: counts by bucket, made where the rows lie, and seeded samples.

Ten million decisions of a week come back as some thousand rows. A customer counts once, with the last decision of the
window: an array that begins with its time is the greatest of the customer's, so there is no sort, and Postgres needs
memory by customer. Samples are the rows with the least seeded hashes, so the same question gives the same rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from psycopg2 import sql

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decisions import DecisionRecord, record_of
from creditrisk.settings import Settings
from creditrisk.store_reader import StoreReader
from monitoring.histograms import Grid, Histogram, feature_grid, probability_grid
from monitoring.windows import Window

SEED = 7
_SECONDS = 600.0
_HASH_MEMORY = "128MB"

QUANTITIES = (*FEATURE_NAMES, "probability")

_ARMS = sql.SQL("""
    SELECT model_version, arm, count(*) FROM {decisions}
    WHERE decided_at >= %(begin)s AND decided_at < %(end)s
    GROUP BY 1, 2 ORDER BY 1, 2
""")

_COUNTS = sql.SQL("""
    WITH last AS (
        SELECT max(ARRAY[
            extract(epoch FROM decided_at), array_position(%(versions)s::text[], model_version),
            array_position(%(arms)s::text[], arm), decision, {quantities}
        ]::float8[]) AS decision
        FROM {decisions}
        WHERE decided_at >= %(begin)s AND decided_at < %(end)s
        GROUP BY customer
    ), bucketed AS (
        SELECT decision[2]::integer AS version, decision[3]::integer AS arm, decision[4] = 0 AS approved, {buckets}
        FROM last
    )
    SELECT version, arm, {names}, grouping({names}), count(*), count(*) FILTER (WHERE approved), {beyond}
    FROM bucketed
    GROUP BY GROUPING SETS ((version, arm), {sets})
""")

_CUSTOMERS = sql.SQL("""
    SELECT customer, model_version, arm FROM {decisions}
    WHERE decided_at >= %(begin)s AND decided_at < %(end)s
    GROUP BY 1, 2, 3
    ORDER BY hashint8extended(customer, %(seed)s), customer, model_version, arm LIMIT %(most)s
""")

_SAMPLE = sql.SQL("""
    SELECT row_to_json(d)::text FROM (
        SELECT * FROM {decisions}
        WHERE decided_at >= %(begin)s AND decided_at < %(end)s
        ORDER BY uuid_hash_extended(decision_id, %(seed)s), decision_id LIMIT %(most)s
    ) AS d
""")


_NAMED = sql.SQL("""
    SELECT row_to_json(d)::text FROM {decisions} AS d
    WHERE decided_at >= %(begin)s AND decided_at < %(end)s AND decision_id = ANY(%(ids)s::uuid[])
    ORDER BY decision_id
""")


@dataclass(frozen=True, eq=False, slots=True)
class ArmCounts:
    """What one version decided in one arm: each customer counted once, but for ``decisions``."""

    version: str
    arm: str
    decisions: int
    customers: int
    approved: int
    histograms: dict[str, Histogram]
    """By feature, and of the ``probability``."""


class SampledCustomer(NamedTuple):
    """A customer whom a version decided on."""

    customer: int
    version: str
    arm: str


class DriftReads:
    """One market's decision log, read as the reading role."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet.

        Raises:
            SettingsError: there is no URL to read with.
        """
        self._reader = StoreReader.of(settings)

    def counts(self, window: Window) -> list[ArmCounts]:
        """Counts by version and arm; a customer is where their last decision was made.

        Raises:
            StoreUnavailable: Postgres is down, or too slow.
            StoreError: it refused the question.
        """
        grids = [feature_grid(name) for name in FEATURE_NAMES] + [probability_grid()]
        bounds = {"begin": window.begin, "end": window.end}
        with self._reader.reading(
            seconds=_SECONDS, sort_memory=_HASH_MEMORY, name="creditrisk drift"
        ) as cursor:
            cursor.execute(_ARMS.format(decisions=self._decisions), bounds)
            found = cursor.fetchall()
            versions, arms = (sorted({row[place] for row in found}) for place in (0, 1))
            edges = {f"edges_{grid.name}": grid.edges.tolist() for grid in grids}
            limits = {f"lower_{grid.name}": grid.lower for grid in grids} | {
                f"upper_{grid.name}": grid.upper for grid in grids
            }
            cursor.execute(
                self._counting(), {**bounds, "versions": versions, "arms": arms, **edges, **limits}
            )
            rows = cursor.fetchall()
        decisions = {(version, arm): count for version, arm, count in found}
        return [
            _arm_counts(version, arm, decisions[version, arm], grids, [row[2:] for row in rows if row[:2] == key])
            for number, version in enumerate(versions, start=1)
            for place, arm in enumerate(arms, start=1)
            if (version, arm) in decisions and (key := (number, place))
        ]  # fmt: skip

    def customers(self, window: Window, most: int) -> list[SampledCustomer]:
        """Some of the customers, by a seeded hash; all of them where there are no more than ``most``.

        Raises what :meth:`counts` raises.
        """
        return [SampledCustomer(*row) for row in self._some(_CUSTOMERS, window, most)]

    def sample(self, window: Window, most: int) -> list[DecisionRecord]:
        """Some of the decisions, by a seeded hash of their ids; all where there are no more than ``most``.

        Raises what :meth:`counts` raises.
        """
        return [record_of(row) for (row,) in self._some(_SAMPLE, window, most)]

    def decisions(self, window: Window, ids: Sequence[str]) -> list[DecisionRecord]:
        """Decisions by their ids, as far as they are in the log. Raises what :meth:`counts` raises."""
        with self._reader.reading(seconds=_SECONDS, name="creditrisk drift") as cursor:
            cursor.execute(
                _NAMED.format(decisions=self._decisions),
                {"begin": window.begin, "end": window.end, "ids": list(ids)},
            )
            return [record_of(row) for (row,) in cursor.fetchall()]

    def numbers(self, windows: Sequence[Window]) -> list[int]:
        """How many decisions there are in each window. Raises what :meth:`counts` raises."""
        question = sql.SQL("SELECT count(*) FROM {} WHERE decided_at >= %s AND decided_at < %s").format(
            self._decisions
        )
        with self._reader.reading(seconds=_SECONDS, name="creditrisk drift") as cursor:
            found = []
            for window in windows:
                cursor.execute(question, (window.begin, window.end))
                ((number,),) = cursor.fetchall()
                found.append(int(number))
            return found

    @property
    def _decisions(self) -> sql.Identifier:
        return self._reader.table("decisions")

    def _some(self, question: sql.SQL, window: Window, most: int) -> list[tuple[Any, ...]]:
        with self._reader.reading(
            seconds=_SECONDS, sort_memory=_HASH_MEMORY, name="creditrisk drift"
        ) as cursor:
            cursor.execute(
                question.format(decisions=self._decisions),
                {"begin": window.begin, "end": window.end, "seed": SEED, "most": most},
            )
            return cursor.fetchall()

    def _counting(self) -> sql.Composed:
        """The question for counts: a bucket is -1 where the value is missing."""
        bucket = sql.SQL(
            "coalesce(width_bucket(decision[{place}], {edges}::float8[]), -1) AS {name}, "
            "decision[{place}] < {lower} OR decision[{place}] > {upper} AS {beyond}"
        )
        beyond = sql.SQL("count(*) FILTER (WHERE {})")
        names = [sql.Identifier(name) for name in QUANTITIES]
        return _COUNTS.format(
            decisions=self._decisions,
            quantities=sql.SQL(", ").join(names),
            names=sql.SQL(", ").join(names),
            buckets=sql.SQL(", ").join(
                bucket.format(
                    place=sql.Literal(number),
                    name=sql.Identifier(name),
                    beyond=sql.Identifier(f"{name}_beyond"),
                    **{part: sql.Placeholder(f"{part}_{name}") for part in ("edges", "lower", "upper")},
                )
                for number, name in enumerate(QUANTITIES, start=5)
            ),
            beyond=sql.SQL(", ").join(beyond.format(sql.Identifier(f"{name}_beyond")) for name in QUANTITIES),
            sets=sql.SQL(", ").join(sql.SQL("(version, arm, {})").format(name) for name in names),
        )


def _arm_counts(
    version: str, arm: str, decisions: int, grids: list[Grid], rows: list[tuple[Any, ...]]
) -> ArmCounts:
    """From the rows of one version and arm: six buckets, which of them are not grouped by, the counts."""
    size = len(grids)
    all_left_out = 2**size - 1
    customers = approved = 0
    beyond = (0,) * size
    counts = [np.zeros(len(grid.edges) + 1, dtype=np.int64) for grid in grids]
    missing = [0] * size
    for row in rows:
        left_out, count = row[size], row[size + 1]
        if left_out == all_left_out:
            customers, approved, beyond = count, row[size + 2], row[size + 3 :]
            continue
        place = size - (all_left_out ^ left_out).bit_length()  # the leftmost column is the highest bit
        if row[place] < 0:
            missing[place] += count
        else:
            counts[place][row[place]] += count
    histograms = {
        grid.name: Histogram(grid, counts[place], missing[place], beyond[place])
        for place, grid in enumerate(grids)
    }
    return ArmCounts(version, arm, decisions, customers, approved, histograms)
