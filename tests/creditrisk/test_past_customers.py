"""A customer of a snapshot, from its table and from its files: the same row."""

import asyncio
from datetime import date

import pytest

from creditrisk.errors import SnapshotMissing
from creditrisk.past_customers import LAKE, STORE, PastSnapshot, past_customer
from creditrisk.refresh import publish_snapshot
from creditrisk.removals import Kind, record_removal
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId
from tests.creditrisk.snapshot_factory import SnapshotFactory
from tests.torn_server import torn_server

CUSTOMERS = range(1, 13)
UNREACHABLE = "postgresql://creditrisk_service:secret@127.0.0.1:1/creditrisk"


def looked_up(settings: Settings, url: str | None, snapshot: str, customer: int) -> PastSnapshot:
    return asyncio.run(past_customer(settings, url, SnapshotId.parse(snapshot), customer))


def test_table_and_files_say_the_same_to_the_bit(market_settings: Settings) -> None:
    snapshot = SnapshotFactory(market_settings).write(date(2020, 12, 31), CUSTOMERS, parts=3).snapshot
    publish_snapshot(market_settings, snapshot)
    assert market_settings.reader_database_url
    url = market_settings.reader_database_url.get_secret_value()
    for customer in (*CUSTOMERS, 999):
        stored = looked_up(market_settings, url, snapshot, customer)
        laid_down = looked_up(market_settings, None, snapshot, customer)
        assert (stored.source, laid_down.source) == (STORE, LAKE)
        assert stored.customer == laid_down.customer
        assert (stored.customer is None) == (customer == 999)


def test_the_lake_answers_while_postgres_does_not(market_settings: Settings) -> None:
    snapshot = SnapshotFactory(market_settings).write(date(2020, 12, 31), CUSTOMERS).snapshot
    assert looked_up(market_settings, UNREACHABLE, snapshot, 7).customer
    with pytest.raises(
        SnapshotMissing, match=r"neither in the online store nor in the lake .*ConnectionRefusedError"
    ):
        looked_up(market_settings, UNREACHABLE, "2020-12-30-aaaaaaaaaaaa", 7)


def test_a_removed_snapshot_is_told_from_one_that_never_was(market_settings: Settings) -> None:
    factory = SnapshotFactory(market_settings)
    manifest = factory.write(date(2020, 12, 31), CUSTOMERS)
    gone = "2020-12-30-aaaaaaaaaaaa"
    with pytest.raises(SnapshotMissing, match="neither in the online store nor in the lake"):
        looked_up(market_settings, None, gone, 7)
    record_removal(factory.catalog.lake, Kind.SNAPSHOT, gone, "kept for 400 days", manifest.created_at)
    with pytest.raises(SnapshotMissing, match=r"removed by retention on 2021-01-01 \(kept for 400 days\)$"):
        looked_up(market_settings, None, gone, 7)


def test_the_lake_answers_where_postgres_cannot_be_understood(market_settings: Settings) -> None:
    snapshot = SnapshotFactory(market_settings).write(date(2020, 12, 31), CUSTOMERS).snapshot

    async def asked() -> PastSnapshot:
        async with torn_server() as url:
            return await past_customer(market_settings, url, SnapshotId.parse(snapshot), 7)

    found = asyncio.run(asked())
    assert found.source == LAKE
    assert found.customer
