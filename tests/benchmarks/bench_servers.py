"""The service beside other servers of the same model: ``python -m tests.benchmarks.bench_servers``.

Four servers of one worker each take turns under the same eight connections, so that what else the machine does
meets all of them; each round's ratios are printed, and the medians count. The service does all it does for a
client: key, lookup in PostgreSQL, decision log, metrics. The first clients' service (Flask under gunicorn, SQLite,
joblib) looks up and decides; LitServe and MLServer look nothing up. The forest is by default as small as the
first clients' was: the more trees, the further behind is whoever asks scikit-learn for a row. They run from an environment of their own,
``var/benchmarks/servers``, made at the first run.
"""

import argparse
import json
import os
import random
import sqlite3
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import joblib

from creditrisk.release_ledger import promote
from creditrisk.settings import PROJECT_ROOT, Settings
from local.environments import make
from tests.benchmarks.bench_service import FIRST_VERSION, predict, published_market, register
from tests.benchmarks.load import LoadClient, Round, post
from tests.conftest import free_port
from tests.serving.service_process import SLIM_PYTHON, ServiceProcess, wait_until

SERVERS = Path(__file__).parent / "servers"
ENVIRONMENT = PROJECT_ROOT / "var" / "benchmarks" / "servers"
FEATURES = "age, years_on_the_job, nb_previous_loans, avg_amount_loans_previous, flag_own_car"


def features_of(customer: int) -> list[float]:
    """Features such as a customer's."""
    return [20 + customer % 50, 1 + customer % 29, customer % 40, customer * 0.37, customer % 2]


def litserve_request(customers: int) -> bytes:
    """A question of LitServe: a row of features."""
    row = features_of(random.randint(1, customers))
    return post("/predict", json.dumps({"features": row}).encode())


def mlserver_request(customers: int) -> bytes:
    """A question of MLServer: a row of features, in its protocol."""
    row = features_of(random.randint(1, customers))
    body = {
        "inputs": [{"name": "features", "shape": [1, 5], "datatype": "FP64", "data": [row]}],
        "outputs": [{"name": "predict_proba"}],
    }
    return post("/v2/models/credit/infer", json.dumps(body).encode())


@contextmanager
def server(
    words: list[str], folder: Path, port: int, environment: dict[str, str], path: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, from when it answers at ``path`` until the end."""
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
        )
    try:

        def answers() -> bool:
            assert process.poll() is None, (folder / f"{port}.log").read_text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}{path}").status_code < 500
            except httpx.TransportError:
                return False

        wait_until(answers, seconds=120)
        yield process
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def first_clients_service(folder: Path, model: Path, customers: int) -> tuple[list[str], dict[str, str], int]:
    """Flask's command, its environment and port; makes its database."""
    features = folder / "features.sqlite"
    with sqlite3.connect(features) as connection:
        connection.execute(f"CREATE TABLE features (id INTEGER PRIMARY KEY, {FEATURES})")
        connection.executemany(
            "INSERT INTO features VALUES (?, ?, ?, ?, ?, ?)",
            ((customer, *features_of(customer)) for customer in range(1, customers + 1)),
        )
    connection.close()
    port = free_port()
    words = [str(ENVIRONMENT / "bin" / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    words += ["--threads", "8", "--chdir", str(SERVERS), "flask_service:app"]
    return words, {"MODEL_FILE": str(model), "FEATURES_FILE": str(features)}, port


def mlserver(folder: Path, model: Path) -> tuple[list[str], dict[str, str], int]:
    """MLServer's command, its environment and port; writes its settings."""
    own = folder / "mlserver"
    own.mkdir()
    port = free_port()
    (own / "settings.json").write_text(
        json.dumps(
            {
                "host": "127.0.0.1",
                "http_port": port,
                "grpc_port": free_port(),
                "metrics_port": free_port(),
                "parallel_workers": 0,
                "debug": False,
            }
        )
    )
    (own / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "credit",
                "implementation": "mlserver_sklearn.SKLearnModel",
                "parameters": {"uri": str(model)},
            }
        )
    )
    return [str(ENVIRONMENT / "bin" / "mlserver"), "start", str(own)], {}, port


@contextmanager
def others(
    folder: Path, model: Path, customers: int
) -> Iterator[dict[str, tuple[LoadClient, Callable[[], bytes]]]]:
    """The other servers, started: each one's load and its question."""
    make(ENVIRONMENT, SERVERS / "requirements.txt")
    with ExitStack() as stack:
        started = {}
        words, environment, port = first_clients_service(folder, model, customers)
        process = stack.enter_context(server(words, folder, port, environment, "/"))
        started["Flask"] = LoadClient(port, process.pid), partial(predict, customers)
        port = free_port()
        words = [str(ENVIRONMENT / "bin" / "python"), str(SERVERS / "litserve_service.py"), str(port)]
        process = stack.enter_context(server(words, folder, port, {"MODEL_FILE": str(model)}, "/health"))
        started["LitServe"] = LoadClient(port, process.pid), partial(litserve_request, customers)
        words, environment, port = mlserver(folder, model)
        process = stack.enter_context(server(words, folder, port, environment, "/v2/models/credit/ready"))
        started["MLServer"] = LoadClient(port, process.pid), partial(mlserver_request, customers)
        yield started


def report(rounds: list[dict[str, Round]]) -> None:
    """The medians over the rounds of our throughput to each server's, and of the slowest hundredths."""
    for name in rounds[0]:
        if name != "service":
            speed = statistics.median(
                r["service"].requests_per_second / r[name].requests_per_second for r in rounds
            )
            wait = statistics.median(r["service"].percentile(0.99) / r[name].percentile(0.99) for r in rounds)
            print(f"service beside {name}: {speed:.1f} times its throughput, {wait:.2f} of its p99")
    faster = statistics.median(
        r["service"].requests_per_second
        / max(r["LitServe"].requests_per_second, r["MLServer"].requests_per_second)
        for r in rounds
    )
    print(f"service beside the faster of LitServe and MLServer: {faster:.1f} times (aim: 2); Flask's aim: 5")


def measure(settings: Settings, folder: Path, options: argparse.Namespace) -> None:
    """Take turns, and report."""
    model = folder / "model.joblib"
    joblib.dump(register(settings, FIRST_VERSION, 1, options.trees), model)
    promote(settings, FIRST_VERSION, by="the benchmark", reason="to measure it")
    with (
        ServiceProcess.started(settings, folder / "service.log", SLIM_PYTHON) as service,
        others(folder, model, options.customers) as started,
    ):
        wait_until(lambda: service.get("/health/ready").status_code == 200)
        ask = partial(predict, options.customers, service.key_header)
        loads = {"service": (LoadClient(service.port, service.process.pid), ask)} | started
        for client, request in loads.values():
            warm = client.round(request, 1)
            assert warm.refused == 0, "a request was not answered with 200"
        rounds = []
        for _ in range(options.rounds):
            rounds.append(
                {name: client.round(request, options.seconds) for name, (client, request) in loads.items()}
            )
            for name, taken in rounds[-1].items():
                print(taken.line(name))
        report(rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, default=36_457)
    parser.add_argument("--trees", type=int, default=5, help="of the forest; the first clients' had 5")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="a round, a server")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        published_market(Path(name), options.customers) as settings,
    ):
        measure(settings, Path(name), options)


if __name__ == "__main__":
    main()
