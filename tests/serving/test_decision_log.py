"""The decision log of the real process: killed, stopped, without room, without Postgres. Nothing answered is lost."""

import http.client
import json
import os
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql

from local import postgres as embedded
from serving.segments import segment_files
from serving.shipping import TORN_FILE
from tests.keys import HEADER
from tests.online_tables import ADA
from tests.serving.conftest import Market
from tests.serving.service_process import ServiceProcess, wait_until

CLIENTS = 8


@dataclass
class Answered:
    """What clients on connections that stay open were answered, until they are stopped or cut off."""

    ids: list[str] = field(default_factory=list)
    refusals: Counter[tuple[int, str]] = field(default_factory=Counter)
    cut_off: int = 0

    @contextmanager
    def asking(self, service: ServiceProcess) -> Iterator[None]:
        """Ask as fast as they are answered."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(service, stop)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def wait_for_more(self, count: int) -> None:
        """Return when so many more have been answered."""
        wanted = len(self.ids) + count
        wait_until(lambda: len(self.ids) >= wanted)

    def _ask(self, service: ServiceProcess, stop: threading.Event) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)) as connection:
            while not stop.is_set():
                try:
                    connection.request("POST", "/predict", json.dumps({"id": ADA}), {HEADER: service.key})
                    response = connection.getresponse()
                    answer = json.loads(response.read())
                except (OSError, http.client.HTTPException):
                    self.cut_off += 1
                    return
                if response.status == 200:
                    self.ids.append(answer["decision_id"])
                else:
                    self.refusals[response.status, answer["error"]] += 1


def logged(market: Market) -> Counter[str]:
    """The ids in Postgres, each with how often it is there."""
    statement = sql.SQL("SELECT decision_id::text FROM {}.decisions").format(
        sql.Identifier(market.settings.database_schema)
    )
    with closing(psycopg2.connect(market.store.publisher_url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return Counter(decision_id for (decision_id,) in cursor.fetchall())


def assert_logged_once(market: Market, answered: Answered, *, more: int) -> None:
    """Every answered decision is in the log once, and beside them at most so many others."""
    found = logged(market)
    assert set(answered.ids) - set(found) == set()
    assert set(found.values()) == {1}
    assert len(found) - len(set(answered.ids)) <= more


@contextmanager
def started(market: Market, log: Path) -> Iterator[ServiceProcess]:
    with ServiceProcess.started(market.settings, log) as service:
        wait_until(lambda: service.get("/health/ready").status_code == 200)
        yield service


def test_a_kill_loses_nothing_and_a_torn_line_holds_up_nothing(market: Market, tmp_path: Path) -> None:
    answered = Answered()
    with started(market, tmp_path / "first.log") as service, answered.asking(service):
        answered.wait_for_more(500)
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    assert answered.cut_off == CLIENTS
    (left,) = segment_files(market.settings.spool_folder)
    with left.open("ab") as segment:
        segment.write(left.read_bytes().splitlines()[-1][:200])  # as a power cut might leave it
    with started(market, tmp_path / "second.log") as service:
        wait_until(lambda: not left.exists())
        assert_logged_once(market, answered, more=CLIENTS)
        receipt = service.get(f"/decisions/{answered.ids[-1]}").json()
        assert (receipt["id"], receipt["arm"]) == (ADA, "champion")
        with started(market, tmp_path / "living.log") as living:
            with answered.asking(service):
                answered.wait_for_more(50)
                service.process.send_signal(signal.SIGKILL)
                service.process.wait()
            wait_until(lambda: len(segment_files(market.settings.spool_folder)) == 1)
            assert_logged_once(market, answered, more=2 * CLIENTS)
            health = living.get("/health/ready").json()
            assert health["log"] == {"ok": True, "serving": "spool", "problem": None}
            living.stop()
    assert (market.settings.spool_folder / TORN_FILE).read_text().count("\n") == 1
    assert segment_files(market.settings.spool_folder) == []


def test_without_room_nothing_is_decided_and_a_stop_ships_what_is_there(
    market: Market, tmp_path: Path
) -> None:
    answered = Answered()
    with started(market, tmp_path / "service.log") as service:
        process = psutil.Process(service.process.pid)
        _, hard = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        with answered.asking(service):
            wait_until(lambda: answered.refusals.total() > 20)
            ready = service.get("/health/ready")
            assert (ready.status_code, ready.json()["missing"]) == (503, ["log"])
            assert "cannot be written" in ready.json()["log"]["problem"]
            refused = service.predict(ADA)
            assert (refused.status_code, refused.json()["error"]) == (503, "decision_log_unwritable")
            assert refused.headers["retry-after"] == "1"
            assert set(answered.refusals) == {(503, "decision_log_unwritable")}
            process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))
            answered.wait_for_more(300)
            assert service.get("/health/ready").status_code == 200
            assert answered.cut_off == 0
            assert service.stop() == -signal.SIGTERM
        assert_logged_once(market, answered, more=CLIENTS)
        assert list(market.settings.spool_folder.iterdir()) == []
        assert "Traceback" not in service.log.read_text()


def test_postgres_may_be_killed_and_come_back(own_market: Market, tmp_path: Path) -> None:
    answered = Answered()
    with started(own_market, tmp_path / "service.log") as service:
        with answered.asking(service):
            answered.wait_for_more(200)
            _kill_postgres(own_market)
            wait_until(lambda: answered.refusals[503, "store_unavailable"] > 0)
            embedded.start(own_market.settings)
            answered.wait_for_more(200)
        last = answered.ids[-1]
        assert service.get(f"/decisions/{last}").json()["decision_id"] == last
        wait_until(lambda: set(logged(own_market)) >= set(answered.ids))
        assert set(answered.refusals) == {(503, "store_unavailable")}
        service.stop()
        log = service.log.read_text()
    assert_logged_once(own_market, answered, more=0)
    assert segment_files(own_market.settings.spool_folder) == []
    assert log.count("stays on this machine") <= 5
    assert "Traceback" not in log


def _kill_postgres(market: Market) -> None:
    pid_file = market.settings.var_dir / "postgres" / "data" / "postmaster.pid"
    postmaster = psutil.Process(int(pid_file.read_text().splitlines()[0]))
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)
    time.sleep(0.1)
