"""The service's log: a JSON object a line on standard error, without personal data: no customer, no feature."""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson

from creditrisk.decisions import DecisionRecord

STANDARD_ERROR = 2
FLUSH_SECONDS = 0.1
"""Requests' lines are written together that often: a write for each would cost more than the line."""

_REFUSED_CALLERS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_ASKED_BY_MACHINES = (
    "GET /health/live",
    "GET /health/ready",
    "HEAD /health/live",
    "HEAD /health/ready",
    "GET /metrics",
)
"""What machines ask every few seconds; a part that fails says so itself."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON; a traceback goes along as text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_logging() -> None:
    """Send everything from information up to standard error; the web server's own records too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class RequestLog:
    """A line a request: what was asked, how it ended, how long it took, and the decision that was made."""

    def __init__(self, descriptor: int, *, logs_all: bool, slow_seconds: float) -> None:
        """Nothing is written yet.

        Args:
            descriptor: of the file to write to.
            logs_all: or only what failed, was refused to its caller, or was slow.
            slow_seconds: what is slow.
        """
        self._descriptor = descriptor
        self._logs_all = logs_all
        self._slow_seconds = slow_seconds
        self._lines: list[bytes] = []

    def answered(
        self,
        route: str,
        status: int,
        seconds: float,
        request_id: bytes,
        key_name: str | None,
        decisions: Sequence[DecisionRecord],
    ) -> None:
        """Log a request; ``route`` is as it is declared, so that no customer's id is in it."""
        level = "info"
        if route in _ASKED_BY_MACHINES:
            return
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            level = "error"
        elif status in _REFUSED_CALLERS or seconds > self._slow_seconds:
            level = "warning"
        elif not self._logs_all:
            return
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(time.time(), UTC),
            "level": level,
            "logger": "serving.requests",
            "message": f"{route} {status}",
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1e3, 2),
            "request_id": request_id.decode(),
            "key": key_name,
        }
        if len(decisions) == 1:
            line["decision_id"] = decisions[0].decision_id
        elif decisions:
            line["decision_ids"] = [record.decision_id for record in decisions]
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    async def run(self) -> None:
        """Write what there is, again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                self.flush()
        finally:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        lines, self._lines = b"".join(self._lines), []
        while lines:
            lines = lines[os.write(self._descriptor, lines) :]
