"""The service's figures as Prometheus reads them: counters of all workers, gauges of each, and what serves."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from creditrisk.errors import RegistryError, ReleaseError
from serving.access import Access
from serving.figures import BOUNDS, Figures
from serving.health import Part
from serving.model_watch import ModelWatch, ServedModel
from serving.shipping import Shipping

CONTENT_TYPE = CONTENT_TYPE_LATEST
GAUGES_SECONDS = 1.0

_BUCKETS = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
_OUTCOMES = ("accepted", "declined")
_OF_WORKERS = {
    "release": ("release", "Number of the release record that a worker serves by; 0: none."),
    "log_pending_bytes": (
        "log_pending_bytes",
        "Decisions on this machine that are not known to be in Postgres.",
    ),
    "log_seconds_since_shipped": (
        "log_seconds_since_shipped",
        "Since a worker had last shipped all decisions to Postgres.",
    ),
    "log_rejected": ("log_rejected_lines", "Lines of the decision log that Postgres did not take."),
    "log_writable": ("log_writable", "Whether decisions can be logged, without which none is given."),
    "log_shipping": ("log_shipping", "Whether decisions get to Postgres."),
    "keys_known": ("api_keys", "API keys that are good now."),
}


class Metrics:
    """Writes this worker's gauges, and reads all workers'."""

    def __init__(self, figures: Figures, models: ModelWatch, access: Access, log: Shipping) -> None:
        self._figures = figures
        self._models = models
        self._access = access
        self._log = log

    async def run(self) -> None:
        """Write this worker's gauges, once a second, until cancelled."""
        while True:
            self.write_gauges()
            await asyncio.sleep(GAUGES_SECONDS)

    def write_gauges(self) -> None:
        """Write this worker's gauges."""
        health, served = self._log.health(), self._served()
        self._figures.set_gauges(
            {
                "release": served.record.number if served else 0,
                "log_pending_bytes": health.pending_bytes,
                "log_seconds_since_shipped": health.seconds_since_shipped,
                "log_rejected": health.rejected,
                "log_writable": health.problem is None,
                "log_shipping": health.shipping_problem is None,
                "keys_known": self._access.known,
            }
        )

    def text(self, store: Part, snapshot_age_days: int | None) -> bytes:
        """All figures in Prometheus's text format.

        Args:
            store: what is known of the online store now.
            snapshot_age_days: of the published snapshot, if there is one.
        """
        self.write_gauges()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected([*self._counted(), *self._of_workers(), *self._of_models()]))
        registry.register(_Collected(_of_store(store, snapshot_age_days)))
        return generate_latest(registry)

    def _counted(self) -> Iterator[Metric]:
        requests = HistogramMetricFamily(
            "creditrisk_request_seconds", "Requests and their latency.", labels=["route", "status"]
        )
        for one in self._figures.latencies():
            summed = list(zip(_BUCKETS, accumulate(one.buckets), strict=True))
            requests.add_metric([one.route, one.status], buckets=summed, sum_value=one.seconds)
        yield requests
        decisions = CounterMetricFamily(
            "creditrisk_decisions", "Decisions by who decided and how.", labels=["arm", "outcome"]
        )
        for arm, outcome, count in self._figures.decisions():
            decisions.add_metric([arm.value, _OUTCOMES[outcome]], count)
        yield decisions

    def _of_workers(self) -> Iterator[Metric]:
        alive = list(self._figures.gauges())
        yield GaugeMetricFamily("creditrisk_workers", "Workers that live.", value=len(alive))
        for gauge, (name, words) in _OF_WORKERS.items():
            family = GaugeMetricFamily(f"creditrisk_{name}", words, labels=["worker"])
            for worker, values in alive:
                family.add_metric([str(worker)], values[gauge])
            yield family

    def _of_models(self) -> Iterator[Metric]:
        """What serves in the worker that was asked; the others' release numbers tell whether they serve the same."""
        served = self._served()
        if served is None:
            return
        manifest, record, challenger = served.manifest, served.record, served.challenger
        yield InfoMetricFamily("creditrisk_model", "The model that serves.", {"version": manifest.version})
        age = (datetime.now(UTC) - manifest.created_at).total_seconds()
        yield GaugeMetricFamily("creditrisk_model_age_seconds", "Since the model was trained.", value=age)
        age = (datetime.now(UTC) - record.at).total_seconds()
        yield GaugeMetricFamily("creditrisk_release_age_seconds", "Since the last release record.", value=age)
        state = GaugeMetricFamily(
            "creditrisk_challenger_scored",
            "Whether the challenger, if there is one, is scored beside the model that serves.",
            labels=["version"],
        )
        share = GaugeMetricFamily(
            "creditrisk_challenger_share",
            "Share of customers whom the challenger decides on; at 0 it only scores.",
            labels=["version"],
        )
        if challenger:
            is_scored = challenger.loaded is not None and challenger.problem is None
            state.add_metric([challenger.version], float(is_scored))
            share.add_metric([challenger.version], record.share)
        yield state
        yield share

    def _served(self) -> ServedModel | None:
        try:
            return self._models.serving()
        except (ReleaseError, RegistryError):
            return None


class _Collected(Collector):
    """Metrics that are there already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        return self._metrics


def _of_store(store: Part, snapshot_age_days: int | None) -> Iterator[Metric]:
    answers = float(store.serving is not None)
    yield GaugeMetricFamily(
        "creditrisk_store_up", "Whether the online store answers with a snapshot.", value=answers
    )
    if store.serving is not None and snapshot_age_days is not None:
        yield InfoMetricFamily("creditrisk_snapshot", "The published snapshot.", {"id": store.serving})
        yield GaugeMetricFamily(
            "creditrisk_snapshot_age_days", "Days since the snapshot's date.", value=snapshot_age_days
        )
