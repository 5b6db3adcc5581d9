"""Alerts and their deliveries in a real Postgres: once each, in their order, and never lost."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg2
import pytest

from creditrisk.alert_store import (
    ENDED,
    STARTED,
    Alert,
    NewAlert,
    changing_alerts,
)
from creditrisk.delivery_store import next_delivery
from creditrisk.errors import StoreError
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from tests.creditrisk.kept_rows import open_alerts, recent_alerts, unsent_deliveries
from tests.creditrisk.published_market import ask

NOW = datetime.now(UTC).replace(microsecond=0)
BOTH = ("log", "webhook")


@pytest.fixture
def settings(market_settings: Settings) -> Settings:
    OnlineStore(market_settings).migrate()
    return market_settings


def new(rule: str = "drift", subject: str = "", words: str = "age has shifted") -> NewAlert:
    return NewAlert(
        rule, subject, "warning", words, date(2021, 1, 30), "model m", "retrain", "docs/runbook.md#x"
    )


def start(
    settings: Settings,
    alert: NewAlert,
    channels: Sequence[str] = BOTH,
    now: datetime = NOW,
    happened_at: datetime | None = None,
) -> int | None:
    with changing_alerts(settings, now) as writer:
        return writer.start(alert, channels, happened_at=happened_at)


def end(settings: Settings, now: datetime = NOW, channels: Sequence[str] = BOTH) -> None:
    with changing_alerts(settings, now) as writer:
        for alert in writer.open_alerts():
            writer.end(alert, "model n", channels, "it is well")


def send(settings: Settings, now: datetime, channels: Sequence[str], error: str | None = None) -> str | None:
    """Send what is due next; which it was."""
    with next_delivery(settings, now, channels) as sending:
        if sending is None:
            return None
        sending.error = error
        delivery = sending.delivery
        return f"{delivery.alert.rule} {delivery.event} {delivery.channel}"


class TestAlerts:
    def test_a_rule_and_subject_is_open_once(self, settings: Settings) -> None:
        number = start(settings, new())
        assert number is not None
        assert start(settings, new(words="other words")) is None
        assert (
            start(settings, new(subject="another")) == number + 1
        )  # being asked for in vain uses up no number
        (first, second) = open_alerts(settings)
        assert first == Alert(
            number, "drift", "", "warning", NOW, None, "age has shifted", date(2021, 1, 30), "model m", "retrain",
            "docs/runbook.md#x",
        )  # fmt: skip
        assert second.subject == "another"

    def test_racing_watchers_start_it_once(self, settings: Settings) -> None:
        with ThreadPoolExecutor(6) as racers:
            started = list(racers.map(lambda _: start(settings, new()), range(6)))
        assert len([number for number in started if number is not None]) == 1
        assert len(unsent_deliveries(settings)) == len(BOTH)

    def test_after_its_end_it_can_start_anew(self, settings: Settings) -> None:
        start(settings, new())
        end(settings, NOW + timedelta(hours=1))
        assert open_alerts(settings) == []
        assert start(settings, new(), now=NOW + timedelta(hours=2)) is not None
        (newest, ended) = recent_alerts(settings, 7)
        assert (newest.ended_at, ended.ended_at) == (None, NOW + timedelta(hours=1))
        assert ended.serving == "model n"

    def test_one_that_ends_in_the_moment_it_started_is_nothing_that_happened(
        self, settings: Settings
    ) -> None:
        start(settings, new())
        end(settings)
        (alert,) = recent_alerts(settings, 7)
        assert alert.ended_at is not None
        assert alert.ended_at > alert.started_at
        start(settings, new())
        end(settings)
        assert len(recent_alerts(settings, 7)) == 2

    def test_what_happened_is_told_once_for_ever_and_is_never_open(self, settings: Settings) -> None:
        happened = new("release_aborted", "release 7")
        earlier = NOW - timedelta(minutes=3)
        assert start(settings, happened, happened_at=earlier) is not None
        assert start(settings, happened, happened_at=earlier, now=NOW + timedelta(days=1)) is None
        assert open_alerts(settings) == []
        (alert,) = recent_alerts(settings, 7)
        assert (alert.started_at, alert.ended_at) == (earlier, earlier)
        assert {delivery.event for delivery in unsent_deliveries(settings)} == {STARTED}

    def test_renewing_changes_the_words_and_tells_nobody(self, settings: Settings) -> None:
        start(settings, new())
        before = unsent_deliveries(settings)
        with changing_alerts(settings, NOW) as writer:
            (alert,) = writer.open_alerts()
            writer.renew(alert, "age and score have shifted", "model n")
        (renewed,) = open_alerts(settings)
        assert (renewed.words, renewed.serving) == ("age and score have shifted", "model n")
        assert len(unsent_deliveries(settings)) == len(before)

    def test_old_ones_are_not_recent_unless_they_are_open(self, settings: Settings) -> None:
        long_ago = NOW - timedelta(days=30)
        start(settings, new("over"), now=long_ago)
        end(settings, long_ago + timedelta(days=1))
        start(settings, new("still open"), now=long_ago)
        assert [alert.rule for alert in recent_alerts(settings, 7)] == ["still open"]
        assert [alert.rule for alert in recent_alerts(settings, 31)] == ["still open", "over"]

    def test_a_change_that_fails_leaves_nothing(self, settings: Settings) -> None:
        def fail_after_starting() -> None:
            with changing_alerts(settings, NOW) as writer:
                writer.start(new(), BOTH)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_after_starting()
        assert recent_alerts(settings, 7) == []
        assert unsent_deliveries(settings) == []

    def test_without_tables_it_says_what_to_run(self, market_settings: Settings) -> None:
        with (
            pytest.raises(StoreError, match="python -m creditrisk migrate"),
            changing_alerts(market_settings, NOW) as writer,
        ):
            writer.open_alerts()

    @pytest.mark.parametrize("table", ["alerts", "deliveries", "probes"])
    @pytest.mark.parametrize("role", ["reader", "service"])
    def test_others_change_nothing(self, settings: Settings, table: str, role: str) -> None:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(settings, f"DELETE FROM {{schema}}.{table}", role)


class TestDeliveries:
    def test_each_is_sent_once(self, settings: Settings) -> None:
        start(settings, new())
        sent = [send(settings, NOW, BOTH) for _ in range(3)]
        assert sent == ["drift started log", "drift started webhook", None]
        assert unsent_deliveries(settings) == []

    def test_what_was_not_taken_comes_again_later_and_later_and_is_shown(self, settings: Settings) -> None:
        start(settings, new(), channels=["webhook"])
        now, waits = NOW, []
        for tries in range(1, 7):
            assert send(settings, now, BOTH, "the webhook answered 500") == "drift started webhook"
            (unsent,) = unsent_deliveries(settings)
            assert (unsent.tries, unsent.last_error) == (tries, "the webhook answered 500")
            assert send(settings, unsent.due_at - timedelta(seconds=1), BOTH) is None
            waits.append((unsent.due_at - now).total_seconds() / 60)
            now = unsent.due_at
        assert waits == [4, 8, 16, 32, 60, 60]
        assert send(settings, now, BOTH) == "drift started webhook"
        assert unsent_deliveries(settings) == []

    def test_nobody_is_told_of_an_end_before_the_start(self, settings: Settings) -> None:
        start(settings, new())
        assert send(settings, NOW, ["webhook"], "away") == "drift started webhook"
        end(settings, NOW + timedelta(minutes=1))
        later = NOW + timedelta(minutes=2)
        assert send(settings, later, ["webhook"]) is None
        assert [send(settings, later, ["log"]) for _ in range(3)] == [
            "drift started log",
            "drift ended log",
            None,
        ]
        later = NOW + timedelta(minutes=5)
        assert [send(settings, later, ["webhook"]) for _ in range(2)] == [
            "drift started webhook",
            "drift ended webhook",
        ]

    def test_whoever_is_killed_while_sending_loses_nothing(self, settings: Settings) -> None:
        start(settings, new(), channels=["log"])
        with pytest.raises(KeyboardInterrupt), next_delivery(settings, NOW, BOTH):
            raise KeyboardInterrupt
        assert send(settings, NOW, BOTH) == "drift started log"

    def test_one_that_is_being_sent_is_nobody_elses(self, settings: Settings) -> None:
        start(settings, new(), channels=["log"])
        with next_delivery(settings, NOW, BOTH) as sending:
            assert sending is not None
            assert send(settings, NOW, BOTH) is None
            sending.error = None
        assert unsent_deliveries(settings) == []

    def test_a_channel_that_is_no_longer_named_keeps_its_messages(self, settings: Settings) -> None:
        start(settings, new(), channels=["webhook"])
        assert send(settings, NOW, ["log"]) is None
        assert [(each.channel, each.event) for each in unsent_deliveries(settings)] == [("webhook", STARTED)]

    def test_an_end_is_told_too(self, settings: Settings) -> None:
        start(settings, new(), channels=["log"])
        end(settings, NOW + timedelta(hours=1), channels=["log"])
        assert [each.event for each in unsent_deliveries(settings)] == [STARTED, ENDED]

    def test_a_channel_that_is_new_is_told_of_no_end_whose_start_it_was_not_told(
        self, settings: Settings
    ) -> None:
        start(settings, new(), channels=["log"])
        end(settings, NOW + timedelta(hours=1), channels=BOTH)
        assert {each.channel for each in unsent_deliveries(settings)} == {"log"}
