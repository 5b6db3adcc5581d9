"""``python -m serving`` as a process of its own, from the slim environment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from creditrisk.settings import PROJECT_ROOT, Settings
from tests.conftest import free_port
from tests.keys import HEADER, made_key

SLIM_PYTHON = PROJECT_ROOT / ".venv-serving" / "bin" / "python"
FULL_PYTHON = Path(sys.executable)

TELLS_ITS_MODULES = """
import signal, sys
from pathlib import Path
def tell(*_):
    Path(sys.argv[1]).with_suffix(".new").write_text("\\n".join(sorted(sys.modules)))
    Path(sys.argv[1]).with_suffix(".new").rename(sys.argv[1])
signal.signal(signal.SIGUSR1, tell)
from serving.__main__ import main
sys.exit(main())
"""


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> float:
    """Wait for something to come true; how long it took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass
class ServiceProcess:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    modules_file: Path
    key: str
    """For everything."""

    @property
    def key_header(self) -> bytes:
        """The key as a line of a request."""
        return f"{HEADER}: {self.key}\r\n".encode()

    @classmethod
    @contextmanager
    def started(
        cls,
        settings: Settings,
        log: Path,
        python: Path = SLIM_PYTHON,
        script: str = TELLS_ITS_MODULES,
        more: dict[str, str] | None = None,
    ) -> Iterator[Self]:
        """Start it with these settings and more variables, and stop it at the end whatever happened."""
        assert python.exists(), f"{python} is missing: make setup"
        port, key = free_port(), made_key(settings)
        url = settings.service_database_url
        environment = {name: text for name, text in os.environ.items() if not name.startswith("CREDITRISK_")}
        environment |= {
            "CREDITRISK_VAR_DIR": str(settings.var_dir),
            "CREDITRISK_MARKET": settings.market,
            "CREDITRISK_API_PORT": str(port),
            "CREDITRISK_STORE_TIMEOUT_SECONDS": str(settings.store_timeout_seconds),
            "CREDITRISK_SERVICE_DATABASE_URL": url.get_secret_value() if url else "",
            "CREDITRISK_RATE_LIMIT_PER_SECOND": "0",
            "CREDITRISK_API_WORKERS": "1",
            **(more or {}),
        }
        modules_file = log.with_suffix(".modules")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(python), "-c", script, str(modules_file)],
                cwd=PROJECT_ROOT,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        service = cls(process, port, log, modules_file, key)
        try:
            service.wait_until_it_listens()
            yield service
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def wait_until_it_listens(self) -> None:
        """Return when it answers."""

        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            try:
                return self.get("/health/live").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, seconds=60)

    def get(self, path: str) -> httpx.Response:
        """One GET."""
        return self.request("GET", path)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Any request, with the key."""
        url = f"http://127.0.0.1:{self.port}{path}"
        return httpx.request(method, url, headers={HEADER: self.key}, timeout=10, **arguments)

    def predict(self, customer: object) -> httpx.Response:
        """One question."""
        return self.request("POST", "/predict", json={"id": customer})

    def modules(self) -> set[str]:
        """Names of the modules that the process has loaded, asked of the process itself."""
        self.modules_file.unlink(missing_ok=True)
        os.kill(self.process.pid, signal.SIGUSR1)
        wait_until(self.modules_file.exists)
        return set(self.modules_file.read_text().splitlines())

    def resident_megabytes(self) -> float:
        """Its memory."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def stop(self) -> int:
        """Ask it to stop, and wait; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)
