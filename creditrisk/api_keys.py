"""API keys: what one looks like, what it lets its holder do, and how a presented one is recognised.

A key is 32 random bytes, so nobody can guess one, and a plain fast hash is all the protection that its stored form
needs: a slow password hash buys time against guessing, which is only worth its price where there is something to
guess. The hash of a key is kept, never the key.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import asyncpg

from creditrisk.connections import FAILURES, Connections
from creditrisk.errors import StoreUnavailable
from creditrisk.settings import Settings

SECRET_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""It stands in decisions and logs, so it names a system and never a person."""

_PREFIX = "cr_"
_ID_DIGITS = 8
_LENGTH = len(_PREFIX) + _ID_DIGITS + 1 + 43  # 43 characters of base64 hold 32 bytes
_ID_END = len(_PREFIX) + _ID_DIGITS
_NO_HASH = bytes(32)


class Scope(StrEnum):
    """What a key lets its holder do."""

    PREDICT = "predict"  # ask for decisions
    READ = "read"  # see features, the model, decisions made, and the service's figures
    METRICS = "metrics"  # see the service's figures alone: for a Prometheus, which needs nobody's features
    ADMIN = "admin"  # all of it


_IMPLIED = {
    Scope.PREDICT: frozenset({Scope.PREDICT}),
    Scope.READ: frozenset({Scope.READ, Scope.METRICS}),
    Scope.METRICS: frozenset({Scope.METRICS}),
    Scope.ADMIN: frozenset(Scope),
}


class ApiKey(NamedTuple):
    """A key as it is kept."""

    id: str
    """Public: the key's own text begins with it."""
    name: str
    number: int
    """Counts the keys of a market, from 1."""
    hash: bytes
    allowed: frozenset[Scope]
    """Its scopes, and those that they imply."""


class NewKey(NamedTuple):
    """A key just made: the one moment at which its text exists outside its holder's hands."""

    id: str
    text: str
    hash: bytes


def new_key() -> NewKey:
    """A key of 32 random bytes, with a random public id in front."""
    identity = secrets.token_hex(_ID_DIGITS // 2)
    text = f"{_PREFIX}{identity}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return NewKey(identity, text, hash_of(text.encode()))


def allowed_by(scopes: Iterable[str]) -> frozenset[Scope]:
    """Scopes with those that they imply; one that this code does not know allows nothing."""
    asked = frozenset(scopes)
    return frozenset().union(*(implied for scope, implied in _IMPLIED.items() if scope.value in asked))


class KeyRing:
    """The keys that are good now."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._by_id = {key.id.encode(): key for key in keys}

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, presented: bytes) -> ApiKey | None:
        """The key that was presented, or None. Takes as long for a wrong secret as for an unknown id."""
        if len(presented) != _LENGTH:
            return None
        key = self._by_id.get(presented[len(_PREFIX) : _ID_END])
        is_it = hmac.compare_digest(hash_of(presented), key.hash if key else _NO_HASH)
        return key if is_it else None


class KeyReader:
    """Reads the keys that are good now, as the service's role."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet."""
        url = settings.service_database_url
        self._connections = Connections(url.get_secret_value(), 1) if url else None
        kept = "json_build_array(id, name, number, encode(hash, 'hex'), scopes)"
        table = f'"{settings.database_schema}".api_keys'  # of letters, digits and _: the settings see to it
        self._statement = (
            f"SELECT coalesce(json_agg({kept}), '[]')::text AS keys FROM {table} WHERE revoked_at IS NULL"  # noqa: S608
        )

    async def read(self, deadline: float) -> KeyRing:
        """The keys; ``deadline`` is on the event loop's clock.

        Raises:
            StoreUnavailable: Postgres is down, slower than that, or has no table of keys yet.
        """
        if self._connections is None:
            raise StoreUnavailable("service_database_url: CREDITRISK_SERVICE_DATABASE_URL is not set")
        try:
            row = await self._connections.fetch_row(self._statement, deadline=deadline)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            raise StoreUnavailable(
                "API keys: the store has no table of them yet: run python -m creditrisk migrate"
            ) from None
        except FAILURES as error:
            raise StoreUnavailable(f"API keys: Postgres cannot be read ({type(error).__name__})") from error
        return KeyRing(_kept(*values) for values in json.loads(row["keys"]))

    def close(self) -> None:
        """Close the connection."""
        if self._connections:
            self._connections.drop_idle()


def _kept(identity: str, name: str, number: int, digest: str, scopes: list[str]) -> ApiKey:
    return ApiKey(identity, name, number, bytes.fromhex(digest), allowed_by(scopes))


def hash_of(text: bytes) -> bytes:
    """What is kept of a key: the SHA-256 of its text."""
    return hashlib.sha256(text).digest()
