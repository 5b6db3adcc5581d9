"""The service as a real process in its slim environment: under load, through outages, to its end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2
import pytest
from psycopg2 import sql

from creditrisk.release_ledger import complete, roll_back
from creditrisk.settings import Settings
from local import postgres as embedded
from tests.keys import HEADER
from tests.online_tables import ADA, FIRST, SECOND
from tests.serving.conftest import Market
from tests.serving.service_process import FULL_PYTHON, ServiceProcess, wait_until

HEAVY = {"airflow", "pyspark", "mlflow", "pandas", "pyarrow", "psycopg2", "matplotlib"}


@dataclass
class Load:
    """Clients on connections that stay open, and what they were answered."""

    service: ServiceProcess
    answers: list[tuple[int, str, str]] = field(default_factory=list)
    """Status, model version, snapshot."""
    failures: list[str] = field(default_factory=list)
    longest_wait: float = 0.0

    @contextmanager
    def running(self, clients: int = 4) -> Iterator["Load"]:
        """Ask as fast as they are answered."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(stop,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, stop: threading.Event) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=10)) as connection:
            self._ask_over(connection, stop)

    def _ask_over(self, connection: http.client.HTTPConnection, stop: threading.Event) -> None:
        body = json.dumps({"id": ADA})
        while not stop.is_set():
            began = time.monotonic()
            try:
                connection.request("POST", "/predict", body, {HEADER: self.service.key})
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            self.longest_wait = max(self.longest_wait, time.monotonic() - began)
            self.answers.append(
                (response.status, answer.get("model_version", ""), answer.get("snapshot", ""))
            )

    def statuses(self) -> set[int]:
        return {status for status, _, _ in self.answers}

    def versions(self) -> list[str]:
        """Model versions in the order of their first answer."""
        return list(dict.fromkeys(version for _, version, _ in self.answers))


def _challenge_of(service: ServiceProcess) -> tuple[str, float, bool] | None:
    challenger = service.get("/model").json().get("challenger")
    return challenger and (challenger["version"], challenger["share"], challenger["is_scored"])


