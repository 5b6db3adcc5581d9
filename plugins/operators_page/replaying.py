"""Replay beside the API server: ``python -m serving.replay`` in a process of its own, one at a time."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from creditrisk.settings import PROJECT_ROOT

SECONDS = 45.0
_TURN = threading.Lock()


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of making a decision again."""

    verdict: str
    compared: list[str]
    differences: list[dict[str, Any]]
    not_compared: list[dict[str, Any]]


def replay(decision_id: UUID) -> Replayed | str:
    """Make a decision again; in words why not, where it cannot be done now."""
    if not _TURN.acquire(blocking=False):  # who waits here would keep a thread of Airflow's API from its work
        return "Another replay is running: ask again in a moment."
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "serving.replay", "--json", str(decision_id)],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Not replayed within {SECONDS:g} seconds: ask again later."
    finally:
        _TURN.release()
    try:
        said = json.loads(ran.stdout)
    except ValueError:
        return f"Not replayed: {next(reversed(ran.stderr.strip().splitlines()), 'it said nothing')}"
    return Replayed(said["verdict"], said["compared"], said["differences"], said["not_compared"])
