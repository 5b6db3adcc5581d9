"""Looks at parts, each asked over real HTTP or on a real folder."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from creditrisk import release_ledger
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from monitoring.probes import look_at_parts, monitoring_look
from tests.conftest import free_port
from tests.planted_versions import plant

VERSION = "2020-12-30-aaaaaaaaaa"
IN_ORDER = {"ok": True, "serving": "something", "problem": None}
PASS, WARN, FAIL, NOT_JUDGED = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.NOT_JUDGED


class Answers(HTTPServer):
    """Answers each path with a status and JSON, or 404."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Get)
        self.by_path: dict[str, tuple[int, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def ready(self, **parts: dict[str, Any]) -> None:
        """The service's readiness, with these parts otherwise than in order."""
        answer = dict.fromkeys(("model", "store", "log", "keys"), IN_ORDER) | parts
        missing = [name for name, part in answer.items() if part["serving"] is None]
        status = 503 if missing else 200
        self.by_path["/health/ready"] = (status, {"status": "x", "missing": missing, **answer})


class _Get(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        status, answer = self.server.by_path.get(self.path, (404, {}))
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is theirs."""


@pytest.fixture
def answers() -> Iterator[Answers]:
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(answers: Answers, tmp_path: Path) -> Settings:
    """Where a model is released and its service answers."""
    settings = Settings(_env_file=None, var_dir=tmp_path / "var", service_url=answers.url)
    plant(Storage(settings.registry_root), VERSION)
    release_ledger.promote(settings, VERSION, by="ana", reason="the first one")
    answers.ready()
    return settings


def seen(settings: Settings, airflow: str | None = None) -> dict[str, tuple[Verdict, str]]:
    return {look.name: (look.verdict, look.words) for look in look_at_parts(settings, airflow)}


def problem(words: str, serving: str | None = None) -> dict[str, Any]:
    return {"ok": False, "serving": serving, "problem": words}


class TestService:
    def test_in_order_every_part_of_it_passes(self, settings: Settings) -> None:
        found = seen(settings)
        assert {name: verdict for name, (verdict, _) in found.items() if verdict is not PASS} == {
            "mlflow": NOT_JUDGED
        }
        assert found["registry"][1] == "It answers: release 1 is in force."

    def test_a_missing_part_is_told_as_the_service_and_its_log_is_not_judged(
        self, settings: Settings, answers: Answers
    ) -> None:
        answers.ready(store=problem("Postgres: refused"), log=problem("Postgres: refused", "spool"))
        found = seen(settings)
        assert found["service"] == (FAIL, "It is not ready: Postgres: refused.")
        assert found["decision log"][0] is NOT_JUDGED
        assert found["service's store"][0] is FAIL

    @pytest.mark.parametrize("serving", [None, "spool"])
    def test_a_log_that_cannot_be_written_or_shipped_is_told_as_the_log(
        self, settings: Settings, answers: Answers, serving: str | None
    ) -> None:
        answers.ready(log=problem("no space left", serving))
        found = seen(settings)
        assert found["service"][0] is PASS
        assert found["decision log"] == (
            FAIL,
            "Decisions do not get from the service to Postgres: no space left.",
        )

    def test_a_release_that_is_not_taken_up_is_the_models_problem(
        self, settings: Settings, answers: Answers
    ) -> None:
        answers.ready(model=problem("model x: not served: damaged", "y"))
        found = seen(settings)
        assert (found["service"][0], found["service's model"]) == (
            PASS,
            (WARN, "model x: not served: damaged."),
        )

    def test_one_that_is_not_there_or_talks_nonsense_fails(
        self, settings: Settings, answers: Answers
    ) -> None:
        gone = settings.model_copy(update={"service_url": f"http://127.0.0.1:{free_port()}"})
        assert seen(gone)["service"][0] is FAIL
        assert seen(gone)["decision log"][0] is NOT_JUDGED
        answers.by_path["/health/ready"] = (200, ["nonsense"])
        assert seen(settings)["service"][0] is FAIL

    def test_before_a_first_release_nobody_expects_it_to_be_ready(
        self, answers: Answers, tmp_path: Path
    ) -> None:
        nothing = Settings(_env_file=None, var_dir=tmp_path / "empty", service_url=answers.url)
        answers.ready(model=problem("nothing has been released yet"))
        found = seen(nothing)
        assert found["service"][0] is NOT_JUDGED
        assert found["service's model"][0] is NOT_JUDGED


class TestOthers:
    def test_airflows_parts_are_as_its_health_says(self, settings: Settings, answers: Answers) -> None:
        states = {"metadatabase": "healthy", "scheduler": "healthy", "triggerer": "unhealthy"}
        answers.by_path["/api/v2/monitor/health"] = (
            200,
            {name: {"status": state} for name, state in states.items()},
        )
        found = seen(settings, answers.url)
        assert found["airflow scheduler"] == (PASS, "It says: healthy.")
        assert found["airflow triggerer"] == (FAIL, "It says: unhealthy.")
        assert found["airflow dag_processor"] == (NOT_JUDGED, "This Airflow has none.")
        gone = {look.name for look in look_at_parts(settings, answers.url) if look.is_gone}
        assert gone == {"airflow dag_processor", "mlflow"}

    def test_mlflow_is_asked_where_it_is_a_server(self, settings: Settings, answers: Answers) -> None:
        tracked = settings.model_copy(update={"mlflow_tracking_uri": answers.url})
        assert seen(tracked)["mlflow"] == (FAIL, "The server on 127.0.0.1 answers 404.")
        answers.by_path["/health"] = (200, {})
        assert seen(tracked)["mlflow"][0] is PASS
        secret = f"http://ana:s3cret@127.0.0.1:{free_port()}"
        verdict, words = seen(settings.model_copy(update={"mlflow_tracking_uri": secret}))["mlflow"]
        assert verdict is FAIL
        assert "s3cret" not in words

    def test_a_lake_and_a_registry_that_cannot_be_read_fail(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # refused at once
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        away = settings.model_copy(update={"lake_url": "s3://gone/lake", "registry_url": "file:///dev/null"})
        found = seen(away)
        assert found["lake"][0] is FAIL
        assert found["registry"][0] is FAIL

    def test_a_lake_and_a_registry_that_are_silent_fail_before_the_watch_has_to_end(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setattr("monitoring.probes.PATIENCE", timedelta(seconds=0.3))
        away = settings.model_copy(
            update={"lake_url": "s3://gone/lake", "registry_url": "s3://gone/registry"}
        )
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
            begun = time.monotonic()
            found = seen(away)
            assert time.monotonic() - begun < 20
        assert found["lake"][0] is FAIL
        assert found["registry"][0] is FAIL


@pytest.mark.parametrize(("behind", "verdict"), [(0, PASS), (1, PASS), (2, FAIL), (9, FAIL)])
def test_a_day_that_nobody_has_measured_is_missed_after_a_while(behind: int, verdict: Verdict) -> None:
    yesterday = date(2021, 1, 30)
    day = yesterday - timedelta(days=behind)
    assert monitoring_look("0 5 * * *", day, yesterday, 2).verdict is verdict
    assert monitoring_look("0 5 * * *", None, yesterday, 2).verdict is NOT_JUDGED
    off = monitoring_look("", day, yesterday, 2)
    assert (off.verdict, off.is_gone) == (NOT_JUDGED, True)
