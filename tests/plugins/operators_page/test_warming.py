"""What is read ahead as the API server starts: by it alone, without keeping it waiting, and with nothing there, too."""

import logging
import threading
import warnings
from typing import Any

import pytest

from creditrisk import release_ledger
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from plugins.operators_page import registry_reads
from plugins.operators_page.assets import digest_of, names
from plugins.operators_page.rendering import environment
from plugins.operators_page.warming import warm
from tests.creditrisk.published_market import publish
from tests.creditrisk.snapshot_factory import SnapshotFactory
from tests.planted_versions import plant
from tests.plugins.operators_page.test_app import CHAMPION, TODAY

RECORDS = (registry_reads._release, registry_reads._manifest, registry_reads._snapshot)


@pytest.fixture(autouse=True)
def cold() -> None:
    environment.cache_clear()
    digest_of.cache_clear()
    for record in RECORDS:
        record.cache_clear()


def test_templates_files_and_records_are_in_memory_then(settings: Settings) -> None:
    snapshots = SnapshotFactory(settings)
    publish(snapshots, snapshots.write(TODAY))
    plant(Storage(settings.registry_root), CHAMPION)
    release_ledger.promote(settings, CHAMPION, by="ana", reason="the first")
    warm()
    cache = environment().cache
    assert cache is not None
    assert len(cache) == len(environment().list_templates()) > 10
    assert digest_of.cache_info().currsize == len(names()) == 3
    assert [record.cache_info().currsize for record in RECORDS] == [1, 1, 1]


def test_what_cannot_be_read_stops_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CREDITRISK_READER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    plant(Storage(settings.registry_root), CHAMPION)
    with caplog.at_level(logging.INFO):
        warm()
    assert "has not read ahead: Postgres (reader)" in caplog.text
    assert registry_reads._manifest.cache_info().currsize == 1
    monkeypatch.setenv("CREDITRISK_TIME_ZONE", "Nowhere/At all")
    with caplog.at_level(logging.INFO):
        warm()
    assert "has not warmed up" in caplog.text


@pytest.mark.usefixtures("settings")
def test_airflow_s_api_server_begins_it_as_it_starts(airflow_app: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient

        assert environment.cache_info().currsize == 0
        with TestClient(airflow_app):
            for thread in threading.enumerate():
                if thread.name == "operators page warms up":
                    thread.join(20)
    assert digest_of.cache_info().currsize == 3
