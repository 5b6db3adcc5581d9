"""One worker of the service beside a no-op route of the same app behind the same key check: ``python -m tests.benchmarks.bench_service``.

A real PostgreSQL with as many customers as the real file has, a forest of the default size, the service's own
process from its own environment, and eight connections that stay open. The two routes take turns, so that what
else the machine does meets both; each round's ratio is printed, and the median counts.
"""

import argparse
import asyncio
import io
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import numpy.typing as npt
import uvloop
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from creditrisk.registry import MODEL_FILE, REFERENCE_FILE
from creditrisk.release_ledger import promote
from creditrisk.scoring import flatten
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from local import postgres as embedded
from tests.benchmarks.load import CONNECTIONS, LoadClient, Round, get, post
from tests.conftest import free_port
from tests.online_tables import FIRST, OnlineTables
from tests.planted_versions import plant, reference_file
from tests.serving.service_process import SLIM_PYTHON, ServiceProcess, wait_until

FIRST_VERSION, SECOND_VERSION = "2020-12-31-00000000a1", "2020-12-31-00000000b2"

WITH_NO_OPS = """
import sys
import serving.__main__ as service
from fastapi import APIRouter, Request, Response
from creditrisk.api_keys import Scope
from serving.http import DirectRoute, GuardedRoute, documented
create_app = service.create_app
async def no_op(request: Request) -> Response:
    return Response(b"0", media_type="application/json")
def with_no_ops(settings):
    app = create_app(settings)
    for path, kind in (("/no-op", GuardedRoute), ("/short-no-op", DirectRoute)):
        routes = APIRouter(route_class=kind)
        routes.get(path, **documented(int, scope=Scope.PREDICT))(no_op)
        app.include_router(routes)
    return app
service.create_app = with_no_ops
sys.exit(service.main())
"""

BARE = """
import sys
from serving.access import Access
from serving.front import Front
from serving.spool import Spool
Access.require = lambda *_: None
Front._note = lambda *_: None
Spool._write = lambda *_: None
import serving.__main__ as service
sys.exit(service.main())
"""
"""Looks up, scores and answers, with neither key nor figures nor any log."""


def no_op(path: str, headers: bytes) -> bytes:
    """A request that does nothing behind the key check."""
    return get(path, headers)


def predict(customers: int, headers: bytes = b"") -> bytes:
    """A request for a decision on any customer."""
    return post("/predict", b'{"id":%d}' % random.randint(1, customers), headers)


@contextmanager
def published_market(folder: Path, customers: int) -> Iterator[Settings]:
    """A PostgreSQL of its own with so many customers online."""
    settings = Settings(_env_file=None, var_dir=folder / "var", postgres_port=free_port())
    urls = embedded.start(settings)
    try:
        settings = Settings(
            _env_file=None,
            var_dir=settings.var_dir,
            postgres_port=settings.postgres_port,
            publisher_database_url=urls.publisher,
            service_database_url=urls.service,
        )
        tables = OnlineTables(settings)
        tables.prepare()
        tables.load(FIRST[1], age=32)
        tables.run(
            "INSERT INTO {}."
            + FIRST[1]
            + " SELECT n, n, date '2020-12-01', 20 + n %% 50, nullif(n %% 30, 0), "
            "n %% 40, n * 0.37, n %% 2, date '1980-01-01', null, 5, 5, 5, 5 FROM generate_series(1, %s) n",
            customers,
        )
        tables.run("ANALYZE {}." + FIRST[1])
        tables.point(FIRST)
        yield settings
    finally:
        embedded.stop(settings)


def forest(seed: int, trees: int = 100) -> tuple[CalibratedClassifierCV, npt.NDArray[np.float64]]:
    """Trees of depth 8 with as many leaves as loans give them, and reference rows."""
    rng = np.random.default_rng(seed)
    n = 40_000
    rows = np.column_stack(
        [
            rng.integers(20, 70, n),
            rng.integers(0, 40, n),
            rng.poisson(10, n),
            rng.gamma(2, 80, n),
            rng.integers(0, 2, n),
        ]
    ).astype(np.float64)
    rows[rng.random(n) < 0.17, 1] = np.nan
    late = (rng.random(n) < 1 / (1 + np.exp(3 - 0.03 * rows[:, 0] - 0.05 * rows[:, 2]))).astype(np.int64)
    fitted = RandomForestClassifier(trees, max_depth=8, random_state=seed).fit(rows[:30_000], late[:30_000])
    model = CalibratedClassifierCV(FrozenEstimator(fitted), method="sigmoid").fit(
        rows[30_000:], late[30_000:]
    )
    return model, rows[:1000]


