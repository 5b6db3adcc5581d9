"""The publisher's side of API keys: making, listing and revoking them in Postgres."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import psycopg2
from psycopg2 import errors, extensions, sql

from creditrisk.api_keys import NAME, Scope, hash_of, new_key
from creditrisk.errors import KeyInvalid, StoreError
from creditrisk.settings import Settings
from creditrisk.store_schema import StoreSchema


class KeptKey(NamedTuple):
    """What is known of a key."""

    id: str
    name: str
    scopes: list[str]
    made_by: str
    made_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None


def add_key(settings: Settings, name: str, scopes: Collection[Scope], *, by: str) -> str:
    """Make a key; its text, which is kept nowhere.

    Raises:
        KeyInvalid: the name breaks its rule or is a good key's already, or there is no scope.
        StoreUnavailable: Postgres cannot be reached.
        StoreError: the store has no table of keys yet.
    """
    if not NAME.fullmatch(name):
        raise KeyInvalid(f"name: {name!r}: not 1 to 63 letters, digits, dots, dashes and underscores")
    if not scopes:
        raise KeyInvalid(f"scopes: none given: at least one of {', '.join(Scope)}")
    key = new_key()
    with _changing(settings) as (cursor, table):
        try:
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {} (id, name, scopes, hash, made_by) VALUES (%s, %s, %s, %s, %s)"
                ).format(table),
                (key.id, name, sorted({scope.value for scope in scopes}), psycopg2.Binary(key.hash), by),
            )
        except errors.UniqueViolation:
            raise KeyInvalid(f"name: {name!r}: there is a key of that name: revoke it first") from None
    return key.text


def revoke_key(settings: Settings, name: str, *, by: str) -> KeptKey:
    """Make a key good for nothing, for ever; services know within seconds.

    Args:
        settings: of the market.
        name: the key's name, or its id.
        by: who does it.

    Raises:
        KeyInvalid: there is no good key of that name.
        StoreUnavailable: Postgres cannot be reached.
        StoreError: the store has no table of keys yet.
    """
    with _changing(settings) as (cursor, table):
        cursor.execute(
            sql.SQL(
                "UPDATE {} SET revoked_at = now(), revoked_by = %s "
                "WHERE revoked_at IS NULL AND (name = %s OR id = %s) RETURNING {}"
            ).format(table, _COLUMNS),
            (by, name, name),
        )
        found = cursor.fetchone()
    if found is None:
        raise KeyInvalid(f"name: {name!r}: no good key of that name or id")
    return KeptKey(*found)


def is_good(settings: Settings, text: str) -> bool:
    """Whether a key, given by its text, is one of the market's and not revoked; raises what :func:`list_keys` does."""
    with _changing(settings) as (cursor, table):
        cursor.execute(
            sql.SQL("SELECT 1 FROM {} WHERE hash = %s AND revoked_at IS NULL").format(table),
            (psycopg2.Binary(hash_of(text.encode())),),
        )
        return cursor.fetchone() is not None


def list_keys(settings: Settings) -> list[KeptKey]:
    """All keys ever made, oldest first.

    Raises:
        StoreUnavailable: Postgres cannot be reached.
        StoreError: the store has no table of keys yet.
    """
    with _changing(settings) as (cursor, table):
        cursor.execute(sql.SQL("SELECT {} FROM {} ORDER BY number").format(_COLUMNS, table))
        return [KeptKey(*row) for row in cursor.fetchall()]


_COLUMNS = sql.SQL(", ").join(sql.Identifier(column) for column in KeptKey._fields)


@contextmanager
def _changing(settings: Settings) -> Iterator[tuple[extensions.cursor, sql.Composed]]:
    """A cursor in a transaction of the publisher's, and the table."""
    schema = StoreSchema.of(settings)
    with schema.connected() as connection, connection, connection.cursor() as cursor:
        try:
            yield cursor, schema.table("api_keys")
        except errors.UndefinedTable:
            raise StoreError(
                f"schema {schema.schema}: no table of API keys yet: run python -m creditrisk migrate"
            ) from None
