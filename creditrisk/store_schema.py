"""The market's schema in Postgres: connecting as the publisher, numbered migrations, and who may do what."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

import psycopg2
from psycopg2 import errors, extensions, sql
from pydantic import SecretStr

from creditrisk.errors import SettingsError, StoreError, StoreUnavailable
from creditrisk.settings import Settings

_CONNECT_SECONDS = 10
_SERVICE_TABLES = ("current_snapshot", "decisions", "api_keys", "traffic")
_READER_TABLES = (
    "current_snapshot",
    "publications",
    "migrations",
    "decisions",
    "metrics",
    "vintages",
    "alerts",
    "deliveries",
    "probes",
    "nights",
    "traffic",
    "looks",
)


@dataclass(frozen=True, slots=True)
class StoreSchema:
    """Where a market's features are published, and the roles that may read them."""

    url: SecretStr
    schema: str
    service_role: str | None
    reader_role: str | None

    @classmethod
    def of(cls, settings: Settings) -> "StoreSchema":
        """The market's, as the settings say.

        Raises:
            SettingsError: there is no URL to publish with.
        """
        if settings.publisher_database_url is None:
            raise SettingsError("CREDITRISK_PUBLISHER_DATABASE_URL: not set, so there is nowhere to publish")
        return cls(
            url=settings.publisher_database_url,
            schema=settings.database_schema,
            service_role=_role(settings.service_database_url, "CREDITRISK_SERVICE_DATABASE_URL"),
            reader_role=_role(settings.reader_database_url, "CREDITRISK_READER_DATABASE_URL"),
        )

    def table(self, name: str) -> sql.Composed:
        """A table of the schema, quoted."""
        return sql.SQL("{}.{}").format(sql.Identifier(self.schema), sql.Identifier(name))

    def remove_before(
        self, connection: extensions.connection, name: str, column: str, moment: datetime
    ) -> int:
        """Remove a table's rows before a moment, by one of its columns; how many went, of a table that may not be there yet."""
        remove = sql.SQL("DELETE FROM {} WHERE {} < %s").format(self.table(name), sql.Identifier(column))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(remove, (moment,))
                return int(cursor.rowcount)
        except errors.UndefinedTable:
            return 0

    @contextmanager
    def connected(self) -> Iterator[extensions.connection]:
        """A connection as the publisher; Postgres's own errors become the store's.

        Raises:
            StoreUnavailable: Postgres cannot be reached, or the connection was lost.
            StoreError: Postgres refused a statement.
        """
        try:
            with closing(
                psycopg2.connect(
                    self.url.get_secret_value(),
                    connect_timeout=_CONNECT_SECONDS,
                    application_name="creditrisk publisher",
                    keepalives_idle=30,
                )
            ) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    # A publisher that is killed lets go of its lock at once, and not when its statement ends.
                    cursor.execute("SET client_connection_check_interval = '1s'")
                connection.autocommit = False
                yield connection
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise StoreUnavailable(f"Postgres (publisher): {_first_line(error)}") from error
        except psycopg2.Error as error:
            raise StoreError(f"Postgres (publisher): {_first_line(error)}") from error

    @contextmanager
    def publishing(self) -> Iterator[extensions.connection]:
        """A connection that has the market's schema to itself.

        Other publishers, migrations included, wait; the lock goes with the connection, however that ends.
        """
        with self.connected() as connection:
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"publish {self.schema}",)
                )
            yield connection

    def migrate(self, connection: extensions.connection) -> list[str]:
        """Bring the schema up to date in one transaction, under the lock; return the files that were applied.

        Raises:
            StoreError: the database is ahead of this code.
        """
        with connection, connection.cursor() as cursor:
            self._make_schema(cursor)
            cursor.execute(sql.SQL("SELECT name FROM {}").format(self.table("migrations")))
            applied = {name for (name,) in cursor.fetchall()}
            known = _migrations()
            unknown = sorted(applied - set(known))
            if unknown:
                raise StoreError(
                    f"schema {self.schema}: {unknown[-1]} was applied by newer code: update this checkout"
                )
            missing = [name for name in sorted(known) if name not in applied]
            cursor.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(self.schema)))
            for name in missing:
                cursor.execute(known[name])
                cursor.execute(
                    sql.SQL("INSERT INTO {} (name) VALUES (%s)").format(self.table("migrations")), (name,)
                )
            self.grant(cursor, self.service_role, _SERVICE_TABLES)
            self.grant(cursor, self.reader_role, _READER_TABLES)
            self._grant_logging(cursor)
        return missing

    def grant_features(self, cursor: extensions.cursor, table_name: str) -> None:
        """Let the service and the reader read a published table."""
        for role in (self.service_role, self.reader_role):
            self.grant(cursor, role, (table_name,))

    def grant(self, cursor: extensions.cursor, role: str | None, tables: Sequence[str]) -> None:
        """Let a role read tables of the schema, and nothing more.

        Raises:
            StoreError: the server has no such role.
        """
        if role is None:
            return
        cursor.execute("SELECT rolname = session_user FROM pg_roles WHERE rolname = %s", (role,))
        found = cursor.fetchone()
        if found is None:
            raise StoreError(
                f"role {role}, named by a CREDITRISK_…_DATABASE_URL, does not exist on the publisher's "
                "server: create it there, or leave that URL unset"
            )
        if found[0]:
            return  # the owner already may
        names = sql.SQL(", ").join(self.table(name) for name in tables)
        cursor.execute(
            sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(
                sql.Identifier(self.schema), sql.Identifier(role)
            )
        )
        cursor.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(names, sql.Identifier(role)))

    def _grant_logging(self, cursor: extensions.cursor) -> None:
        """Let the service add decisions and keep up its counts: not change or remove a decision, nor touch features."""
        if self.service_role is None:
            return
        cursor.execute(
            "SELECT has_database_privilege(%s, current_database(), 'TEMPORARY')", (self.service_role,)
        )
        if cursor.fetchone() == (False,):  # records are copied into a temporary table first
            cursor.execute("SELECT current_database()")
            (database,) = cursor.fetchone() or ("",)
            cursor.execute(
                sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(
                    sql.Identifier(database), sql.Identifier(self.service_role)
                )
            )
        for grant, name in (
            ("INSERT ON {}", "decisions"),
            ("EXECUTE ON FUNCTION {}(date)", "add_decision_day"),
            ("INSERT, UPDATE ON {}", "traffic"),
        ):
            cursor.execute(
                sql.SQL("GRANT " + grant + " TO {}").format(
                    self.table(name), sql.Identifier(self.service_role)
                )
            )

    def _make_schema(self, cursor: extensions.cursor) -> None:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self.schema,))
        if cursor.fetchone() is None:  # else even IF NOT EXISTS asks for the right to make one
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
        cursor.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} "
                "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
            ).format(self.table("migrations"))
        )


def _migrations() -> dict[str, str]:
    folder = files("creditrisk") / "migrations"
    return {entry.name: entry.read_text() for entry in folder.iterdir() if entry.name.endswith(".sql")}


def _role(url: SecretStr | None, variable: str) -> str | None:
    """The role a URL connects as.

    Raises:
        SettingsError: the URL names none, or cannot be read.
    """
    if url is None:
        return None
    try:
        role = extensions.parse_dsn(url.get_secret_value()).get("user")
    except psycopg2.ProgrammingError:
        role = None
    if not role:
        raise SettingsError(f"{variable}: not a postgresql:// URL with a user in it")
    return str(role)


def _first_line(error: psycopg2.Error) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