def register(settings: Settings, version: str, seed: int, trees: int = 100) -> CalibratedClassifierCV:
    """A version in the registry, by default of the default size."""
    model, rows = forest(seed, trees)
    pickled = io.BytesIO()
    joblib.dump(model, pickled)
    reference = reference_file(rows, model.predict_proba(rows)[:, 1])
    plant(
        Storage(settings.registry_root), version, {MODEL_FILE: pickled.getvalue(), REFERENCE_FILE: reference}
    )
    return model


def report_scoring(model: CalibratedClassifierCV) -> None:
    """Time a row: by the flat model, and by scikit-learn."""
    _, rows = forest(3)
    flat, values = flatten(model), rows.tolist()
    times = []
    for row in values:
        began = time.perf_counter()
        flat.probability(row)
        times.append((time.perf_counter() - began) * 1e6)
    began = time.perf_counter()
    for row in rows[:50]:
        model.predict_proba(row[None])
    plain = (time.perf_counter() - began) / 50 * 1e6
    print(f"scoring a row: median {statistics.median(times):.0f} µs; predict_proba {plain:,.0f} µs")


def report_change(
    service: ServiceProcess,
    client: LoadClient,
    settings: Settings,
    usual: Round,
    seconds: float,
    customers: int,
) -> None:
    """A release in the middle of the load."""

    async def promote_soon() -> None:
        await asyncio.sleep(seconds / 4)
        await asyncio.to_thread(
            promote, settings, SECOND_VERSION, by="the benchmark", reason="to see it swap"
        )

    async def ask_and_promote(until: float) -> tuple[list[float], int]:
        promoting = asyncio.create_task(promote_soon())
        asked = await client.ask_all(partial(predict, customers, service.key_header), until)
        await promoting
        return asked

    began = time.perf_counter()
    waits, refused = uvloop.run(ask_and_promote(began + seconds))
    changed = Round(len(waits) / seconds, sorted(waits), 0.0, refused)
    served = service.get("/model").json()["version"]
    print(changed.line("change"))
    print(
        f"a release under load: {served} serves; p99 {changed.percentile(0.99):.2f} ms during the change, "
        f"{usual.percentile(0.99):.2f} ms before; {refused} refused"
    )


def report_cost(service: ServiceProcess, bare: ServiceProcess, options: argparse.Namespace) -> Round:
    """Decisions beside no-ops of the same app and beside the bare app, in turns; the last round of decisions."""
    client, bare_client = (LoadClient(each.port, each.process.pid) for each in (service, bare))
    loads = {
        "no-op": (client, partial(no_op, "/no-op", service.key_header)),
        "short": (client, partial(no_op, "/short-no-op", service.key_header)),
        "bare": (bare_client, partial(predict, options.customers, bare.key_header)),
        "predict": (client, partial(predict, options.customers, service.key_header)),
    }
    for each, request in loads.values():
        each.round(request, 1)
    rounds = []
    for _ in range(options.rounds):
        rounds.append({name: each.round(request, options.seconds) for name, (each, request) in loads.items()})
        print(*(taken.line(name) for name, taken in rounds[-1].items()), sep="\n")
    beside = {
        name: statistics.median(
            r["predict"].requests_per_second / r[name].requests_per_second for r in rounds
        )
        for name in ("no-op", "short", "bare")
    }
    print(f"beside a no-op route of the same app: {beside['no-op']:.2f} (aim: 0.40)")
    print(f"beside a no-op that goes the short way of decisions, too: {beside['short']:.2f}")
    print(f"log, key and figures cost {1 - beside['bare']:.0%} of the throughput (aim: under 25%)")
    return rounds[-1]["predict"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, default=36_457)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="a round, a route")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {CONNECTIONS} connections, one worker")
    with (
        tempfile.TemporaryDirectory() as name,
        published_market(Path(name), options.customers) as settings,
    ):
        model = register(settings, FIRST_VERSION, seed=1)
        register(settings, SECOND_VERSION, seed=2)
        promote(settings, FIRST_VERSION, by="the benchmark", reason="to measure it")
        report_scoring(model)
        log = Path(name) / "service.log"
        began = time.perf_counter()
        with (
            ServiceProcess.started(settings, log, SLIM_PYTHON, WITH_NO_OPS) as service,
            ServiceProcess.started(settings, Path(name) / "bare.log", SLIM_PYTHON, BARE) as bare,
        ):
            for each in (service, bare):
                wait_until(lambda: each.get("/health/ready").status_code == 200)  # noqa: B023
            print(f"ready {time.perf_counter() - began:.1f} s after their start")
            usual = report_cost(service, bare, options)
            client = LoadClient(service.port, service.process.pid)
            report_change(service, client, settings, usual, 2 * options.seconds, options.customers)
            print(f"worker's memory {service.resident_megabytes():.0f} MB (aim: under 250)")


if __name__ == "__main__":
    main()
