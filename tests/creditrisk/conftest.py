"""A market to write snapshots for and to publish them in."""

import pytest

from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from tests.creditrisk.snapshot_factory import SnapshotFactory


@pytest.fixture
def snapshots(market_settings: Settings) -> SnapshotFactory:
    return SnapshotFactory(market_settings)


@pytest.fixture
def store(market_settings: Settings) -> OnlineStore:
    return OnlineStore(market_settings)
