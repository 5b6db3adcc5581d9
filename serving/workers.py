"""How many processes answer requests, and the one that starts them, starts a dead one again, and stops them all.

They share one listening socket, so that a request waits for any of them and none is lost with one of them, and
the memory of figures and limits, which is why they are forks of a process that has started no thread. What was
imported before is shared by them, too.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

LEAST_WORKERS = 2
MEGABYTES_A_WORKER = 250
STOP_SECONDS = 17.0
"""After being told to stop: longer than a worker takes for the requests that it has, and for the decision log."""

SHORT_LIFE_SECONDS, LONGEST_WAIT_SECONDS = 5.0, 30.0
"""A worker that dies sooner is started again after a wait that doubles up to the second."""

_BACKLOG = 2048
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class WorkerCount(NamedTuple):
    """How many workers, and why."""

    workers: int
    reason: str


def worker_count(asked_for: int) -> WorkerCount:
    """As many workers as are asked for, or where that is 0 as many as are right for this machine.

    A core is left to Postgres and whatever else runs; two are the least, so that one that dies leaves another.
    """
    if asked_for:
        return WorkerCount(asked_for, "as CREDITRISK_API_WORKERS says")
    cores = _cores()
    fitting = _available_megabytes() // MEGABYTES_A_WORKER
    workers = max(LEAST_WORKERS, min(cores - 1, fitting))
    reason = f"{cores} cores less one for everything else, room for {fitting} in memory, and never under two"
    return WorkerCount(workers, reason)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket for all workers; raises OSError where the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    return listener


class Workers:
    """Worker processes, each with its number from 0 up."""

    def __init__(self, count: int, work: Callable[[int], int]) -> None:
        """None is started yet.

        Args:
            count: how many.
            work: what each does, given its number; its process's exit code.
        """
        self._work = work
        self._due = dict.fromkeys(range(count), 0.0)
        """When each that does not run is to be started, on the monotonic clock."""
        self._wait = dict.fromkeys(range(count), 0.0)
        self._running: dict[int, tuple[int, float]] = {}
        """Number and start of each that runs, by its process."""

    def run(self) -> int:
        """Keep them running until told to stop; the process's exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        while True:
            self._start_due()
            received = signal.sigtimedwait(_WATCHED, self._seconds_to_next())
            if received is None:
                continue
            if received.si_signo == signal.SIGCHLD:
                self._bury()
            else:
                return self._stop()

    def _start_due(self) -> None:
        for worker, due in list(self._due.items()):
            if due <= time.monotonic():
                del self._due[worker]
                self._running[self._fork(worker)] = (worker, time.monotonic())

    def _fork(self, worker: int) -> int:
        parent = os.getpid()
        process = os.fork()
        if process:
            return process
        try:
            ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)  # none outlives its parent
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            code = self._work(worker) if os.getppid() == parent else 1
        except BaseException:
            logger.exception("worker %d", worker)
            code = 1
        sys.stderr.flush()
        os._exit(code)

    def _seconds_to_next(self) -> float:
        waits = [due - time.monotonic() for due in self._due.values()]
        return max(0.0, min(waits, default=3600.0))

    def _bury(self) -> None:
        """See which have ended, and say when they are to be started again."""
        while self._running:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            worker, started = self._running.pop(process)
            if time.monotonic() - started < SHORT_LIFE_SECONDS:
                self._wait[worker] = min(max(1.0, 2 * self._wait[worker]), LONGEST_WAIT_SECONDS)
            else:
                self._wait[worker] = 0.0
            self._due[worker] = time.monotonic() + self._wait[worker]
            logger.error(
                "worker %d (process %d) ended with %s: started again in %g s",
                *(worker, process, _in_words(status), self._wait[worker]),
            )

    def _stop(self) -> int:
        for process in self._running:
            os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._running and time.monotonic() < deadline:
            process, _ = os.waitpid(-1, os.WNOHANG)
            if process:
                del self._running[process]
            else:
                signal.sigtimedwait((signal.SIGCHLD,), 0.5)
        for process in self._running:
            logger.error("worker process %d does not stop: killed", process)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        return 0


def _in_words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _cores() -> int:
    """Cores that this process may use, by its affinity and its control group."""
    cores = len(os.sched_getaffinity(0))
    quota = _words(Path("/sys/fs/cgroup/cpu.max"))
    if len(quota) == 2 and quota[0] != "max":
        cores = min(cores, max(1, int(quota[0]) // int(quota[1])))
    return cores


def _available_megabytes() -> int:
    """Memory that is free for processes, by the machine and by this process's control group."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) // 1024
    limit = _words(Path("/sys/fs/cgroup/memory.max"))
    if limit and limit[0] != "max":
        available = min(available, int(limit[0]) // 2**20)
    return available


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
