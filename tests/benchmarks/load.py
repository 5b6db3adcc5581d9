"""Load for the benchmarks: connections that stay open, and what they got."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import uvloop

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Round:
    """What eight connections got in some seconds."""

    requests_per_second: float
    milliseconds: list[float]
    """Of each request, ascending."""
    cpu_microseconds: float
    """Of the worker, a request."""
    refused: int

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the requests was answered."""
        return self.milliseconds[min(int(len(self.milliseconds) * share), len(self.milliseconds) - 1)]

    def line(self, name: str) -> str:
        """For people."""
        return (
            f"{name:<10}{self.requests_per_second:>8,.0f}/s   p50 {self.percentile(0.5):6.2f} ms   "
            f"p99 {self.percentile(0.99):6.2f} ms   longest {self.milliseconds[-1]:6.1f} ms   "
            f"worker's CPU {self.cpu_microseconds:4.0f} µs a request   refused {self.refused}"
        )


class LoadClient:
    """Asks one server over connections that stay open."""

    def __init__(self, port: int, process: int) -> None:
        """Nothing is asked yet.

        Args:
            port: the server listens on, on the loopback address.
            process: whose CPU time counts, with its children's.
        """
        self.port = port
        self._processes = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]

    def round(self, request: Callable[[], bytes], seconds: float) -> Round:
        """Ask as fast as the answers come."""
        before, began = self._cpu_seconds(), time.perf_counter()
        waits, refused = uvloop.run(self.ask_all(request, began + seconds))
        took = time.perf_counter() - began
        used = self._cpu_seconds() - before
        return Round(len(waits) / took, sorted(waits), used / len(waits) * 1e6, refused)

    async def ask_all(self, request: Callable[[], bytes], until: float) -> tuple[list[float], int]:
        """Ask until then; each request's milliseconds, and how many were not answered with 200."""
        waits: list[float] = []
        refused = await asyncio.gather(*[self._ask(request, until, waits) for _ in range(CONNECTIONS)])
        return waits, sum(refused)

    def _cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)

    async def _ask(self, request: Callable[[], bytes], until: float, waits: list[float]) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        refused = 0
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
            waits.append((time.perf_counter() - began) * 1e3)
            refused += not head.startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        return refused


def get(path: str, headers: bytes = b"") -> bytes:
    """A GET's bytes."""
    return b"GET %b HTTP/1.1\r\nHost: server\r\n%b\r\n" % (path.encode(), headers)


def post(path: str, body: bytes, headers: bytes = b"") -> bytes:
    """A POST's bytes, of a JSON body."""
    return (
        b"POST %b HTTP/1.1\r\nHost: server\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
        % (path.encode(), headers, len(body), body)
    )
