"""The log's days: listed, read, dropped, also while it is being used."""

from contextlib import closing
from datetime import UTC, date, datetime

import psycopg2
import pytest
from psycopg2 import sql

from creditrisk import decision_days
from creditrisk.decision_days import NamedByDay, drop_day, named_by_days
from creditrisk.decisions import PairedScore
from creditrisk.errors import StoreUnavailable
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.store_schema import StoreSchema
from tests.decision_records import add_to_log, decision_record

OLD, NEW = date(2020, 12, 31), date(2021, 1, 1)
PAIRED = PairedScore(0.25, 0.5, 41, "2020-12-31-bbbbbbbbbb", 0.75, 0.6, 52, None)
A, B = "2020-12-31-aaaaaaaaaa", "2020-12-31-bbbbbbbbbb"


@pytest.fixture
def schema(market_settings: Settings) -> StoreSchema:
    OnlineStore(market_settings).migrate()
    last_moment, first = datetime(2020, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2021, 1, 1, tzinfo=UTC)
    add_to_log(
        market_settings,
        [
            decision_record(decided_at=last_moment),
            decision_record(decided_at=first, paired=PAIRED),
            decision_record(decided_at=first, paired=PAIRED),
        ],
    )
    return StoreSchema.of(market_settings)


def test_days_are_whole_days_in_utc_and_say_what_they_name(schema: StoreSchema) -> None:
    with schema.connected() as connection:
        assert decision_days.decision_days(connection, schema) == [OLD, NEW]
        snapshot = "2020-12-31-ab12cd34ef56"
        assert list(named_by_days(connection, schema, [OLD, NEW])) == [
            NamedByDay(OLD, snapshot, frozenset({A}), 1),
            NamedByDay(NEW, snapshot, frozenset({A, B}), 2),
        ]


def test_a_day_goes_whole_once_and_can_be_asked_for_again(schema: StoreSchema) -> None:
    with schema.connected() as connection:
        for _ in range(2):
            drop_day(connection, schema, OLD)
            assert decision_days.decision_days(connection, schema) == [NEW]


def test_a_market_without_a_log_has_no_days(market_settings: Settings) -> None:
    schema = StoreSchema.of(market_settings)
    with schema.connected() as connection:
        assert decision_days.decision_days(connection, schema) == []


def test_a_log_in_use_is_not_waited_for_long(schema: StoreSchema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_days, "_LOCK_WAIT", "50ms")
    monkeypatch.setattr(decision_days, "_PAUSE_SECONDS", 0.0)
    with closing(psycopg2.connect(schema.url.get_secret_value())) as user, user.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(schema.table("decisions")))
        with schema.connected() as connection:
            with pytest.raises(StoreUnavailable, match="decisions of 2020-12-31: somebody uses the log"):
                drop_day(connection, schema, OLD)
            user.commit()
            drop_day(connection, schema, OLD)
            assert decision_days.decision_days(connection, schema) == [NEW]