class TestChangesUnderLoad:
    @pytest.mark.alone
    def test_swaps_and_rollbacks_lose_and_delay_no_request(
        self, service: ServiceProcess, market: Market
    ) -> None:
        first = service.get("/model").json()["version"]
        second = market.register(2)
        with Load(service).running() as load:
            time.sleep(0.5)
            market.release(second)
            swapped = wait_until(lambda: service.get("/model").json()["version"] == second)
            time.sleep(0.3)
            roll_back(market.settings, by="a test", reason="under load")
            rolled_back = wait_until(lambda: service.get("/model").json()["version"] == first)
            time.sleep(0.3)
        assert (load.failures, load.statuses()) == ([], {200})
        assert load.versions() == [first, second]
        assert load.answers[-1][1] == first
        assert max(swapped, rolled_back) < 5
        assert load.longest_wait < 0.5
        assert len(load.answers) > 500

    @pytest.mark.alone
    def test_a_challenge_from_shadow_to_champion_loses_and_delays_no_request(
        self, service: ServiceProcess, market: Market
    ) -> None:
        first = service.get("/model").json()["version"]
        second = market.register(2)
        with Load(service).running() as load:
            for share in (0.0, 0.5, 1.0):
                market.challenge(second, share)
                wait_until(lambda share=share: _challenge_of(service) == (second, share, True))
                time.sleep(0.3)
            complete(market.settings, second, by="a test", reason="approved")
            wait_until(lambda: service.get("/model").json()["version"] == second)
            time.sleep(0.3)
        assert (load.failures, load.statuses()) == ([], {200})
        assert load.versions() == [first, second]  # growing moves nobody back
        assert load.longest_wait < 0.5

    @pytest.mark.alone
    def test_a_rollback_during_a_challenge_reaches_all_workers_within_five_seconds(
        self, service: ServiceProcess, market: Market, tmp_path: Path
    ) -> None:
        first = service.get("/model").json()["version"]
        second, third = market.register(2), market.register(3)
        market.release(second)
        market.challenge(third)
        market.challenge(third, 1.0)
        with ServiceProcess.started(market.settings, tmp_path / "other.log") as other:
            workers = [service, other]
            for worker in workers:
                wait_until(lambda worker=worker: _challenge_of(worker) == (third, 1.0, True))
            with Load(service).running(2) as load, Load(other).running(2) as other_load:
                time.sleep(0.3)
                roll_back(market.settings, by="a test", reason="under load")
                waited = [
                    wait_until(lambda worker=worker: worker.get("/model").json()["version"] == first)
                    for worker in workers
                ]
                time.sleep(0.3)
        assert sum(waited) < 5
        for loaded in (load, other_load):
            assert (loaded.failures, loaded.statuses()) == ([], {200})
            answered = [version for _, version, _ in loaded.answers]
            # What was the champion goes on alone until the one before it is loaded.
            assert [one for one in loaded.versions() if one != second] == [third, first]
            # One client may write down late what it was answered before.
            assert answered[answered.index(loaded.versions()[1]) :].count(third) <= 1
            assert answered[-1] == first
            assert loaded.longest_wait < 0.5

    def test_a_moved_pointer_and_a_dropped_table_lose_no_request(
        self, service: ServiceProcess, market: Market
    ) -> None:
        with Load(service).running() as load:
            time.sleep(0.3)
            market.store.load(SECOND[1], age=33)
            market.store.point(SECOND)
            market.store.run("DROP TABLE {}." + FIRST[1])
            wait_until(lambda: bool(load.answers) and load.answers[-1][2] == SECOND[0])
            time.sleep(0.3)
        assert (load.failures, load.statuses()) == ([], {200})
        assert {snapshot for _, _, snapshot in load.answers} == {FIRST[0], SECOND[0]}

    def test_a_damaged_release_loses_no_request(self, service: ServiceProcess, market: Market) -> None:
        first = service.get("/model").json()["version"]
        with Load(service).running() as load:
            market.release(market.register(2, damaged=True), unchecked=True)
            wait_until(lambda: service.get("/model").json()["problem"] is not None)
        assert (load.failures, load.statuses(), load.versions()) == ([], {200}, [first])


class TestStoreOutages:
    @pytest.mark.alone
    def test_a_slow_and_a_dead_store_are_503s_in_time_and_forgotten_when_over(
        self, own_market: Market, tmp_path: Path
    ) -> None:
        with ServiceProcess.started(own_market.settings, tmp_path / "service.log") as service:
            wait_until(lambda: service.get("/health/ready").status_code == 200)
            self._assert_refused_in_time(service, own_market, freeze=True)
            wait_until(lambda: service.predict(ADA).status_code == 200, seconds=5)
            self._assert_refused_in_time(service, own_market, freeze=False)
            wait_until(lambda: service.predict(ADA).status_code == 200, seconds=5)
            assert service.get("/health/ready").json()["status"] == "ready"
            log = service.log.read_text()
        assert "Traceback" not in log
        assert str(ADA) not in log
        assert 1 <= log.count("creditrisk.online_reader") <= 3  # said, and not once a request

    def _assert_refused_in_time(self, service: ServiceProcess, market: Market, *, freeze: bool) -> None:
        with _frozen(market.settings) if freeze else _stopped(market.settings):
            for _ in range(3):
                began = time.monotonic()
                answer = service.predict(ADA)
                assert time.monotonic() - began < 1.5
                assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
                assert answer.headers["retry-after"] == "1"
            ready = service.get("/health/ready")
            assert (ready.status_code, ready.json()["missing"]) == (503, ["store"])
            assert service.get("/health/live").status_code == 200

    def test_a_locked_table_is_a_503_and_does_not_pile_up(
        self, service: ServiceProcess, market: Market
    ) -> None:
        connection = psycopg2.connect(market.store.publisher_url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    sql.SQL("LOCK TABLE {}.{} IN ACCESS EXCLUSIVE MODE").format(
                        sql.Identifier(market.store.schema), sql.Identifier(FIRST[1])
                    )
                )
            for _ in range(3):
                assert service.predict(ADA).status_code == 503
        finally:
            connection.rollback()
            connection.close()
        wait_until(lambda: service.predict(ADA).status_code == 200, seconds=5)


