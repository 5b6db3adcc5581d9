"""The decision log's first home: records appended to a file of this worker before their answers leave.

A record is written by one ``write(2)`` that is complete when :meth:`Spool.append` returns, so that no kill of
the process loses it; a thread has the disk take what is there every 50 ms, so that a power cut loses no more.
Where it cannot be written there is a problem, every append is refused, and the thread tries until a probe and
a new segment can be written.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from errno import ENOSPC
from itertools import islice
from pathlib import Path

from creditrisk.decisions import DecisionRecord, from_line, to_line
from creditrisk.errors import DecisionLogUnwritable, RecordDamaged
from serving.segments import Segment, made_at, segment_files, sweep

logger = logging.getLogger(__name__)

SYNC_SECONDS = 0.05
PROBE_SECONDS = 0.5
PROBE_BYTES = 65_536
"""What must be writable before decisions are given again: some 80 records."""

SEGMENT_BYTES = 32_000_000
SEGMENT_SECONDS = 60.0
"""A segment is followed by a new one when it is so long, or so old with all of it shipped."""

MOST_ADOPTED = 100
"""Segments beside the present one with which no more are taken over: each holds a file open."""

_CLOCK_SLACK_SECONDS = 60.0
_TIME_ORDERED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-")


class Spool:
    """This worker's part of the spool in a folder that other workers of the machine share."""

    def __init__(self, folder: Path) -> None:
        """Nothing is opened yet."""
        self.folder = folder
        self.problem: str | None = "the decision log is not open"
        """Why no record can be written; None where it can."""
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._retired: list[Segment] = []
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="spool", daemon=True)

    def start(self) -> None:
        """Open a segment, and go on trying in a thread where that fails."""
        self._try_to_open()
        self._keeper.start()

    def append(self, record: DecisionRecord) -> None:
        """Write a record.

        Raises:
            DecisionLogUnwritable: it is not in the log, so the decision must not be answered.
        """
        self._write(to_line(record))

    def append_all(self, records: Iterable[DecisionRecord]) -> None:
        """Write records, all or none; raises what :meth:`append` raises."""
        self._write(b"".join(map(to_line, records)))

    def _write(self, lines: bytes) -> None:
        with self._lock:
            segment = self._segment
            if segment is None:
                raise DecisionLogUnwritable(self._refusal())
            try:
                segment.write(lines)
            except OSError as error:
                self._give_up(segment, error)
                raise DecisionLogUnwritable(self._refusal()) from error
        if not self._wake.is_set():
            self._wake.set()

    def _refusal(self) -> str:
        return f"no decision is given that cannot be logged: {self.problem}"

    def segments(self) -> list[Segment]:
        """What this process has to ship, oldest first: each up to its size of now."""
        with self._lock:
            return [*self._retired, self._segment] if self._segment else list(self._retired)

    def is_complete(self, segment: Segment) -> bool:
        """Whether nothing will be appended to a segment any more."""
        return segment is not self._segment

    def pending_bytes(self) -> int:
        """Bytes that are not known to be in Postgres."""
        return sum(segment.size - segment.shipped for segment in self.segments())

    def adopt(self) -> int:
        """Take over what workers left that are gone, as far as there is room; how many segments that was."""
        sweep(self.folder)
        own = {segment.path for segment in self.segments()}
        room = max(MOST_ADOPTED - len(self._retired), 0)
        found = (Segment.adopt(path) for path in segment_files(self.folder) if path not in own)
        adopted = list(islice((segment for segment in found if segment), room))
        with self._lock:
            self._retired = [*adopted, *self._retired]
        return len(adopted)

    def remove(self, segment: Segment) -> None:
        """Remove a complete segment, all of which is in Postgres."""
        segment.remove()
        with self._lock:
            self._retired.remove(segment)

    def find(self, decision_id: str) -> DecisionRecord | None:
        """A record that has not been shipped yet, whichever worker of this machine wrote it.

        Args:
            decision_id: in lower case.
        """
        wanted = b'"decision_id":"%b"' % decision_id.encode()
        for path in _likely(segment_files(self.folder), decision_id):
            with suppress(FileNotFoundError):  # shipped meanwhile
                content = path.read_bytes()
                place = content.find(wanted)
                if place >= 0:
                    with suppress(RecordDamaged):
                        return from_line(content[content.rfind(b"\n", 0, place) + 1 :].partition(b"\n")[0])
        return None

    def retire(self) -> None:
        """Take no more records: what is there can be shipped to its end, and removed."""
        self._stopping.set()
        self._wake.set()
        if self._keeper.is_alive():
            self._keeper.join()
        with self._lock:
            self.problem = "the service is stopping"
            if self._segment:
                self._sync_quietly(self._segment)
                self._retired.append(self._segment)
            self._segment = None

    def close(self) -> None:
        """Let go of what is left: it stays on the disk for another worker."""
        self.retire()
        for segment in self._retired:
            segment.close()
        self._retired = []

    def _keep(self) -> None:
        """Sync, follow up and mend until told to stop."""
        while not self._stopping.is_set():
            if self._segment is None:
                self._stopping.wait(PROBE_SECONDS)
                self._try_to_open()
                continue
            if self._wake.wait(timeout=SEGMENT_SECONDS / 10):
                self._stopping.wait(SYNC_SECONDS)
                self._wake.clear()  # before: what is written from here on is for the next time
                self._sync()
            self._follow_up()

    def _sync(self) -> None:
        segment = self._segment
        if segment:
            try:
                segment.sync()
            except OSError as error:
                with self._lock:
                    self._give_up(segment, error)

    def _follow_up(self) -> None:
        """Begin a new segment where the present one is long or old enough."""
        segment = self._segment
        if segment is None or not segment.size:
            return
        is_old = time.monotonic() - segment.opened >= SEGMENT_SECONDS and segment.shipped == segment.size
        if segment.size < SEGMENT_BYTES and not is_old:
            return
        try:
            follower = Segment.create(self.folder)
        except OSError as error:
            logger.warning("the spool goes on with %s: %s", segment.path.name, error.strerror)
            return
        with self._lock:
            if self._segment is not segment:  # given up meanwhile: the keeper opens another
                follower.remove()
                return
            self._segment = follower
        self._sync_quietly(segment)  # before it is retired: whoever ships it closes it
        with self._lock:
            self._retired.append(segment)

    def _give_up(self, segment: Segment, error: OSError) -> None:
        """Write no more to a segment, under the lock; what is in it is shipped."""
        if self._segment is not segment:
            return
        self._segment = None
        self._retired.append(segment)
        self._say(f"the spool cannot be written: {error.strerror}")
        self._wake.set()

    def _try_to_open(self) -> None:
        try:
            segment = Segment.create(self.folder)
            try:
                self._probe()
            except OSError:
                segment.remove()
                raise
        except OSError as error:
            self._say(f"the spool cannot be written: {error.strerror}")
            return
        with self._lock:
            self._segment, self.problem = segment, None
        logger.info("decision log: written to %s", segment.path)

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            logger.error("decision log in %s: %s", self.folder, problem)
        self.problem = problem

    def _probe(self) -> None:
        """Write, sync and remove a file of some records' size; raises OSError."""
        path = self.folder / f"probe-{os.getpid()}"
        try:
            with path.open("wb", buffering=0) as file:
                if file.write(bytes(PROBE_BYTES)) != PROBE_BYTES:
                    raise OSError(ENOSPC, os.strerror(ENOSPC))
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    def _sync_quietly(self, segment: Segment) -> None:
        try:
            segment.sync()
        except OSError as error:
            logger.error("decision log: %s was not synced: %s", segment.path.name, error.strerror)


def _likely(paths: list[Path], decision_id: str) -> Iterable[Path]:
    """The segments that may hold a decision: its time-ordered id says when it was made."""
    if not _TIME_ORDERED.match(decision_id):
        return paths
    at = int(decision_id[:8] + decision_id[9:13], 16) / 1000
    return (path for path in paths if made_at(path) - _CLOCK_SLACK_SECONDS < at < _written_at(path))


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime + _CLOCK_SLACK_SECONDS
    except FileNotFoundError:
        return 0.0
