"""Reading the market's schema in Postgres as the reading role: one moment, bounded time, and nothing written."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2 import extensions, sql
from pydantic import SecretStr

from creditrisk.errors import SettingsError, StoreError, StoreUnavailable
from creditrisk.settings import Settings

_CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class StoreReader:
    """One market's schema, as a role sees it that may only read."""

    url: SecretStr
    schema: str

    @classmethod
    def of(cls, settings: Settings) -> "StoreReader":
        """The market's, as the settings say; nothing is opened yet.

        Raises:
            SettingsError: there is no URL to read with.
        """
        if settings.reader_database_url is None:
            raise SettingsError("CREDITRISK_READER_DATABASE_URL: not set, so the store cannot be read")
        return cls(settings.reader_database_url, settings.database_schema)

    def table(self, name: str) -> sql.Identifier:
        """A table of the schema, quoted."""
        return sql.Identifier(self.schema, name)

    @contextmanager
    def reading(
        self, *, seconds: float = 10.0, sort_memory: str = "4MB", name: str = "creditrisk reader"
    ) -> Iterator[extensions.cursor]:
        """A cursor in one transaction that sees one moment and writes nothing.

        Args:
            seconds: how long a statement may take.
            sort_memory: what each sort and each hash of a statement may use, as Postgres writes sizes.
            name: of the connection, as Postgres shows it.

        Raises:
            StoreUnavailable: Postgres cannot be reached, or is too slow.
            StoreError: it refused a statement, such as on a schema that has not been made yet.
        """
        options = f"-c statement_timeout={round(seconds * 1000)} -c work_mem={sort_memory}"
        try:
            with closing(
                psycopg2.connect(
                    self.url.get_secret_value(),
                    connect_timeout=_CONNECT_SECONDS,
                    application_name=name,
                    options=options,
                )
            ) as connection:
                connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
                with connection, connection.cursor() as cursor:
                    yield cursor
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise StoreUnavailable(f"Postgres (reader): {_first_line(error)}") from error
        except psycopg2.Error as error:
            raise StoreError(f"Postgres (reader): {_first_line(error)}") from error


def _first_line(error: psycopg2.Error) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