class TestProcess:
    def test_loads_nothing_heavy(self, service: ServiceProcess) -> None:
        assert service.predict(ADA).status_code == 200
        loaded = {name.partition(".")[0] for name in service.modules()}
        assert loaded & HEAVY == set()
        assert {"sklearn", "asyncpg", "uvloop"} <= loaded

    def test_asks_for_nothing_heavy_where_all_is_installed(self, market: Market, tmp_path: Path) -> None:
        with ServiceProcess.started(market.settings, tmp_path / "full.log", FULL_PYTHON) as service:
            wait_until(lambda: service.get("/health/ready").status_code == 200, seconds=60)
            loaded = {name.partition(".")[0] for name in service.modules()}
        assert loaded & HEAVY <= {"pandas", "pyarrow"}  # scikit-learn's own doing where they are installed

    def test_stays_small(self, service: ServiceProcess) -> None:
        with Load(service).running():
            time.sleep(1)
        assert service.resident_megabytes() < 200

    def test_finishes_what_it_was_asked_when_told_to_stop(self, service: ServiceProcess) -> None:
        with Load(service).running() as load:
            time.sleep(0.5)
            assert service.stop() == -signal.SIGTERM  # finishes, then ends as it was asked to
        assert load.statuses() == {200}

    def test_logs_lines_of_json_without_personal_data(self, service: ServiceProcess) -> None:
        service.predict(ADA)
        service.predict("nobody")
        service.stop()
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        assert all(set(line) >= {"at", "level", "logger", "message"} for line in lines)
        assert any("serves" in line["message"] for line in lines)
        assert str(ADA) not in service.log.read_text()

    def test_says_which_setting_is_wrong_and_does_not_start(self, tmp_path: Path) -> None:
        environment = {**os.environ, "CREDITRISK_API_PORT": "zero", "CREDITRISK_VAR_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "serving"], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 2
        assert "CREDITRISK_API_PORT" in done.stderr
        assert "Traceback" not in done.stderr

    def test_refuses_a_long_body_that_comes_in_chunks(self, service: ServiceProcess) -> None:
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(_head(service, "/predict", "Connection: close\r\nTransfer-Encoding: chunked"))
            for _ in range(5):
                connection.sendall(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
            answer = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
        assert answer.startswith("HTTP/1.1 413 ")
        assert '"error":"body_too_large"' in answer

    def test_waits_for_the_rest_of_a_body_for_some_seconds_only(self, service: ServiceProcess) -> None:
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(_head(service, "/", "Content-Length: 50") + b"{")
            answer = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
        assert answer.startswith("HTTP/1.1 408 ")
        assert '"message":"body: did not arrive whole within 5 s"' in answer

    def test_stops_in_order_although_a_body_is_not_there_yet(self, service: ServiceProcess) -> None:
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
            connection.sendall(_head(service, "/", "Content-Length: 50") + b"{")
            service.stop()
        assert "traceback" not in service.log.read_text()

    def test_survives_a_client_that_leaves_in_the_middle(self, service: ServiceProcess) -> None:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
                connection.sendall(_head(service, "/predict", "Content-Length: 50") + b"{")
        assert service.predict(ADA).status_code == 200


def _head(service: ServiceProcess, path: str, fields: str) -> bytes:
    """A request without its body."""
    return f"POST {path} HTTP/1.1\r\nHost: s\r\n{HEADER}: {service.key}\r\n{fields}\r\n\r\n".encode()


@contextmanager
def _frozen(settings: Settings) -> Iterator[None]:
    """Every process of the server stopped: connections are taken, and nobody answers."""
    pid_file = settings.var_dir / "postgres" / "data" / "postmaster.pid"
    postmaster = psutil.Process(int(pid_file.read_text().splitlines()[0]))
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)


@contextmanager
def _stopped(settings: Settings) -> Iterator[None]:
    embedded.stop(settings)
    try:
        yield
    finally:
        embedded.start(settings)
