"""The way of the decision log from this machine's spool into Postgres, in batches, and what is known of it.

A batch is added by its decisions' ids, so that shipping it twice adds it once: no place is kept on disk, and
a segment is removed when Postgres has committed its last record. What cannot be shipped is set aside in a file
beside the segments, so that it holds up nothing: a line that was torn by a kill or a power cut, and a record
that Postgres does not take.
"""

import asyncio
import contextlib
import json
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from creditrisk.decision_store import DecisionStore
from creditrisk.decisions import DecisionRecord, json_of
from creditrisk.errors import DecisionUnknown, RecordDamaged, RecordsRefused, StoreUnavailable
from serving.segments import Segment
from serving.spool import Spool

logger = logging.getLogger(__name__)

SHIP_SECONDS = 0.5
LAST_RETRY_SECONDS = 15.0
ADOPT_SECONDS = 5.0
BATCH_BYTES = 500_000
"""Some 600 records, in one transaction."""

LINES_AT_ONCE = 50
"""Lines that are prepared before a request may have its turn: some 50 µs."""

FINISH_SECONDS = 5.0
REJECTED_FILE, TORN_FILE = "rejected.jsonl", "torn.jsonl"


class LogHealth(NamedTuple):
    """What is known of the decision log in this process."""

    problem: str | None
    """Why no decision can be logged; None where one can."""
    shipping_problem: str | None
    """Why records stay on this machine, or are not in Postgres at all."""
    pending_bytes: int
    seconds_since_shipped: float
    """Since this process had last nothing left to ship."""
    rejected: int
    """Lines that are no record, and records that Postgres does not take, on this machine."""


class Shipping:
    """Ships what this worker wrote and what dead workers left."""

    def __init__(self, spool: Spool, store: DecisionStore) -> None:
        self._spool = spool
        self._store = store
        self._problem: str | None = None
        self._caught_up_at = time.monotonic()
        self._adopted_at = -ADOPT_SECONDS
        self._rejected = 0

    async def run(self) -> None:
        """Ship until cancelled."""
        wait = SHIP_SECONDS
        while True:
            try:
                await self.ship()
            except Exception as error:  # noqa: BLE001  whatever it is, the records stay where they are
                wait = min(2 * wait, LAST_RETRY_SECONDS)
                self._stumble(error)
            else:
                wait = SHIP_SECONDS
                if self._problem:
                    logger.info("the decision log is shipped again")
                self._problem = None
            await asyncio.sleep(wait)

    async def ship(self) -> None:
        """Ship all that is there now.

        Raises:
            StoreUnavailable: Postgres does not take it now.
            OSError: part of the spool cannot be read, or a line not be set aside; the rest was shipped.
        """
        if time.monotonic() - self._adopted_at >= ADOPT_SECONDS:
            self._adopt()
        unreadable: OSError | None = None
        for segment in self._spool.segments():
            try:
                while segment.shipped < segment.size:
                    await self._ship_some(segment)
                if self._spool.is_complete(segment):
                    self._spool.remove(segment)
            except OSError as error:
                unreadable = error  # and the others are shipped all the same
        if unreadable:
            raise unreadable
        self._caught_up_at = time.monotonic()

    async def finish(self) -> None:
        """Ship what is left, if Postgres takes it in time; the rest stays for the next process."""
        self._spool.retire()
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                await self.ship()
        except (StoreUnavailable, OSError) as error:
            logger.warning(
                "%d bytes of the decision log stay in %s until a service starts here: %s",
                self._spool.pending_bytes(),
                self._spool.folder,
                error,
            )
        self._spool.close()
        self._store.close()

    async def find(self, decision_id: str, timeout_seconds: float) -> DecisionRecord:
        """The record of a decision, wherever it is by now.

        Args:
            decision_id: in lower case.
            timeout_seconds: for Postgres.

        Raises:
            DecisionUnknown: there is none.
            StoreUnavailable: it is not on this machine, and Postgres does not answer.
        """
        # The spool first: what leaves it meanwhile is in Postgres by then.
        found = await asyncio.to_thread(self._spool.find, decision_id)
        found = found or await self._store.find(decision_id, timeout_seconds)
        if found is None:
            raise DecisionUnknown(f"decision {decision_id}: not in the log")
        return found

    def health(self) -> LogHealth:
        """What is known now; nothing is asked."""
        behind = self._problem
        if behind is None and self._rejected:
            behind = f"{self._rejected} records could not be shipped: {REJECTED_FILE} in the spool says why"
        return LogHealth(
            problem=self._spool.problem,
            shipping_problem=behind,
            pending_bytes=self._spool.pending_bytes(),
            seconds_since_shipped=time.monotonic() - self._caught_up_at,
            rejected=self._rejected,
        )

    def _adopt(self) -> None:
        adopted = self._spool.adopt()
        if not adopted:  # else there may be more, for the next time
            self._adopted_at = time.monotonic()
        else:
            logger.info("%d segments of the decision log adopted from workers that are gone", adopted)
        self._rejected = _lines_of(self._spool.folder / REJECTED_FILE)

    async def _ship_some(self, segment: Segment) -> None:
        read = segment.read(BATCH_BYTES)
        *lines, torn = read.split(b"\n")
        bodies = []
        for number, line in enumerate(lines):
            if number % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                bodies.append(json_of(line))
            except RecordDamaged as error:
                self._set_aside(segment, line, str(error), REJECTED_FILE)
        await self._add(segment, bodies)
        if torn:
            self._set_aside(segment, torn, "not written whole: its writer was interrupted", TORN_FILE)
        segment.shipped += len(read)

    async def _add(self, segment: Segment, bodies: list[bytes]) -> None:
        """Add records; where Postgres does not take one, find it by halves and add the others."""
        if not bodies:
            return
        try:
            await self._store.add(bodies)
        except RecordsRefused as error:
            if len(bodies) == 1:
                self._set_aside(segment, bodies[0], str(error), REJECTED_FILE)
                return
            middle = len(bodies) // 2
            await self._add(segment, bodies[:middle])
            await self._add(segment, bodies[middle:])

    def _set_aside(self, segment: Segment, line: bytes, reason: str, file_name: str) -> None:
        """Keep what cannot be shipped, once, with the reason; raises OSError."""
        path = self._spool.folder / file_name
        text = json.dumps(line.decode(errors="backslashreplace"))
        if path.exists() and text.encode() in path.read_bytes():
            return  # by a worker that was killed before it had shipped the rest
        entry = {"at": datetime.now(UTC).isoformat(), "segment": segment.path.name, "reason": reason}
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(f'{json.dumps(entry)[:-1]}, "line": {text}}}\n'.encode())
            file.flush()
            os.fsync(descriptor)
        logger.error("a line of %s set aside in %s: %s", segment.path.name, file_name, reason)
        if file_name == REJECTED_FILE:
            self._rejected += 1

    def _stumble(self, error: Exception) -> None:
        words = str(error) if isinstance(error, StoreUnavailable) else f"{type(error).__name__}: {error}"
        if words != self._problem:
            logger.warning("the decision log stays on this machine for now: %s", words)
        self._problem = words


def _lines_of(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes().count(b"\n")
    return 0
