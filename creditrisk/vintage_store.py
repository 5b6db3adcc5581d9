"""All SQL on the table ``vintages``: how each month's decisions turned out, by version and arm."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date

from psycopg2 import extensions, sql
from psycopg2.extras import execute_values

from creditrisk.settings import Settings
from creditrisk.store_schema import StoreSchema


@dataclass(frozen=True, slots=True)
class Vintage:
    """The decisions of a month that a version scored as champion or as challenger, and their outcomes so far."""

    month: date
    """Its first day, in the market's time zone."""
    version: str
    arm: str
    """``champion`` or ``challenger``: what the version was when it scored, whoever decided."""
    decisions: int
    """Questions, each counted once however often it was asked."""
    excluded: int
    """Of them, those of which no outcome counts: declined, without a loan so far, or used to make the version."""
    labelled: int
    """Of them, those whose outcome is known, and counts."""
    late: int
    roc_auc: float | None
    """None, like the other figures, until it can be told."""
    brier: float | None
    calibration_error: float | None
    expected_roc_auc: float | None
    expected_late_share: float | None
    day: date | None
    """The day that was measured."""

    @property
    def labelled_share(self) -> float | None:
        """Of the decisions that are about a loan; None where there is none."""
        possible = self.decisions - self.excluded
        return self.labelled / possible if possible > 0 else None


_COLUMNS = tuple(column.name for column in fields(Vintage))
_KEY = ("month", "version", "arm")


class VintageStore:
    """One market's vintages."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet, and a URL is only needed by what uses it."""
        self._settings = settings

    def keep(self, vintages: Sequence[Vintage]) -> None:
        """Put vintages in place of what an earlier day knew of them, as the publisher; all or none.

        One that was measured for a later day already stays as it is.

        Raises:
            SettingsError: there is no URL to write with.
            StoreUnavailable: Postgres cannot be reached.
            StoreError: it refused, such as where the table has not been made yet.
        """
        if not vintages:
            return
        schema = StoreSchema.of(self._settings)
        names = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
        changed = [name for name in _COLUMNS if name not in _KEY]
        statement = sql.SQL(
            "INSERT INTO {table} AS kept ({names}) VALUES %s ON CONFLICT ({key}) DO UPDATE "
            "SET ({changed}, measured_at) = ({new}, now()) WHERE kept.day IS NULL OR kept.day <= excluded.day"
        ).format(
            table=schema.table("vintages"),
            names=names,
            key=sql.SQL(", ").join(map(sql.Identifier, _KEY)),
            changed=sql.SQL(", ").join(map(sql.Identifier, changed)),
            new=sql.SQL(", ").join(sql.Identifier("excluded", name) for name in changed),
        )
        rows = [tuple(getattr(vintage, name) for name in _COLUMNS) for vintage in vintages]
        with schema.connected() as connection, connection, connection.cursor() as cursor:
            execute_values(cursor, statement, rows)


def newest_vintages(cursor: extensions.cursor, table: sql.Composable, months: int = 24) -> list[Vintage]:
    """Vintages of the newest months, newest month first, then by arm and version.

    Args:
        cursor: of a role that may read the table.
        table: the market's table of vintages.
        months: before the newest one that there is.
    """
    question = sql.SQL(
        "SELECT {names} FROM {table} WHERE month >= (SELECT max(month) FROM {table}) - make_interval(months => %s) "
        "ORDER BY month DESC, arm, version"
    ).format(names=sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)), table=table)
    cursor.execute(question, (months,))
    return [Vintage(*row) for row in cursor.fetchall()]
