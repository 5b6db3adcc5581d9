"""One worker with a challenger scoring in pair, beside itself without: ``python -m tests.benchmarks.bench_challenge``.

The same process takes turns: a round without a challenger, one with a shadow of the default size, one at half the
customers. What else the machine does meets all of them; each round's ratio is printed, and the median counts.
"""

import argparse
import os
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from creditrisk.release_ledger import abort, challenge, promote
from creditrisk.settings import Settings
from tests.benchmarks.bench_service import (
    FIRST_VERSION,
    SECOND_VERSION,
    predict,
    published_market,
    register,
)
from tests.benchmarks.load import CONNECTIONS, LoadClient, Round
from tests.serving.service_process import ServiceProcess, wait_until

BY = {"by": "the benchmark", "reason": "to measure it"}


def taken_up(service: ServiceProcess, release: int) -> bool:
    """Whether the service follows a release and, if it has a challenger, scores with it."""
    model = service.get("/model").json()
    return bool(model["release"] == release and (model["challenger"] or {"is_scored": True})["is_scored"])


def rounds(
    service: ServiceProcess, client: LoadClient, settings: Settings, seconds: float, customers: int
) -> tuple[Round, Round, Round]:
    """The same load without a challenger, with a shadow, and with one that decides on half of the customers."""
    ask = partial(predict, customers, service.key_header)
    alone = client.round(ask, seconds)
    paired = []
    for share in (0.0, 0.5):
        record = challenge(settings, SECOND_VERSION, share, **BY)
        wait_until(partial(taken_up, service, record.number))
        paired.append(client.round(ask, seconds))
    record = abort(settings, SECOND_VERSION, **BY)
    wait_until(partial(taken_up, service, record.number))
    return alone, paired[0], paired[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--customers", type=int, default=36_457)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="a round, a state")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {CONNECTIONS} connections, one worker")
    with (
        tempfile.TemporaryDirectory() as name,
        published_market(Path(name), options.customers) as settings,
    ):
        for version, seed in ((FIRST_VERSION, 1), (SECOND_VERSION, 2)):
            register(settings, version, seed=seed)
        promote(settings, FIRST_VERSION, **BY)
        with ServiceProcess.started(settings, Path(name) / "service.log") as service:
            wait_until(lambda: service.get("/health/ready").status_code == 200)
            client = LoadClient(service.port, service.process.pid)
            client.round(partial(predict, options.customers, service.key_header), 1)
            ratios, costs = [], []
            for _ in range(options.rounds):
                alone, shadow, half = rounds(service, client, settings, options.seconds, options.customers)
                paired = (shadow.requests_per_second + half.requests_per_second) / 2
                ratios.append(paired / alone.requests_per_second)
                costs.append((shadow.cpu_microseconds + half.cpu_microseconds) / 2 - alone.cpu_microseconds)
                print(alone.line("alone"), shadow.line("shadow"), half.line("half"), sep="\n")
                print(f"ratio {ratios[-1]:.2f}")
            print(f"median ratio {statistics.median(ratios):.2f} (aim: 0.90)")
            print(f"a challenger costs the worker {statistics.median(costs):.0f} µs of CPU a request")


if __name__ == "__main__":
    main()
