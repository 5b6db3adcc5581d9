"""``python -m serving``: workers on the address of the settings, until they are told to stop."""

import logging
import sys
from typing import Any

import uvicorn

from creditrisk.errors import CreditRiskError
from creditrisk.settings import load_settings
from serving.app import create_app, require_safe_listener, shared_memory
from serving.logs import start_logging
from serving.workers import Workers, listen, worker_count

SWITCH_SECONDS = 0.001
"""How soon a thread that loads a model makes way for a request; Python's own 5 ms is a request's whole time."""

_HOW: dict[str, Any] = {
    "loop": "uvloop",
    "http": "httptools",
    "ws": "none",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,  # nothing here asks where a request came from
    "timeout_graceful_shutdown": 10,
}

logger = logging.getLogger(__name__)


def main() -> int:
    """Serve; the process's exit code."""
    start_logging()
    try:
        settings = load_settings()
        require_safe_listener(settings)
    except CreditRiskError as error:
        print(error, file=sys.stderr)
        return 2
    sys.setswitchinterval(SWITCH_SECONDS)
    workers, reason = worker_count(settings.api_workers)
    logger.info("workers: %d: %s", workers, reason)
    if workers == 1:
        uvicorn.run(create_app(settings), host=settings.bind_host, port=settings.api_port, **_HOW)
        return 0
    try:
        listener = listen(settings.bind_host, settings.api_port)
    except OSError as error:
        print(f"{settings.bind_host}:{settings.api_port}: {error.strerror}", file=sys.stderr)
        return 1
    shared = shared_memory(settings, workers)

    def work(worker: int) -> int:
        shared.figures.take(worker)
        app = create_app(settings, shared)
        uvicorn.Server(uvicorn.Config(app, **_HOW)).run(sockets=[listener])
        return 0

    return Workers(workers, work).run()


if __name__ == "__main__":
    sys.exit(main())
