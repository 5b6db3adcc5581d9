"""Ends with 0 if a URL answers 200, and, where a component is named, if it is healthy in the JSON answered.

    python docker/healthcheck.py http://localhost:5000/health
    python docker/healthcheck.py http://localhost:8080/api/v2/monitor/health scheduler

Standard library only: it runs every few seconds in every container.
"""

import json
import sys
from urllib.error import URLError
from urllib.request import urlopen

_TIMEOUT_SECONDS = 5


def problem(url: str, component: str | None = None) -> str | None:
    """What is wrong with a service, in words; None where it is well."""
    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - the URL is the compose file's own
            body = answer.read()
    except (URLError, OSError) as error:
        return f"{url}: {error}"
    if component is None:
        return None
    try:
        status = json.loads(body)[component]["status"]
    except (ValueError, KeyError, TypeError):
        return f"{url}: says nothing of {component}"
    return None if status == "healthy" else f"{component}: {status}"


if __name__ == "__main__":
    sys.exit(problem(*sys.argv[1:3]))
