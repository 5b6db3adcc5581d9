"""This worker's answers by minute, on their way into Postgres, where the operators' page and alerts read them.

Nothing is added to a request's way: the counts are those that the figures keep anyway, looked at every ten seconds,
and what came since the last look belongs to its minute. What was counted and not shipped when a process is killed
is lost; nothing is counted twice, because a minute's count is shipped as a whole under a name of this process's own.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from datetime import UTC, datetime

from creditrisk.errors import StoreUnavailable
from creditrisk.traffic_store import MinuteCount, TrafficStore
from serving.figures import Figures

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10
"""Between two looks, which are at whole multiples of it on the clock, so that one is at each minute's end."""

KEPT_MINUTES = 1440
"""That wait for Postgres; of an outage that is longer, the oldest are forgotten."""

FINISH_SECONDS = 1.0

_Answer = tuple[str, int]
_Count = tuple[int, float]


class Traffic:
    """Counts by minute what one worker answers, and ships it."""

    def __init__(self, figures: Figures, store: TrafficStore) -> None:
        """Made by the worker itself, before its first request.

        Args:
            figures: in which this worker counts; what they hold already is another's who had the place before.
            store: where counts go.
        """
        self._figures = figures
        self._store = store
        self._worker = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
        self._counted = figures.own()
        self._minute = _minute_of(time.time())
        """Of the last look."""
        self._minutes: dict[int, dict[_Answer, _Count]] = {}
        self._unshipped: set[int] = set()
        self._problem: str | None = None

    async def run(self) -> None:
        """Look and ship until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS - time.time() % LOOK_SECONDS)
            self.look(time.time())
            await self._ship_or_say()

    def look(self, now: float) -> None:
        """Take what was answered since the last look into the minute of that look.

        Args:
            now: seconds since 1970.
        """
        counted = self._figures.own()
        for one in self._figures.grown_since(self._counted, counted):
            minute = self._minutes.setdefault(self._minute, {})
            answer = one.route, int(one.status) if one.status.isdecimal() else 0
            requests, seconds = minute.get(answer, (0, 0.0))
            minute[answer] = (requests + round(sum(one.buckets)), seconds + one.seconds)
            self._unshipped.add(self._minute)
        self._counted, self._minute = counted, _minute_of(now)
        for minute_gone in sorted(self._minutes)[:-KEPT_MINUTES]:
            del self._minutes[minute_gone]
            self._unshipped.discard(minute_gone)

    async def ship(self) -> None:
        """Ship what has grown, and forget the minutes that are over.

        Raises:
            StoreUnavailable: Postgres does not take it now; it is shipped with the next.
        """
        shipping = sorted(self._unshipped)
        if shipping:
            await self._store.add(
                [
                    MinuteCount(datetime.fromtimestamp(60 * minute, UTC), self._worker, *answer, *count)
                    for minute in shipping
                    for answer, count in self._minutes[minute].items()
                ]
            )
        self._unshipped.difference_update(shipping)
        self._minutes = {
            minute: answers
            for minute, answers in self._minutes.items()
            if minute >= self._minute or minute in self._unshipped
        }

    async def finish(self) -> None:
        """Ship what there is, if Postgres takes it at once."""
        self.look(time.time())
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                await self.ship()
        except (StoreUnavailable, TimeoutError) as error:
            logger.warning("the counts of the last requests are lost: %s", error or "no answer in time")
        self._store.close()

    async def _ship_or_say(self) -> None:
        try:
            await self.ship()
        except StoreUnavailable as error:
            if str(error) != self._problem:
                logger.warning("the counts of requests wait in this process: %s", error)
            self._problem = str(error)
        else:
            self._problem = None


def _minute_of(seconds: float) -> int:
    return int(seconds // 60)
