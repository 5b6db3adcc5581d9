"""Replay beside the service: a process of its own for each, so that no pickle and no Parquet reader comes into a worker."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from creditrisk.decisions import DecisionRecord, to_line
from creditrisk.errors import ReplayUnavailable
from creditrisk.settings import Settings

SECONDS = 30.0
"""For a whole replay, waiting for the one before it included. Most of it is the loading of libraries."""

ROOT = Path(__file__).resolve().parent.parent


class ReplayProcess:
    """Makes decisions again, one at a time."""

    def __init__(self, settings: Settings, *, seconds: float = SECONDS) -> None:
        """Nothing is started yet.

        Args:
            settings: the service's; the processes get what replay needs of them.
            seconds: for one replay.
        """
        self._environment = _environment(settings)
        self._seconds = seconds
        self._turn = asyncio.Lock()

    async def replay(self, record: DecisionRecord) -> dict[str, Any]:
        """What came of making a decision again, as :meth:`serving.comparison.Comparison.as_json` says it.

        Raises:
            ReplayUnavailable: it has not ended in time, or has failed.
        """
        try:
            async with asyncio.timeout(self._seconds), self._turn:
                told, complaint = await self._run(to_line(record))
        except TimeoutError:
            raise ReplayUnavailable(
                f"decision {record.decision_id}: not replayed within {self._seconds:g} s: ask again later"
            ) from None
        try:
            answered: dict[str, Any] = json.loads(told)
        except ValueError:
            last = next(reversed(complaint.decode(errors="replace").splitlines()), "it said nothing")
            raise ReplayUnavailable(f"decision {record.decision_id}: not replayed: {last}") from None
        return answered

    async def _run(self, line: bytes) -> tuple[bytes, bytes]:
        """What a process says on a record's line, on stdout and on stderr."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "serving.replay", "--line", "--json"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=self._environment,
        )
        try:
            return await process.communicate(line)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    """The service's own environment, and its settings wherever they came from."""
    said = {
        "CREDITRISK_VAR_DIR": str(settings.var_dir.absolute()),
        "CREDITRISK_MARKET": settings.market,
        "CREDITRISK_LAKE_URL": settings.lake_url,
        "CREDITRISK_REGISTRY_URL": settings.registry_url,
    }
    if settings.service_database_url:
        said["CREDITRISK_SERVICE_DATABASE_URL"] = settings.service_database_url.get_secret_value()
    return {**os.environ, **said, "OMP_NUM_THREADS": "1"}
