"""Reading the table of nights; what writes it is tested with the tasks that do."""

from contextlib import closing
from datetime import date, timedelta

import psycopg2
import pytest

from creditrisk.errors import StoreError
from creditrisk.nights import Outcome, begin_night, end_night, end_untold, recent_nights
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from tests.creditrisk.published_market import ask

DAY = date(2020, 12, 31)


def recent(settings: Settings, limit: int = 60) -> list[tuple[date, str, Outcome]]:
    assert settings.reader_database_url is not None
    with closing(psycopg2.connect(settings.reader_database_url.get_secret_value())) as connection:
        found = recent_nights(connection, settings.database_schema, limit)
    return [(row.as_of, row.run_id, row.outcome) for row in found]


def test_the_nights_that_began_last_come_first(market_settings: Settings) -> None:
    OnlineStore(market_settings).migrate()
    for number in range(5):
        begin_night(market_settings, DAY - timedelta(days=number), f"run {number}")
    assert recent(market_settings, 2) == [
        (DAY - timedelta(days=4), "run 4", Outcome.RUNNING),
        (DAY - timedelta(days=3), "run 3", Outcome.RUNNING),
    ]


def test_a_run_is_ended_once_for_each_date_of_its_own(market_settings: Settings) -> None:
    OnlineStore(market_settings).migrate()
    begin_night(market_settings, DAY, "run")
    end_night(market_settings, DAY, "run", Outcome.SKIPPED, "older")
    assert end_untold(market_settings, "run", "gone") == 0
    end_night(market_settings, DAY, "never begun", Outcome.FAILED, "x" * 5000)
    assert sorted(recent(market_settings)) == [
        (DAY, "never begun", Outcome.FAILED),
        (DAY, "run", Outcome.SKIPPED),
    ]


def test_a_market_without_the_table_has_no_nights_and_says_how_to_get_it(market_settings: Settings) -> None:
    assert recent(market_settings) == []
    with pytest.raises(StoreError, match="no table of nights yet: run python -m creditrisk migrate"):
        begin_night(market_settings, DAY, "run")


def test_the_next_run_ends_one_that_was_marked_by_hand(market_settings: Settings) -> None:
    OnlineStore(market_settings).migrate()
    begin_night(market_settings, DAY - timedelta(days=1), "marked")
    begin_night(market_settings, DAY - timedelta(days=1), "under way")
    ask(
        market_settings,
        "UPDATE {schema}.nights SET started_at = now() - interval '361 minutes' WHERE run_id = 'marked'",
        "publisher",
    )
    begin_night(market_settings, DAY, "next")
    assert {run: outcome for _, run, outcome in recent(market_settings)} == {
        "marked": Outcome.FAILED,
        "under way": Outcome.RUNNING,
        "next": Outcome.RUNNING,
    }
