"""Batches of 1,000 ids and reasons, and how they keep others waiting: ``python -m tests.benchmarks.bench_decisions``.

As ``bench_service``: one worker from its own environment, a real PostgreSQL, a forest of the default size. One
connection asks for batches or for reasons, one after the other, while another asks one plain question every two
milliseconds; what the plain questions take alone is printed beside what they take meanwhile.
"""

import argparse
import http.client
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from creditrisk.release_ledger import promote
from tests.benchmarks.bench_service import FIRST_VERSION, published_market, register
from tests.keys import HEADER
from tests.serving.service_process import SLIM_PYTHON, ServiceProcess, wait_until

PAUSE_SECONDS = 0.002


class Asker:
    """One connection that stays open, and the milliseconds that its answers took."""

    def __init__(self, service: ServiceProcess, path: str, question: Callable[[], object]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port)
        self._headers = {HEADER: service.key}
        self._path, self._question = path, question
        self.milliseconds: list[float] = []

    def ask(self) -> None:
        """Ask once."""
        body = json.dumps(self._question())
        began = time.perf_counter()
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        self.milliseconds.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, content

    def ask_until(self, done: Callable[[], bool], pause: float) -> None:
        """Ask again and again."""
        while not done():
            self.ask()
            time.sleep(pause)

    def line(self, name: str) -> str:
        """For people."""
        took = sorted(self.milliseconds)

        def within(share: float) -> float:
            return took[min(int(len(took) * share), len(took) - 1)]

        return (
            f"{name:<34} p50 {within(0.5):6.2f} ms   p99 {within(0.99):6.2f} ms   longest {took[-1]:6.1f} ms"
            f"   of {len(took)}"
        )


def report(service: ServiceProcess, name: str, heavy: Asker, customers: int, times: int) -> None:
    """Ask the heavy question so often, and the plain one meanwhile."""
    plain = Asker(service, "/predict", lambda: {"id": random.randint(1, customers)})
    done = threading.Event()
    beside = threading.Thread(target=plain.ask_until, args=(done.is_set, PAUSE_SECONDS))
    beside.start()
    try:
        for _ in range(times):
            heavy.ask()
    finally:
        done.set()
        beside.join()
    print(heavy.line(name), plain.line("  a plain question meanwhile"), sep="\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, default=36_457)
    parser.add_argument("--times", type=int, default=200, help="how often each is asked")
    options = parser.parse_args()

    def ids() -> list[int]:
        return random.sample(range(1, options.customers + 1), 1000)

    def one() -> int:
        return random.randint(1, options.customers)

    heavy: dict[str, tuple[str, Callable[[], object]]] = {
        "1,000 newest loans (aim: 60 ms)": ("/predict/batch", lambda: {"ids": ids()}),
        "1,000 next loans (aim: 60 ms)": (
            "/predict/batch",
            lambda: {"ids": ids(), "loan": "next", "as_of": "2021-01-15"},
        ),
        "reasons (aim: p99 below 20 ms)": ("/predict", lambda: {"id": one(), "explain": True}),
    }
    with (
        tempfile.TemporaryDirectory() as name,
        published_market(Path(name), options.customers) as settings,
    ):
        register(settings, FIRST_VERSION, seed=1)
        promote(settings, FIRST_VERSION, by="the benchmark", reason="to measure it")
        with ServiceProcess.started(settings, Path(name) / "service.log", SLIM_PYTHON) as service:
            wait_until(lambda: service.get("/health/ready").status_code == 200)
            plain = Asker(service, "/predict", lambda: {"id": one()})
            for _ in range(5 * options.times):
                plain.ask()
                time.sleep(PAUSE_SECONDS)
            print(plain.line("a plain question alone"))
            for title, (path, question) in heavy.items():
                report(service, title, Asker(service, path, question), options.customers, options.times)


if __name__ == "__main__":
    main()
