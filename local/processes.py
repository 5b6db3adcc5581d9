"""Services as processes of this machine: started in a session of their own, stopped with all their children."""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.progress import StackError

_ORDERLY_SECONDS = 15
_LAST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Service:
    """A long-running process, its files under the folder for run-time files."""

    name: str
    run_dir: Path
    log_dir: Path

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.log_dir / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Where its number is kept, when it was started, and on which port."""
        return self.run_dir / f"{self.name}.pid"

    def process(self) -> psutil.Process | None:
        """The process started last, if it is still that process and alive."""
        try:
            pid, created, *_ = self.pid_file.read_text().split()
            process = psutil.Process(int(pid))
            alive = process.status() != psutil.STATUS_ZOMBIE
            if (
                alive and abs(process.create_time() - float(created)) < 1
            ):  # else the number is another's by now
                return process
        except (OSError, ValueError, psutil.NoSuchProcess):
            pass
        return None

    def port(self) -> int | None:
        """The port that it was started on; None where it does not run, or has none."""
        words = self.pid_file.read_text().split() if self.process() else []
        return int(words[2]) if len(words) > 2 else None

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        port: int | None = None,
    ) -> None:
        """Start it, unless it runs already; the port is remembered for whoever looks for it from another shell."""
        if self.process():
            return
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created = psutil.Process(started.pid).create_time()
        started.returncode = 0  # it outlives this process, which waits for it by its number, if at all
        self.pid_file.write_text(f"{started.pid} {created} {port or ''}\n")

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return ""


def stop(services: Sequence[Service]) -> list[str]:
    """End services and everything that they started, all at once; the names of those that ran.

    Their main processes are asked first, so that they can end their work in order; then whatever is left.
    """
    leaders = {service.name: process for service in services if (process := service.process())}
    families = [member for leader in leaders.values() for member in _family(leader)]
    _signal(list(leaders.values()), signal.SIGTERM)
    psutil.wait_procs(list(leaders.values()), timeout=_ORDERLY_SECONDS)
    left = [member for member in (*leaders.values(), *families) if member.is_running()]
    left += [member for leader in leaders.values() for member in _session(leader.pid)]
    _signal(left, signal.SIGTERM)
    _, alive = psutil.wait_procs(left, timeout=_LAST_SECONDS)
    alive += [member for leader in leaders.values() for member in _session(leader.pid)]
    _signal(alive, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=_LAST_SECONDS)
    for service in services:
        service.pid_file.unlink(missing_ok=True)
    return list(leaders)


def _family(leader: psutil.Process) -> list[psutil.Process]:
    """All that it started: what is below it, and what is in its session though its parent is gone."""
    try:
        below = leader.children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    return [*below, *_session(leader.pid)]


def _session(number: int) -> list[psutil.Process]:
    """The processes of a session, its leader included where it lives."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == number:
                members.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return members


def _signal(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def require_free_port(host: str, port: int, service: str, setting: str) -> None:
    """Raise in one clear line where a port is taken.

    Raises:
        StackError: something listens on it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise StackError(
                f"port {port} on {host} is taken, and {service} needs one: "
                f"stop what listens there, or set {setting} to a free port"
            ) from None
