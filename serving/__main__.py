"""``python -m serving``: one worker on the address of the settings, until it is told to stop."""

import sys

import uvicorn

from creditrisk.errors import CreditRiskError
from creditrisk.settings import load_settings
from serving.app import create_app
from serving.logs import start_logging

SWITCH_SECONDS = 0.001
"""How soon a thread that loads a model makes way for a request; Python's own 5 ms is a request's whole time."""


def main() -> int:
    """Serve; the process's exit code."""
    start_logging()
    try:
        settings = load_settings()
        app = create_app(settings)
    except CreditRiskError as error:
        print(error, file=sys.stderr)
        return 2
    sys.setswitchinterval(SWITCH_SECONDS)
    uvicorn.run(
        app,
        host=settings.bind_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request came from
        timeout_graceful_shutdown=10,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
