"""Clients that ask for decisions at a steady rate, and remember everything they were answered."""

import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from local.api_key import HEADER
from tests.e2e.system import System

CONNECTIONS = 3
RATE = 60.0
"""Questions a second and connection."""


@dataclass
class Load:
    """What became of the questions; every answered decision's id is there once for every answer."""

    decision_ids: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    """By status or kind of broken connection: these were not decided, as far as the client knows."""

    began: datetime = field(default_factory=partial(datetime.now, UTC))
    ended: threading.Event = field(default_factory=threading.Event)
    clients: list[threading.Thread] = field(default_factory=list)

    def stop(self) -> None:
        """Ask no more, and wait for the last answers."""
        self.ended.set()
        for client in self.clients:
            client.join(timeout=30)

    def answered(self) -> int:
        """How many so far."""
        return len(self.decision_ids)


@contextmanager
def steady_load(system: System, customers: Sequence[int]) -> Iterator[Load]:
    """Ask about customers in turn, in a random order, until the end of the block."""
    load = Load()
    order = random.Random(7).sample(list(customers), len(customers))
    for number in range(CONNECTIONS):
        share = itertools.cycle(order[number::CONNECTIONS])
        load.clients.append(
            threading.Thread(target=_ask, args=(system.settings.api_port, system.key, share, load))
        )
        load.clients[-1].start()
    try:
        yield load
    finally:
        load.stop()


def _ask(port: int, key: str, customers: Iterator[int], load: Load) -> None:
    """One client: it keeps its connection, opens another where it breaks, and never asks twice for an answer."""
    headers = {HEADER: key, "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    due = time.monotonic()
    while not load.ended.is_set():
        due = max(due + 1 / RATE, time.monotonic() - 1)
        load.ended.wait(max(0.0, due - time.monotonic()))
        try:
            connection.request("POST", "/predict", json.dumps({"id": next(customers)}), headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            load.failures[type(error).__name__] += 1
            connection.close()
            continue
        if answer.status == http.client.OK:
            load.decision_ids.append(json.loads(body)["decision_id"])
        else:
            load.failures[str(answer.status)] += 1
    connection.close()
