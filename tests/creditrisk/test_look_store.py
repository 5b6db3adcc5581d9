"""The judge's looks kept in a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from creditrisk.errors import StoreError
from creditrisk.look_store import Look, keep_look, looks_at, remove_looks_before
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.store_reader import StoreReader
from creditrisk.store_schema import StoreSchema

BEGAN = datetime(2021, 1, 10, 12, tzinfo=UTC)


def verdict(release: int, minute: int, finding: str = "wait") -> dict[str, Any]:
    judged_at = BEGAN + timedelta(minutes=minute)
    return {
        "step": {"release": release, "judged_at": judged_at.isoformat()},
        "finding": finding,
        "checks": [],
    }


def read(settings: Settings, releases: list[int], most: int = 100) -> list[Look]:
    reader = StoreReader.of(settings)
    with reader.reading() as cursor:
        return looks_at(cursor, reader, releases, most)


@pytest.fixture
def settings(market_settings: Settings) -> Settings:
    OnlineStore(market_settings).migrate()
    return market_settings


def test_a_look_is_kept_once_and_read_by_the_reader(settings: Settings) -> None:
    keep_look(settings, verdict(2, 5, "abort"))
    keep_look(settings, verdict(2, 5, "go on"))
    assert read(settings, [2]) == [Look(2, BEGAN + timedelta(minutes=5), "abort", verdict(2, 5, "abort"))]
    assert read(settings, [3]) == []


def test_of_many_looks_those_read_are_spread_and_have_each_step_s_first_and_last(settings: Settings) -> None:
    for minute in range(20):
        keep_look(settings, verdict(2, minute))
    for minute in range(20, 23):
        keep_look(settings, verdict(3, minute, "go on"))
    keep_look(settings, verdict(9, 1))
    found = read(settings, [2, 3], most=5)
    assert [(look.release, (look.judged_at - BEGAN).seconds // 60) for look in found] == [
        (2, 0), (2, 3), (2, 7), (2, 11), (2, 15), (2, 19), (3, 20), (3, 22),
    ]  # fmt: skip
    assert len(read(settings, [2, 3])) == 23


def test_without_the_table_the_error_is_the_store_s(market_settings: Settings) -> None:
    with pytest.raises(StoreError, match="looks"):
        keep_look(market_settings, verdict(1, 0))
    schema = StoreSchema.of(market_settings)
    with schema.connected() as connection:
        assert remove_looks_before(connection, schema, BEGAN) == 0
