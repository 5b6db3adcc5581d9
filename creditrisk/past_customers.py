"""A customer's row in a snapshot that may no longer be served: from its table while there is one, else from the lake.

For replay. It runs where pyarrow is not installed, so it reads the lake's Parquet with DuckDB.
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from creditrisk.connections import FAILURES
from creditrisk.contract import CUSTOMER_COLUMNS, FEATURE_NAMES
from creditrisk.customer_rows import customer_files, verified_file
from creditrisk.errors import SnapshotDamaged, SnapshotMissing
from creditrisk.features import CustomerHistory, FeatureRow
from creditrisk.removals import Kind, removal_of
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage

STORE, LAKE = "the online store", "the lake"
_SECONDS = 10.0
"""How long Postgres may take to connect, and to answer."""

_COLUMNS = ", ".join(CUSTOMER_COLUMNS)


class PastCustomer(NamedTuple):
    """What a snapshot knows of a customer."""

    features: FeatureRow
    """As published, of the newest loan as of the snapshot's date."""
    history: CustomerHistory


class PastSnapshot(NamedTuple):
    """Where a snapshot was found, and its row of one customer."""

    source: str
    customer: PastCustomer | None
    """None where the snapshot does not know the customer."""


async def past_customer(
    settings: Settings, database_url: str | None, snapshot: SnapshotId, customer: int
) -> PastSnapshot:
    """A customer's row in a snapshot.

    Args:
        settings: say where lake and schema are.
        database_url: of a role that may read the published features; None looks in the lake alone.
        snapshot: the snapshot.
        customer: the customer.

    Raises:
        SnapshotMissing: it is neither in the store nor in the lake; the message says so if it was removed.
        SnapshotDamaged: its files in the lake are not those its manifest was written for.
        StorageError: it is not in the store, and the lake cannot be read.
    """
    problem = None
    if database_url is not None:
        try:
            row = await _stored(database_url, settings.database_schema, snapshot, customer)
            return PastSnapshot(STORE, _customer(row) if row else None)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            pass
        except FAILURES as error:
            problem = f"; Postgres cannot be read ({type(error).__name__})"
    lake = Storage(settings.lake_root)
    try:
        manifest = SnapshotCatalog(lake).manifest(snapshot)
    except SnapshotMissing:
        removal = removal_of(lake, Kind.SNAPSHOT, str(snapshot))
        words = removal.sentence if removal else f"neither in the online store nor in the lake {lake.url}"
        raise SnapshotMissing(f"snapshot {snapshot}: {words}{problem or ''}") from None
    row = _laid_down(lake, manifest, customer)
    return PastSnapshot(LAKE, _customer(row) if row else None)


async def _stored(database_url: str, schema: str, snapshot: SnapshotId, customer: int) -> Any:
    """The row in the snapshot's table."""
    connection = await asyncpg.connect(
        database_url,
        timeout=_SECONDS,
        command_timeout=_SECONDS,
        server_settings={"application_name": "creditrisk replay", "default_transaction_read_only": "on"},
    )
    try:
        # The names are our own: the schema's follows a pattern, the table's is made of a date and digits.
        return await connection.fetchrow(
            f'SELECT {_COLUMNS} FROM "{schema}"."{snapshot.table_name}" WHERE id = $1',  # noqa: S608
            customer,
        )
    finally:
        connection.terminate()


def _laid_down(lake: Storage, manifest: SnapshotManifest, customer: int) -> dict[str, Any] | None:
    """The row in the snapshot's files, each of which is held against its hash."""
    for key in customer_files(manifest):
        with verified_file(lake, manifest, key) as path:
            row = _row_of(path, customer, f"snapshot {manifest.snapshot}: {key}")
        if row:
            return row
    return None


def _row_of(path: Path, customer: int, name: str) -> dict[str, Any] | None:
    import duckdb

    offline = {
        "threads": 1,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with (
        tempfile.TemporaryDirectory(prefix="creditrisk-") as folder,
        duckdb.connect(config=offline) as reader,
    ):
        link = (
            Path(folder) / "customers.parquet"
        )  # a path may hold characters that DuckDB takes for a pattern
        link.symlink_to(path.absolute())
        try:
            found = reader.execute(
                f"SELECT {_COLUMNS} FROM read_parquet(?) WHERE id = ?",  # noqa: S608  the contract's names
                [str(link), customer],
            ).fetchone()
        except duckdb.Error as error:
            raise SnapshotDamaged(f"{name}: not readable as Parquet: {str(error).splitlines()[0]}") from error
    return dict(zip(CUSTOMER_COLUMNS, found, strict=True)) if found else None


def _customer(row: Any) -> PastCustomer:
    age, years, loans, mean, car = (row[name] for name in FEATURE_NAMES)
    return PastCustomer(
        features=(age, years, loans, mean, car),
        history=CustomerHistory.of_row(row),
    )
