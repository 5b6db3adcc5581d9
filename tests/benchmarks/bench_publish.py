"""How long publishing takes, on an embedded PostgreSQL of its own: ``python -m tests.benchmarks.bench_publish``.

Each snapshot is published beside another that is being served: files verified, rows copied and checked in
Postgres, pointer moved, the oldest table dropped. Every publish is a process of its own; the time is that of
``publish_snapshot``, connecting included, and the memory is the process's peak above what its imports take.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from creditrisk.online_store import OnlineStore
from creditrisk.settings import PROJECT_ROOT, Settings
from local import postgres
from tests.conftest import free_port
from tests.creditrisk.snapshot_factory import SnapshotFactory

SIZES = (36_457, 1_000_000)
ROUNDS = 3
FIRST_DAY = date(2020, 1, 1)

PUBLISHER = """
import json, resource, sys, time
from pathlib import Path
import pyarrow.csv, pyarrow.parquet
from creditrisk.refresh import publish_snapshot
from creditrisk.settings import load_settings

def peak():
    status = Path("/proc/self/status")
    if status.exists():  # on Linux ru_maxrss starts from the parent's
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)

settings, imported, started = load_settings(), peak(), time.perf_counter()
publish_snapshot(settings, sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - started, "megabytes": peak() - imported}))
"""


def main() -> None:
    """Publish each size a few times and print a line for each."""
    with tempfile.TemporaryDirectory(prefix="bench publish ") as folder:
        server = Settings(_env_file=None, var_dir=Path(folder), postgres_port=free_port())
        urls = postgres.start(server)
        try:
            settings = Settings(
                _env_file=None,
                var_dir=Path(folder),
                publisher_database_url=urls.publisher,
                service_database_url=urls.service,
                reader_database_url=urls.reader,
            )
            OnlineStore(settings).migrate()
            environment = {
                **os.environ,
                "CREDITRISK_VAR_DIR": folder,
                "CREDITRISK_PUBLISHER_DATABASE_URL": urls.publisher,
                "CREDITRISK_SERVICE_DATABASE_URL": urls.service,
                "CREDITRISK_READER_DATABASE_URL": urls.reader,
            }
            snapshots = SnapshotFactory(settings)
            day = FIRST_DAY
            for size in SIZES:
                results = []
                for _ in range(ROUNDS):
                    day += timedelta(days=1)
                    snapshot = snapshots.write(day, range(size), seed=day.day).snapshot
                    results.append(published(snapshot, environment))
                seconds = ", ".join(f"{result['seconds']:.2f}" for result in results)
                memory = max(result["megabytes"] for result in results)
                print(f"publish {size:>9,} customers: {seconds} s; peak memory {memory:.0f} MB", flush=True)
        finally:
            postgres.stop(server)


def published(snapshot: str, environment: dict[str, str]) -> dict[str, float]:
    """Publish a snapshot in a process of its own; seconds and megabytes."""
    done = subprocess.run(
        [sys.executable, "-c", PUBLISHER, snapshot],
        env=environment,
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    main()
