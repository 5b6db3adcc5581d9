"""The watch's task and callbacks, on a real Postgres and real listeners, without a scheduler."""

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.airflow_environment import prepare

prepare()

from airflow.sdk.exceptions import AirflowFailException  # noqa: E402

from creditrisk import release_ledger  # noqa: E402
from creditrisk.alert_store import changing_alerts  # noqa: E402
from creditrisk.kept_alerts import KeptAlerts  # noqa: E402
from creditrisk.online_store import OnlineStore  # noqa: E402
from creditrisk.settings import Settings  # noqa: E402
from creditrisk.storage import Storage  # noqa: E402
from plugins import watch_tasks  # noqa: E402
from plugins.alerts import page_url, runbook_url, send_due, watch_of  # noqa: E402
from tests.conftest import free_port  # noqa: E402
from tests.creditrisk.kept_rows import open_alerts, probes, recent_alerts, unsent_deliveries  # noqa: E402
from tests.planted_versions import plant  # noqa: E402
from tests.plugins.listening import HttpListener, listening  # noqa: E402


@pytest.fixture
def settings(market_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A market that tasks find in the environment; nothing answers where its service and its Airflow should be."""
    publisher, reader = market_settings.publisher_database_url, market_settings.reader_database_url
    assert publisher is not None
    assert reader is not None
    environment = {
        "CREDITRISK_VAR_DIR": str(market_settings.var_dir),
        "CREDITRISK_MARKET": market_settings.market,
        "CREDITRISK_PUBLISHER_DATABASE_URL": publisher.get_secret_value(),
        "CREDITRISK_READER_DATABASE_URL": reader.get_secret_value(),
        "CREDITRISK_SERVICE_URL": f"http://127.0.0.1:{free_port()}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{free_port()}/execution/",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    OnlineStore(market_settings).migrate()
    return market_settings


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpListener]:
    server = HttpListener()
    monkeypatch.setenv("CREDITRISK_NOTICE_WEBHOOK_URL", f"{server.url}/hook")
    with listening(server):
        yield server


def failed(task_id: str = "train", **more: Any) -> dict[str, Any]:
    """The context that Airflow gives a callback."""
    return {"ti": SimpleNamespace(dag_id="train_model", task_id=task_id, run_id="a run"), **more}


def posted(webhook: HttpListener) -> list[tuple[str, str]]:
    bodies = [json.loads(body) for _, _, body in webhook.posted]
    return [(body["event"], body["subject"] or body["rule"]) for body in bodies]


def make_due(settings: Settings) -> None:
    """Let the time to the next try be over."""
    with changing_alerts(settings, datetime.now(UTC)) as writer:
        writer.cursor.execute(
            f"UPDATE {settings.database_schema}.deliveries SET due_at = %s", (datetime.now(UTC),)
        )


class TestLook:
    @pytest.mark.usefixtures("settings")
    def test_tells_what_was_reported_once_and_that_it_is_over_once(
        self, webhook: HttpListener, caplog: pytest.LogCaptureFixture
    ) -> None:
        watch_tasks.note_failure(failed(exception=ValueError("too few rows")))
        watch_tasks.note_failure(failed(exception=ValueError("too few rows, again")))
        with caplog.at_level(logging.WARNING):
            counts = [watch_tasks.look_and_send() for _ in range(2)]
        assert [each["sent"] for each in counts] == [2, 0]
        (line,) = [line for line in caplog.messages if "A task has failed" in line]
        assert "What: train_model.train of the run a run failed: too few rows\n" in line
        watch_tasks.note_success(failed())
        assert watch_tasks.look_and_send()["sent"] == 2
        assert watch_tasks.look_and_send()["sent"] == 0
        assert posted(webhook) == [("started", "train_model.train"), ("ended", "train_model.train")]

    def test_an_error_that_no_channel_takes_whole_is_cut(self, settings: Settings) -> None:
        watch_tasks.note_failure(failed(exception=ValueError("x" * 300_000)))
        (alert,) = open_alerts(settings)
        assert alert.words.startswith("train_model.train of the run a run failed: xxx")
        assert len(alert.words) == 2_000

    def test_a_message_that_is_not_taken_is_tried_again_and_shown_meanwhile(
        self, settings: Settings, webhook: HttpListener, caplog: pytest.LogCaptureFixture
    ) -> None:
        webhook.status = 500
        for task_id in ("train", "gate"):
            watch_tasks.note_failure(failed(task_id))
        counts = watch_tasks.look_and_send()
        assert (counts["sent"], counts["unsent"]) == (
            2,
            1,
        )  # the log took both; the webhook is left alone then
        assert {each.last_error for each in unsent_deliveries(settings)} == {"the webhook answered 500", None}
        assert any(line.startswith("Not sent on webhook, to be tried again: ") for line in caplog.messages)
        webhook.status = 200
        make_due(settings)
        assert watch_tasks.look_and_send()["sent"] == 2
        assert unsent_deliveries(settings) == []
        assert sorted(posted(webhook)[1:]) == [
            ("started", "train_model.gate"),
            ("started", "train_model.train"),
        ]

    def test_a_channel_that_fails_as_nobody_expected_keeps_no_other_from_telling(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        # Of a host that no name server takes the client says so by an exception that is none of its own.
        monkeypatch.setenv("CREDITRISK_NOTICE_WEBHOOK_URL", f"http://{'s3cret' * 12}.example/hook")
        for task_id in ("train", "gate"):
            watch_tasks.note_failure(failed(task_id))
        counts = watch_tasks.look_and_send()
        assert (counts["sent"], counts["unsent"]) == (2, 1)  # the log took both
        unsent = {(each.channel, each.tries, each.last_error) for each in unsent_deliveries(settings)}
        problem = next(error for _, tries, error in unsent if tries)
        assert str(problem).startswith("the channel failed: UnicodeError in ")
        assert unsent == {("webhook", 1, problem), ("webhook", 0, None)}
        assert "s3cret" not in caplog.text

    def test_parts_that_do_not_answer_are_seen(self, settings: Settings) -> None:
        watch_tasks.look_and_send()
        seen = {probe.name: (str(probe.verdict), probe.words) for probe in probes(settings)}
        assert seen["postgres"][0] == "pass"
        assert seen["lake"][0] == "pass"
        assert seen["registry"] == ("pass", "Nothing is released yet.")
        # Nothing is released, so nobody expects the service to be ready.
        assert seen["service"][0] == "not judged"
        assert "does not answer as it should: ConnectError" in seen["service"][1]
        assert seen["airflow scheduler"][0] == "not judged"
        assert seen["mlflow"] == ("not judged", "Runs are kept in a file, by no server.")

    def test_a_store_without_tables_is_brought_up_to_date(
        self, settings: Settings, market_settings: Settings
    ) -> None:
        with changing_alerts(settings, datetime.now(UTC)) as writer:
            writer.cursor.execute(f"DROP SCHEMA {settings.database_schema} CASCADE")
        assert watch_tasks.look_and_send()["started"] == 0
        assert {probe.name for probe in probes(market_settings)} >= {"postgres", "lake"}

    @pytest.mark.usefixtures("settings")
    def test_a_missing_url_fails_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CREDITRISK_PUBLISHER_DATABASE_URL")
        with pytest.raises(AirflowFailException, match="CREDITRISK_PUBLISHER_DATABASE_URL"):
            watch_tasks.look_and_send()

    @pytest.mark.usefixtures("settings")
    def test_a_failure_is_over_where_the_task_finds_nothing_to_do_and_says_so(
        self, webhook: HttpListener
    ) -> None:
        watch_tasks.note_failure(failed())
        watch_tasks.note_skip(failed())
        watch_tasks.look_and_send()
        over = json.loads(webhook.posted[-1][2])
        assert over["ended_because"] == "train_model.train found nothing to do in the run a run."
        assert f"Now: {over['ended_because']}\n" in over["text"]


class TestPostgresAway:
    def test_it_is_told_once_on_each_channel_and_once_that_it_is_back(
        self,
        settings: Settings,
        webhook: HttpListener,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        good = {
            name: getattr(settings, f"{name}_database_url").get_secret_value()
            for name in ("publisher", "reader")
        }
        for name in good:
            url = f"postgresql://creditrisk_{name}:x@127.0.0.1:{free_port()}/creditrisk"
            monkeypatch.setenv(f"CREDITRISK_{name.upper()}_DATABASE_URL", url)
        webhook.status = 500
        with caplog.at_level(logging.WARNING):
            assert watch_tasks.look_and_send() == {}
            assert webhook.posted == []
            assert watch_tasks.look_and_send() == {}
            webhook.status = 200
            watch_tasks.note_failure(failed())
            for _ in range(2):
                assert watch_tasks.look_and_send() == {}
        assert posted(webhook)[1:] == [("started", "store_away"), ("started", "train_model.train")]
        assert (
            len(
                [
                    line
                    for line in caplog.messages
                    if "Critical: Postgres is away" in line and "Not sent" not in line
                ]
            )
            == 1
        )
        for name, url in good.items():
            monkeypatch.setenv(f"CREDITRISK_{name.upper()}_DATABASE_URL", url)
        watch_tasks.look_and_send()
        watch_tasks.look_and_send()
        assert posted(webhook)[3:] == [("ended", "store_away")]
        assert [alert.rule for alert in open_alerts(settings)] == ["task_failed"]
        assert KeptAlerts((Storage(settings.lake_root),)).waiting() == []

    def test_a_task_that_is_mended_meanwhile_is_over(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watch_tasks.note_failure(failed("train"))
        with monkeypatch.context() as away:
            nowhere = f"postgresql://nobody:x@127.0.0.1:{free_port()}/creditrisk"
            away.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", nowhere)
            watch_tasks.note_success(failed("train"))
            watch_tasks.note_failure(failed("gate"))
            watch_tasks.note_success(failed("gate"))
            watch_tasks.note_failure(failed("gate", exception=ValueError("again")))
        watch_tasks.look_and_send()
        (alert,) = open_alerts(settings)
        assert (alert.subject, alert.words[-5:]) == ("train_model.gate", "again")
        over = sorted(each.subject for each in recent_alerts(settings, 1) if each.ended_at)
        assert over == ["train_model.gate", "train_model.train"]

    def test_one_that_refuses_is_told_too_and_the_task_fails(
        self, settings: Settings, webhook: HttpListener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = os.environ["CREDITRISK_PUBLISHER_DATABASE_URL"]
        read_only = f"{good}{'&' if '?' in good else '?'}options=-c%20default_transaction_read_only%3Don"
        monkeypatch.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", read_only)  # as a standby does
        watch_tasks.note_failure(failed())
        for _ in range(3):
            with pytest.raises(AirflowFailException, match="read-only transaction"):
                watch_tasks.look_and_send()
        assert sorted(posted(webhook)) == [("started", "store_away"), ("started", "train_model.train")]
        monkeypatch.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", good)
        watch_tasks.look_and_send()
        assert posted(webhook)[2:] == [("ended", "store_away")]
        assert [alert.subject for alert in open_alerts(settings)] == ["train_model.train"]

    def test_with_the_lake_away_too_it_is_told_once_on_each_channel_all_the_same(
        self, settings: Settings, webhook: HttpListener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = {}
        for name in ("publisher", "reader"):
            variable = f"CREDITRISK_{name.upper()}_DATABASE_URL"
            good[variable] = os.environ[variable]
            monkeypatch.setenv(variable, f"postgresql://nobody:x@127.0.0.1:{free_port()}/creditrisk")
        monkeypatch.setenv("CREDITRISK_LAKE_URL", "file:///dev/null")
        for _ in range(4):
            assert watch_tasks.look_and_send() == {}
        assert posted(webhook) == [("started", "store_away")]
        assert "The lake cannot be used either" in json.loads(webhook.posted[0][2])["words"]
        for variable, url in good.items():
            monkeypatch.setenv(variable, url)
        watch_tasks.look_and_send()
        assert posted(webhook)[1:] == [("ended", "store_away")]
        assert [alert.rule for alert in recent_alerts(settings, 1)] == ["store_away"]


class TestRuns:
    def ended(self, reason: str = "task_failure") -> dict[str, Any]:
        return {"dag": SimpleNamespace(dag_id="train_model"), "run_id": "a run", "reason": reason}

    def test_one_whose_task_was_killed_is_told_until_one_goes_well(self, settings: Settings) -> None:
        watch_tasks.note_run_failure(self.ended())
        (alert,) = open_alerts(settings)
        assert (alert.rule, alert.subject) == ("task_failed", "train_model")
        assert alert.words == "The run a run of train_model ended without a word of its task: task failure."
        watch_tasks.note_run_success(self.ended())
        assert open_alerts(settings) == []

    def test_one_whose_task_has_told_it_is_not_told_again(self, settings: Settings) -> None:
        watch_tasks.note_failure(failed())
        watch_tasks.note_run_failure(self.ended())
        assert [alert.subject for alert in open_alerts(settings)] == ["train_model.train"]

    def test_nor_is_one_whose_task_waits_for_postgres(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as away:
            url = f"postgresql://nobody:x@127.0.0.1:{free_port()}/creditrisk"
            away.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", url)
            watch_tasks.note_failure(failed())
            watch_tasks.note_run_failure(self.ended())
        watch_tasks.look_and_send()
        assert [alert.subject for alert in recent_alerts(settings, 1)] == ["train_model.train"]


class TestReleaseThatCannotBegin:
    def start(self, **more: Any) -> dict[str, Any]:
        task = SimpleNamespace(dag_id="release_model", task_id="start_shadow", run_id="a run")
        return {"ti": task, **more}

    def run(self, **more: Any) -> dict[str, Any]:
        began = SimpleNamespace(start_date=datetime.now(UTC) - timedelta(minutes=1))
        return {"dag_run": began, "run_id": "a run", "reason": "task_failure", **more}

    def test_is_told_once_a_run_and_waits_for_no_other_release_to_be_over(
        self, settings: Settings, webhook: HttpListener
    ) -> None:
        for _ in range(2):
            watch_tasks.note_no_release(self.start(exception=ValueError("version v may not serve")))
            watch_tasks.note_release_run_failure(self.run())
        watch_tasks.note_release_run_failure(self.run(run_id="another run"))
        watch_tasks.look_and_send()
        assert open_alerts(settings) == []
        another, first = recent_alerts(settings, 1)
        assert (first.rule, first.subject, first.ended_at) == ("release_not_begun", "a run", first.started_at)
        assert first.words == "start_shadow of the run a run failed: version v may not serve"
        assert another.subject == "another run"
        assert posted(webhook) == [("started", "a run"), ("started", "another run")]

    def test_is_told_once_while_postgres_is_away_and_kept_as_having_happened(
        self, settings: Settings, webhook: HttpListener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as away:
            for name in ("PUBLISHER", "READER"):
                url = f"postgresql://nobody:x@127.0.0.1:{free_port()}/creditrisk"
                away.setenv(f"CREDITRISK_{name}_DATABASE_URL", url)
            watch_tasks.note_no_release(self.start(exception=ValueError("version v may not serve")))
            watch_tasks.note_release_run_failure(self.run())
            watch_tasks.look_and_send()
        watch_tasks.look_and_send()
        (alert,) = recent_alerts(settings, 1)
        assert (alert.subject, alert.ended_at) == ("a run", alert.started_at)
        assert posted(webhook) == [("started", "a run")]

    def test_is_told_by_its_run_where_its_task_was_killed(self, settings: Settings) -> None:
        watch_tasks.note_release_run_failure(self.run())
        (alert,) = recent_alerts(settings, 1)
        assert alert.words == "The run a run ended, and no shadow began in it: task failure."

    def test_a_run_whose_shadow_began_is_told_as_its_abort(self, settings: Settings) -> None:
        for version in ("2020-12-30-aaaaaaaaaa", "2020-12-31-bbbbbbbbbb"):
            plant(Storage(settings.registry_root), version)
        release_ledger.promote(settings, "2020-12-30-aaaaaaaaaa", by="ana", reason="the first one")
        release_ledger.challenge(settings, "2020-12-31-bbbbbbbbbb", 0.0, by="ana", reason="looks better")
        watch_tasks.note_release_run_failure(self.run())
        assert recent_alerts(settings, 1) == []
        later = SimpleNamespace(start_date=datetime.now(UTC) + timedelta(seconds=1))
        watch_tasks.note_release_run_failure(self.run(dag_run=later))
        assert [alert.rule for alert in recent_alerts(settings, 1)] == ["release_not_begun"]


class TestPromotionThatFails:
    def context(self, run_id: str = "a run", **more: Any) -> dict[str, Any]:
        return {"dag": SimpleNamespace(dag_id="promote_model"), "run_id": run_id, **more}

    def test_is_told_once_a_run_by_its_task_and_stays_open_for_nobody(
        self, settings: Settings, webhook: HttpListener
    ) -> None:
        watch_tasks.note_no_promotion(self.context(exception=ValueError("version v: no such version")))
        watch_tasks.note_no_promotion(self.context(reason="task_failure"))
        watch_tasks.look_and_send()
        assert open_alerts(settings) == []
        (alert,) = recent_alerts(settings, 1)
        assert (alert.rule, alert.severity, alert.ended_at) == (
            "promotion_failed",
            "notice",
            alert.started_at,
        )
        assert alert.words == "The run a run of promote_model failed: version v: no such version"
        assert posted(webhook) == [("started", "a run")]

    def test_is_told_by_its_run_where_its_task_was_killed(self, settings: Settings) -> None:
        watch_tasks.note_no_promotion(self.context("another run", reason="timed_out"))
        (alert,) = recent_alerts(settings, 1)
        assert alert.words == "The run another run of promote_model failed: timed out"


def test_callbacks_and_releases_end_well_whatever_goes_wrong(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CREDITRISK_PUBLISHER_DATABASE_URL", "not a URL")
    watch_tasks.note_failure(failed())
    watch_tasks.note_success(failed())
    watch_tasks.tell_of_releases(settings.model_copy(update={"publisher_database_url": None}))
    assert len([line for line in caplog.messages if line.startswith("The watch was not told: ")]) == 1
    (kept,) = KeptAlerts((Storage(settings.lake_root),)).waiting()
    assert (kept.subject, kept.over is not None) == ("train_model.train", True)
    assert recent_alerts(settings, 7) == []


def test_addresses_are_airflows_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://airflow-api-server:8080/execution/")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://risk.example/airflow/")
    assert watch_of(settings).airflow_url == "http://airflow-api-server:8080"
    assert page_url() == "https://risk.example/airflow/plugin/operators"
    assert runbook_url() == "https://risk.example/airflow/operators/runbook"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    assert page_url() == "http://localhost:8080/plugin/operators"


def test_one_look_sends_no_more_than_it_should(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.alerts._MOST_AT_ONCE", 2)
    for task_id in ("train", "gate", "register"):
        watch_tasks.note_failure(failed(task_id))
    assert send_due(settings) == (2, 0)
    assert send_due(settings) == (1, 0)
    assert datetime.now(UTC) - recent_alerts(settings, 1)[0].started_at < timedelta(minutes=1)
