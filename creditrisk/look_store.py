"""All SQL on the table ``looks``: what the judge of a release said each time it looked, with every number and limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import extensions, sql
from psycopg2.extras import Json

from creditrisk.settings import Settings
from creditrisk.store_reader import StoreReader
from creditrisk.store_schema import StoreSchema

_WAIT_MILLISECONDS = 5_000
"""How long a look waits to be kept: the release must not."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the judge said at a moment."""

    release: int
    """Number of the release record that began the step."""
    judged_at: datetime
    finding: str
    verdict: dict[str, Any]
    """As JSON: step, finding, reasons, counts, and each check with value, interval and limit."""


def keep_look(settings: Settings, verdict: Mapping[str, Any]) -> None:
    """Keep a verdict of the judge; one that is kept already stays as it is.

    Args:
        settings: of the market.
        verdict: as JSON.

    Raises:
        SettingsError: there is no URL to write with.
        StoreUnavailable: Postgres cannot be reached, or is too slow.
        StoreError: it refused, such as where the table has not been made yet.
    """
    schema = StoreSchema.of(settings)
    step = verdict["step"]
    with schema.connected() as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(_WAIT_MILLISECONDS),))
        cursor.execute(
            sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING").format(
                schema.table("looks")
            ),
            (step["release"], step["judged_at"], verdict["finding"], Json(dict(verdict))),
        )


def looks_at(
    cursor: extensions.cursor, reader: StoreReader, releases: Sequence[int], most: int
) -> list[Look]:
    """Looks at the steps that some release records began, oldest first: of many, about ``most`` spread over time.

    Each step's first and last are among them.

    Args:
        cursor: of a role that may read the table.
        reader: whose schema it is.
        releases: the records' numbers.
        most: looks to read in full; the others are only counted.
    """
    question = sql.SQL("""
        WITH counted AS (
            SELECT release, judged_at, row_number() OVER step AS number,
                count(*) OVER (PARTITION BY release) AS of_step, count(*) OVER () AS looks
            FROM {looks} WHERE release = ANY(%(releases)s)
            WINDOW step AS (PARTITION BY release ORDER BY judged_at)
        )
        SELECT release, judged_at, finding, verdict
        FROM {looks} JOIN counted USING (release, judged_at)
        WHERE number IN (1, of_step) OR number %% greatest(looks / %(most)s, 1) = 0
        ORDER BY judged_at, release
    """).format(looks=reader.table("looks"))
    cursor.execute(question, {"releases": list(releases), "most": most})
    return [Look(*row) for row in cursor.fetchall()]


def remove_looks_before(connection: extensions.connection, schema: StoreSchema, moment: datetime) -> int:
    """Remove the looks before a moment; how many went, of a table that may not be there yet."""
    return schema.remove_before(connection, "looks", "judged_at", moment)
