"""Several workers: one that dies is replaced, all count together, all stop in order and none outlives its parent."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from serving.workers import worker_count
from tests.creditrisk.published_market import ask
from tests.keys import HEADER
from tests.online_tables import ADA
from tests.serving.conftest import Market
from tests.serving.service_process import ServiceProcess, wait_until

THREE = {"CREDITRISK_API_WORKERS": "3"}


@pytest.fixture
def three(market: Market, tmp_path: Path) -> Iterator[ServiceProcess]:
    """The service with three workers, all ready."""
    with ServiceProcess.started(market.settings, tmp_path / "service.log", more=THREE) as service:
        wait_until(lambda: _figure(service, "creditrisk_workers") == 3, seconds=60)
        wait_until(lambda: _metrics(service).count('creditrisk_release{worker="') == 3)
        wait_until(lambda: len(re.findall(r"creditrisk_release\{.*\} 1\.0", _metrics(service))) == 3)
        yield service


def test_count_together_replace_one_that_is_killed_and_stop_in_order(
    three: ServiceProcess, market: Market
) -> None:
    asked = 'creditrisk_request_seconds_count{route="POST /predict",status="200"}'
    before = _workers(three)
    assert len(before) == 3
    for _ in range(30):  # a connection each, so that it is not always the same worker
        assert three.predict(ADA).status_code == 200
    assert _figure(three, asked) == 30
    assert (
        sum(_figure(three, f"creditrisk_decisions_total{{{labels}}}") for labels in _decisions(three)) == 30
    )
    before[0].kill()
    wait_until(lambda: len(_workers(three)) == 3 and before[0].pid not in {w.pid for w in _workers(three)})
    for _ in range(30):
        assert three.predict(ADA).status_code == 200
    wait_until(lambda: _figure(three, "creditrisk_workers") == 3)
    assert _figure(three, asked) == 60  # the dead one's are not forgotten
    assert "ended with signal SIGKILL" in three.log.read_text()
    workers = _workers(three)
    assert three.stop() == 0
    assert not any(worker.is_running() for worker in workers)
    assert "traceback" not in three.log.read_text()
    question = (
        "SELECT sum(requests)::int FROM {schema}.traffic WHERE route = 'POST /predict' AND status = 200"
    )
    ((shipped,),) = ask(market.settings, question, "publisher")
    assert 30 <= shipped <= 60  # what the killed one had not shipped is lost, and nothing is there twice


def test_do_not_outlive_a_parent_that_is_killed(three: ServiceProcess) -> None:
    workers = _workers(three)
    os.kill(three.process.pid, signal.SIGKILL)
    wait_until(lambda: not any(worker.is_running() for worker in workers))


def test_share_the_limit_of_a_key(market: Market, tmp_path: Path) -> None:
    more = THREE | {"CREDITRISK_RATE_LIMIT_PER_SECOND": "0.1", "CREDITRISK_RATE_LIMIT_BURST": "5"}
    with ServiceProcess.started(market.settings, tmp_path / "service.log", more=more) as service:
        url, headers = f"http://127.0.0.1:{service.port}/features/{ADA}", {HEADER: service.key}
        answers = [httpx.get(url, headers=headers) for _ in range(20)]
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(200) == 5
        assert statuses.count(429) == 15
        assert answers[-1].json()["error"] == "too_many_requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 10


def test_are_as_many_as_the_machine_has_room_for_and_two_at_least() -> None:
    workers, reason = worker_count(0)
    assert workers >= 2
    assert " cores less one" in reason
    assert worker_count(7) == (7, "as CREDITRISK_API_WORKERS says")


def _workers(service: ServiceProcess) -> list[psutil.Process]:
    return psutil.Process(service.process.pid).children()


def _metrics(service: ServiceProcess) -> str:
    return service.get("/metrics").text


def _figure(service: ServiceProcess, name: str) -> float:
    lines = [line for line in _metrics(service).splitlines() if line.startswith(name + " ")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


def _decisions(service: ServiceProcess) -> list[str]:
    return re.findall(r"creditrisk_decisions_total\{(.*)\}", _metrics(service))
