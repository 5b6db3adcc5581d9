"""Who may ask: the key of a request, what it allows, and how often. Nothing here waits for the store.

The good keys are read in the background, once a second. A revoked key stops within a few seconds; while Postgres
is down the keys known last go on.
"""

import asyncio
import logging
import math

from fastapi import Request

from creditrisk.api_keys import ApiKey, KeyReader, KeyRing, Scope
from creditrisk.errors import StoreUnavailable
from serving.rate_limit import RateLimit
from serving.refusals import KeyRefused, ScopeMissing, TooManyRequests

logger = logging.getLogger(__name__)

HEADER = "X-API-Key"
READ_EVERY_SECONDS = 1.0
KEYLESS_PATH = "/"
"""The first clients' call, where it may come without a key."""

_HEADER = HEADER.lower().encode()
_KEYLESS_NUMBER = 0
"""Callers without a key share a limit; keys count from 1."""


class Access:
    """The keys that are good now, kept up to date by :meth:`run`."""

    def __init__(
        self, reader: KeyReader, limit: RateLimit, *, timeout_seconds: float, keyless: bool = False
    ) -> None:
        """No key is known yet.

        Args:
            reader: of the store's keys.
            limit: of each key.
            timeout_seconds: how long one reading may take.
            keyless: whether the first clients' call needs no key.
        """
        self._reader = reader
        self._limit = limit
        self._timeout_seconds = timeout_seconds
        self._keyless_path = KEYLESS_PATH if keyless else None
        self._ring: KeyRing | None = None
        self.problem: str | None = "API keys: have not been read yet"

    @property
    def known(self) -> int:
        """How many keys are good now, as far as is known."""
        return len(self._ring) if self._ring else 0

    @property
    def can_tell(self) -> bool:
        """Whether keys were read since the start, so that good and bad can be told apart."""
        return self._ring is not None

    def require(self, request: Request, scope: Scope) -> ApiKey | None:
        """The key of a request; None where it needs none.

        Raises:
            KeyRefused: there is none, or it is not good.
            ScopeMissing: it does not allow this.
            TooManyRequests: it has asked too often.
            StoreUnavailable: no key could be read since the start, so good and bad cannot be told apart.
        """
        key = self._key(request)
        if key is not None and scope not in key.allowed:
            raise ScopeMissing(scope)
        wait = self._limit.wait(key.number if key else _KEYLESS_NUMBER)
        if wait:
            raise TooManyRequests(self._limit.per_second, math.ceil(wait))
        return key

    def charge(self, key: ApiKey | None, requests: int) -> None:
        """Count more requests than the one that :meth:`require` counted."""
        self._limit.charge(key.number if key else _KEYLESS_NUMBER, requests)

    def _key(self, request: Request) -> ApiKey | None:
        presented = _presented(request)
        if presented is None and request.scope["path"] == self._keyless_path:
            return None
        if self._ring is None:
            raise StoreUnavailable(self.problem or "")
        key = self._ring.find(presented or b"")
        if key is None:
            raise KeyRefused
        return key

    async def run(self) -> None:
        """Read the keys again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(READ_EVERY_SECONDS)
                await self.read()
        finally:
            self._reader.close()

    async def read(self) -> None:
        """Read the keys once; where that fails, those known go on."""
        try:
            self._ring = await self._reader.read(asyncio.get_running_loop().time() + self._timeout_seconds)
        except StoreUnavailable as error:
            if str(error) != self.problem:
                logger.warning("%s", error)
            self.problem = str(error)
        else:
            self.problem = None


def _presented(request: Request) -> bytes | None:
    for name, value in request.scope["headers"]:
        if name == _HEADER:
            presented: bytes = value
            return presented
    return None
