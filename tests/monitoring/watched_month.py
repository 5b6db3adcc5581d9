"""A month of a market as the watch sees it, simulated with a fixed seed: nights, publications, measures; and faults in it.

The measures are noisier than the real ones are allowed to be: each has a bad verdict on one day of a hundred.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import psycopg2
from psycopg2 import sql

from creditrisk.contract import FEATURE_NAMES
from creditrisk.metric_store import Measure, MetricStore
from creditrisk.online_store import OnlineStore
from creditrisk.probe_store import Look
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from monitoring.probes import LAKE, MLFLOW, REGISTRY, SERVICE, SERVICE_PARTS
from monitoring.watch import Watch

FIRST, DAYS = date(2021, 1, 1), 31
FEATURE_METRICS = ("population_stability_index", "drift_test", "missing_share", "out_of_bounds_share")
SCORE_METRICS = ("score_population_stability_index", "approval_rate", "unseen_customers_share")
WHOLE_METRICS = ("skew_rows", "snapshot_age_days", "model_age_days", "volume_ratio")
REALISED = ("realised_roc_auc", "realised_calibration_error", "labelled_share")
WELL = tuple(
    Look(name, Verdict.PASS, "in order")
    for name in (SERVICE, *SERVICE_PARTS.values(), LAKE, REGISTRY, MLFLOW, "airflow scheduler")
)


@dataclass
class WatchedMonth:
    """Lives through a month, a morning after the other."""

    settings: Settings
    noise: float = 0.01
    """The share of a measure's days with a bad verdict, though nothing is wrong."""
    seed: int = 5
    chance: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        OnlineStore(self.settings).migrate()

    def night(
        self,
        as_of: date,
        outcome: str = "published",
        verdict: str | None = "pass",
        began: datetime | None = None,
    ) -> None:
        """A night's row, and the publication if it came to one; again, it is mended.

        Args:
            as_of: its date.
            outcome: how it stands.
            verdict: the quality gate's.
            began: when somebody ran it by hand; None: it was in its slot.
        """
        run_id = "by hand" if began else "nightly"
        began = began or datetime(as_of.year, as_of.month, as_of.day, 2, tzinfo=UTC) + timedelta(days=1)
        ended = None if outcome == "running" else began + timedelta(minutes=4)
        self.run(
            "INSERT INTO {}.nights (as_of, run_id, started_at, ended_at, verdict, outcome, why) "
            "VALUES (%s, %s, %s, %s, %s, %s, 'simulated') ON CONFLICT (as_of, run_id) DO UPDATE SET "
            "ended_at = excluded.ended_at, verdict = excluded.verdict, outcome = excluded.outcome",
            as_of, run_id, began, ended, verdict, outcome,
        )  # fmt: skip
        if outcome == "published":
            snapshot = f"{as_of}-0123456789ab"
            self.run(
                "INSERT INTO {}.publications (snapshot, as_of, table_name, customers, action, published_at) "
                "VALUES (%s, %s, %s, 100, 'publish', %s)",
                snapshot, as_of, f"features_{as_of:%Y%m%d}_0123456789ab", ended,
            )  # fmt: skip
            self.run(
                "INSERT INTO {}.current_snapshot (snapshot, table_name) VALUES (%s, 'x') "
                "ON CONFLICT (only_row) DO UPDATE SET snapshot = excluded.snapshot",
                snapshot,
            )

    def measures(self, day: date, bad: dict[str, Verdict] | None = None) -> None:
        """A day's measures with their noise.

        Args:
            day: that is measured.
            bad: verdicts by metric that are planted, in each of its parts.
        """
        names = dict.fromkeys(metric for metric, _ in _measured())
        measures = [self._measure(metric, part, bad or {}) for metric, part in _measured()]
        MetricStore(self.settings).replace(day, measures, metrics=list(names))

    def look(self, day: date, hour: int = 8, minute: int = 0, parts: tuple[Look, ...] = WELL) -> list[str]:
        """What a look on a day starts and ends, such as ``+drift``, in order."""
        now = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
        found = Watch(self.settings).look(now, parts)
        started = [f"+{each.rule.name}" for each in found.started]
        return [*started, *(f"-{alert.rule}" for alert, _ in found.ended)]

    def mornings(self) -> Iterator[date]:
        """Each day of the month, once the night and the measures of the day before are there."""
        for number in range(DAYS):
            day = FIRST + timedelta(days=number)
            yesterday = day - timedelta(days=1)
            self.night(yesterday)
            self.measures(yesterday)
            yield day

    def run(self, statement: str, *values: object) -> None:
        """One statement as the publisher, ``{}`` standing for the schema."""
        assert self.settings.publisher_database_url is not None
        url = self.settings.publisher_database_url.get_secret_value()
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(statement).format(sql.Identifier(self.settings.database_schema)), values or None
            )

    def _measure(self, metric: str, part: str, bad: dict[str, Verdict]) -> Measure:
        # What is exact, such as a feature that was computed otherwise, has no noise.
        noisy = metric not in ("skew_rows", "snapshot_age_days", "model_age_days", *REALISED)
        verdict = Verdict.WARN if noisy and self.chance.random() < self.noise else Verdict.PASS
        verdict = bad.get(metric, verdict)
        return Measure(metric, part, 0.1, 0.2, verdict, f"{metric} of {part} says {verdict}")


def _measured() -> Iterator[tuple[str, str]]:
    for window in ("day", "week"):
        for name in FEATURE_NAMES:
            yield from ((metric, f"{window}/all/{name}") for metric in FEATURE_METRICS)
            yield "incoming_population_stability_index", f"{window}/{name}"
        yield from ((metric, f"{window}/all") for metric in SCORE_METRICS)
    yield from ((metric, "all") for metric in WHOLE_METRICS)
    yield from ((metric, "2020-10-01/2020-09-30-aaaaaaaaaa/champion") for metric in REALISED)
