"""What the first to look after a start would wait for, done once beside it: templates, records, and the newest day's log."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread

from fastapi import FastAPI

from creditrisk.errors import CreditRiskError
from creditrisk.settings import Settings, load_settings
from creditrisk.store_reader import StoreReader
from plugins.operators_page import assets, models
from plugins.operators_page.readings import opened
from plugins.operators_page.registry_reads import releases, snapshot_of, versions
from plugins.operators_page.rendering import environment

logger = logging.getLogger(__name__)


@asynccontextmanager
async def warmed(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001  an app's lifespan is given its app
    """The app's lifespan: Airflow enters it as its API server starts, which waits for nothing of this."""
    Thread(target=warm, name="operators page warms up", daemon=True).start()
    yield


def warm() -> None:
    """Do it all, part by part: what cannot be read now is read by whoever asks for it, and told to them."""
    templates = environment()
    for name in templates.list_templates():
        templates.get_template(name)
    for name in assets.names():
        assets.digest_of(name)
    try:
        settings = load_settings()
    except CreditRiskError as error:
        logger.info("The operators' page has not warmed up: %s", error)
        return
    for part in (_records, _store):
        try:
            part(settings)
        except CreditRiskError as error:
            logger.info("The operators' page has not read ahead: %s", error)


def _records(settings: Settings) -> None:
    releases(settings)
    versions(settings, models.SHOWN)


def _store(settings: Settings) -> None:
    """The questions of *Now*: in a database that has just started, too, the newest day's decisions lie on disk."""
    now = datetime.now(UTC)
    with opened(StoreReader.of(settings)) as readings:
        readings.decided(now - timedelta(days=1), now)
        readings.traffic(now - timedelta(days=1), now)
        readings.alerts(now - timedelta(days=7))
        served = readings.served()
    if served:
        snapshot_of(settings, served.snapshot)
