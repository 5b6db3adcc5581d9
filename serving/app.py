"""The service put together: the one place where settings become parts and errors become HTTP."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from functools import cache
from ipaddress import ip_address
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from creditrisk.api_keys import KeyReader
from creditrisk.decision_store import DecisionStore
from creditrisk.errors import NothingReleased, SettingsError, VersionUnservable
from creditrisk.online_reader import OnlineReader
from creditrisk.provenance import code_version, container_image
from creditrisk.registry import ModelRegistry
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from creditrisk.traffic_store import TrafficStore
from serving.access import Access
from serving.decision_routes import decision_routes
from serving.figures import Figures
from serving.front import Front
from serving.health import Part, SnapshotAge, age_days, keys_health, log_health, model_health, store_health
from serving.logs import STANDARD_ERROR, RequestLog
from serving.metrics import Metrics
from serving.model_routes import model_routes
from serving.model_watch import ModelWatch
from serving.operator_routes import operator_routes
from serving.predictor import Predictor
from serving.rate_limit import RateLimit
from serving.receipt_routes import receipt_routes
from serving.refusals import answer_errors
from serving.replay_process import ReplayProcess
from serving.replay_routes import replay_routes
from serving.shipping import Shipping
from serving.spool import Spool
from serving.traffic import Traffic

START_SECONDS = 10.0
"""How long a worker waits for its first model before it takes requests without one."""

DESCRIPTION = """
Decisions on loans: `1` declines, `0` accepts. Each rests on the customer's features as the newest snapshot
published them, and on the model version that an operator released. Every error has the same shape; a 503 says
in `Retry-After` when to ask again, and no decision is ever made up.

Each request but those for health carries an API key in `X-API-Key`; **Authorize** above sets it for this page.
"""


class SharedMemory(NamedTuple):
    """What the workers of a service have in common."""

    limit: RateLimit
    figures: Figures


def shared_memory(settings: Settings, workers: int) -> SharedMemory:
    """Memory for so many workers, of which each must be a fork of the process that calls this."""
    limit = RateLimit(settings.rate_limit_per_second, settings.rate_limit_burst)
    return SharedMemory(limit, Figures(workers))


def create_app(settings: Settings, shared: SharedMemory | None = None) -> FastAPI:
    """The service. Nothing is opened or read before it starts, and it starts whatever is missing.

    Args:
        settings: what differs from one deployment to the next.
        shared: what it has in common with other workers; None where it is alone.

    Raises:
        SettingsError: the first clients' call would be open to other machines.
    """
    require_safe_listener(settings)
    registry = Storage(settings.registry_root)
    service_url = settings.service_database_url
    database_url = service_url.get_secret_value() if service_url else None
    reader = OnlineReader(
        database_url,
        settings.database_schema,
        timeout_seconds=settings.store_timeout_seconds,
        pool_size=settings.store_pool_size,
    )
    ledger = ReleaseLedger(registry)
    models = ModelWatch(ledger, ModelRegistry(registry), settings.challenger_microseconds_limit)
    spool = Spool(settings.spool_folder)
    log = Shipping(spool, DecisionStore(database_url, settings.database_schema))
    predictor = Predictor(reader, models, settings.zone, spool)
    limit, figures = shared or shared_memory(settings, workers=1)
    access = Access(
        KeyReader(settings),
        limit,
        timeout_seconds=settings.store_timeout_seconds,
        keyless=settings.legacy_keyless,
    )

    metrics = Metrics(figures, models, access, log)
    traffic = Traffic(figures, TrafficStore(database_url, settings.database_schema))
    requests = RequestLog(
        STANDARD_ERROR,
        logs_all=settings.log_requests == "all",
        slow_seconds=settings.slow_request_milliseconds / 1e3,
    )
    snapshot_age = SnapshotAge(settings.snapshot_age_warn_days, settings.snapshot_age_limit_days)

    def today() -> date:
        return datetime.now(settings.zone).date()

    async def health() -> dict[str, Part]:
        return {
            "model": model_health(models),
            "store": await store_health(reader, snapshot_age, today()),
            "log": log_health(log),
            "keys": keys_health(access),
        }

    def figures_text(store: Part) -> bytes:
        return metrics.text(store, age_days(store.serving, today()) if store.serving else None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(provenance)  # asks git, which no request should wait for
        await access.read()  # so that the first request's key is known
        await asyncio.to_thread(spool.start)
        running = (models.run, access.run, log.run, metrics.run, requests.run, traffic.run)
        tasks = [asyncio.create_task(run()) for run in running]
        await until_known(models)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await log.finish()
            await traffic.finish()
            predictor.close()
            reader.close()

    app = FastAPIOffline(
        title="Credit risk decisions",
        description=DESCRIPTION,
        version="1",
        redoc_url=None,
        lifespan=lifespan,
    )

    app.state.access = access
    app.add_middleware(Front, figures=figures, log=requests)

    @cache
    def provenance() -> dict[str, Any]:
        interface = json.dumps(app.openapi(), sort_keys=True).encode()
        return {
            "code_version": code_version(),
            "image": container_image(),
            "openapi_sha256": hashlib.sha256(interface).hexdigest(),
        }

    app.include_router(
        decision_routes(predictor, settings.request_body_limit_bytes, settings.batch_body_limit_bytes)
    )
    app.include_router(receipt_routes(log, settings.store_timeout_seconds))
    app.include_router(replay_routes(log, ReplayProcess(settings), settings.store_timeout_seconds))
    app.include_router(model_routes(models, ledger, settings.zone, provenance))
    app.include_router(operator_routes(health, figures_text))
    answer_errors(app)
    return app


async def until_known(models: ModelWatch) -> None:
    """Return once a model serves, or it is known that none can: a new worker takes no request before the others would.

    Gives up after some seconds, for a service answers whatever is missing.
    """
    for _ in range(int(START_SECONDS / 0.02)):
        try:
            models.serving()
        except VersionUnservable:
            if models.problem:
                return
            await asyncio.sleep(0.02)
        except NothingReleased:
            return
        else:
            return


def require_safe_listener(settings: Settings) -> None:
    """Return if nobody but this machine reaches what needs no key.

    Raises:
        SettingsError: the first clients' call would be open to other machines.
    """
    host = settings.bind_host
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if settings.legacy_keyless and not is_loopback:
        raise SettingsError(
            f"CREDITRISK_LEGACY_KEYLESS: true, but CREDITRISK_BIND_HOST is {host}: "
            "without keys the service listens on a loopback address only, such as 127.0.0.1"
        )
