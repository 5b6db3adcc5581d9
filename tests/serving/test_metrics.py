"""What a service shows: figures that Prometheus can read, lines without personal data, the snapshot's age."""

import json
import os
import time
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from creditrisk.decisions import Arm
from creditrisk.release_ledger import challenge
from serving.figures import BOUNDS, Figures
from serving.health import SnapshotAge
from serving.logs import RequestLog
from tests.online_tables import ADA, FIRST
from tests.serving.conftest import Market, open_client
from tests.serving.service_process import wait_until


def samples(client: httpx.Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Each sample by its name and labels, as Prometheus's own parser reads it."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def labels(**given: str) -> frozenset[tuple[str, str]]:
    return frozenset(given.items())


class TestMetrics:
    def test_count_requests_decisions_and_latencies(self, client: httpx.Client) -> None:
        for _ in range(3):
            client.post("/predict", json={"id": ADA})
        client.post("/predict", json={"id": 42})
        client.post("/predict/batch", json={"ids": [ADA, -7, 42]})
        client.get("/features/five")
        client.get("/nowhere")
        client.get("/predict")
        found = samples(client)

        def requests(route: str, status: str) -> float:
            return found.get(("creditrisk_request_seconds_count", labels(route=route, status=status)), 0.0)

        assert requests("POST /predict", "200") == 3
        assert requests("POST /predict", "404") == 1
        assert requests("POST /predict/batch", "200") == 1
        assert requests("GET /features/{customer}", "422") == 1
        assert (requests("other", "404"), requests("other", "405")) == (1, 1)
        bucket = labels(route="POST /predict", status="200", le="+Inf")
        assert found["creditrisk_request_seconds_bucket", bucket] == 3
        decided = sum(count for (name, _), count in found.items() if name == "creditrisk_decisions_total")
        assert decided == 5

    def test_tell_what_serves_and_how_the_store_and_the_log_are(self, client: httpx.Client) -> None:
        version = client.get("/model").json()["version"]
        found = samples(client)
        assert found["creditrisk_model_info", labels(version=version)] == 1
        assert found["creditrisk_model_age_seconds", labels()] > 0
        assert found["creditrisk_snapshot_info", labels(id=FIRST[0])] == 1
        age = (date.today() - date(2020, 12, 31)).days  # noqa: DTZ011  the market's time zone is UTC here
        assert found["creditrisk_snapshot_age_days", labels()] in (age, age + 1)
        assert found["creditrisk_store_up", labels()] == 1
        assert found["creditrisk_workers", labels()] == 1
        assert found["creditrisk_release", labels(worker="0")] == 1
        assert found["creditrisk_log_writable", labels(worker="0")] == 1
        assert found["creditrisk_api_keys", labels(worker="0")] >= 1

    def test_tell_the_challenger(self, client: httpx.Client, market: Market) -> None:
        version = market.register(2)
        for share in (0.0, 0.05):
            challenge(market.settings, version, share, by="a test", reason="to see it")
        wait_until(
            lambda: samples(client).get(("creditrisk_challenger_scored", labels(version=version))) == 1
        )
        wait_until(lambda: samples(client)["creditrisk_challenger_share", labels(version=version)] == 0.05)


class TestFigures:
    def test_add_up_all_workers_and_forget_no_dead_one(self) -> None:
        figures = Figures(workers=3)
        route = figures.route("GET /x")
        for worker in range(3):
            figures.take(worker)
            figures.answered(route, 200, BOUNDS[0])
            figures.answered(route, 200, 100.0)
            figures.answered(route, 418, 0.0)
        figures.take(1)  # the one that takes a dead one's place
        figures.answered(route, 200, BOUNDS[0])
        good, other = figures.latencies()
        assert (good.route, good.status, good.buckets[0], good.buckets[-1]) == ("GET /x", "200", 4, 3)
        assert good.seconds == pytest.approx(300 + 4 * BOUNDS[0])
        assert (other.status, sum(other.buckets)) == ("other", 3)

    def test_leave_out_the_gauges_of_a_worker_that_has_not_been_seen_lately(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        figures = Figures(workers=2)
        figures.take(1)
        figures.set_gauges({"release": 7})
        assert [(worker, values["release"]) for worker, values in figures.gauges()] == [(1, 7.0)]
        later = time.monotonic() + 60
        monkeypatch.setattr("serving.figures.time.monotonic", lambda: later)
        assert list(figures.gauges()) == []

    def test_no_decision_is_none(self) -> None:
        assert {(arm, outcome): count for arm, outcome, count in Figures().decisions()} == {
            (arm, outcome): 0 for arm in Arm for outcome in (0, 1)
        }


class TestRequestIds:
    def test_are_made_where_none_is_given_and_kept_where_it_is_a_uuid(
        self, read_only_client: httpx.Client
    ) -> None:
        made = read_only_client.post("/predict", json={"id": ADA}).headers["x-request-id"]
        assert UUID(made).version == 7
        mine = "0af76519-16cd-43dd-8448-eb211c80319c"
        for path in ("/model", "/nowhere", f"/features/{ADA}"):
            assert read_only_client.get(path, headers={"X-Request-Id": mine}).headers["x-request-id"] == mine
        for wrong in (str(ADA), mine + "0", "x" * 36):
            answer = read_only_client.get("/model", headers={"X-Request-Id": wrong})
            assert answer.headers["x-request-id"] != wrong


class TestRequestLog:
    @pytest.mark.parametrize(
        ("logs_all", "status", "seconds", "level"),
        [
            (True, 200, 0.001, "info"),
            (False, 200, 0.001, None),
            (False, 404, 0.001, None),
            (False, 200, 0.3, "warning"),
            (False, 401, 0.001, "warning"),
            (False, 503, 0.001, "error"),
        ],
    )
    def test_has_every_request_or_the_notable_ones(
        self, tmp_path: Path, logs_all: bool, status: int, seconds: float, level: str | None
    ) -> None:
        file = tmp_path / "log"
        with file.open("wb") as opened:
            log = RequestLog(os.dup(opened.fileno()), logs_all=logs_all, slow_seconds=0.25)
            log.answered("GET /features/{customer}", status, seconds, b"an-id", "shop", ())
            log.answered("GET /health/ready", 503, 0.001, b"an-id", None, ())
            log.flush()
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["level"] for line in lines] == ([level] if level else [])
        for line in lines:
            assert (line["route"], line["status"], line["key"]) == (
                "GET /features/{customer}",
                status,
                "shop",
            )
            assert (line["request_id"], line["milliseconds"]) == ("an-id", seconds * 1000)


class TestSnapshotAge:
    @pytest.mark.parametrize(
        ("days", "is_there", "problem"),
        [
            (3, True, None),
            (4, True, "snapshot: 4 days old, over 3"),
            (10, True, "snapshot: 10 days old, over 3"),
            (11, False, "snapshot: 11 days old, over the limit of 10"),
        ],
    )
    def test_warns_and_then_turns_readiness_off(self, days: int, is_there: bool, problem: str | None) -> None:
        today = date(2020, 12, 31) + timedelta(days)
        part = SnapshotAge(warn_days=3, limit_days=10).judge(FIRST[0], today)
        assert (part.is_there, part.problem, part.serving) == (is_there, problem, FIRST[0])

    def test_only_warns_by_default(self, read_only_client: httpx.Client) -> None:
        ready = read_only_client.get("/health/ready")
        assert (ready.status_code, ready.json()["store"]["ok"]) == (200, False)
        assert "days old, over 3" in ready.json()["store"]["problem"]

    def test_a_service_with_a_limit_is_not_ready(self, market: Market) -> None:
        with open_client(market.settings.model_copy(update={"snapshot_age_limit_days": 10})) as client:
            wait_until(lambda: client.get("/health/ready").json()["missing"] == ["store"])
            assert client.post("/predict", json={"id": ADA}).json()["snapshot"] == FIRST[0]
