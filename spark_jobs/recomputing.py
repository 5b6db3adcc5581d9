"""The feature job's computation done once more, for some customers: the same functions, and the same landed files.

Which rows are good hangs on all rows that name the same loan, whosever they are. So every row is read and judged as in
the night; a customer's features hang on the customer's own good loans alone, and are worked out for those asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from pyspark.sql import SparkSession

from creditrisk.contract import contract_fingerprint
from creditrisk.errors import ContractError, SnapshotDamaged, SnapshotError
from creditrisk.provenance import code_version
from creditrisk.recomputation import Recomputation, RecomputedRows, answer, sample_of
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage
from spark_jobs import transforms, writing
from spark_jobs.configuration import is_local
from spark_jobs.intake import take_in
from spark_jobs.reading import local_copy
from spark_jobs.recorded_inputs import changed_files, loans_alone, recorded_files, with_digests
from spark_jobs.run import SPOOLED, compute
from spark_jobs.session import start_session
from spark_jobs.snapshot_files import CUSTOMERS, write_snapshot_files


def recompute(
    settings: Settings, sample: str, session: SparkSession | None = None
) -> tuple[str, Recomputation]:
    """Work out the sampled customers' rows of every snapshot named; the key of the answer in the lake, and the answer.

    A snapshot that cannot be worked out again has the reason in place of its rows.

    Args:
        settings: this deployment's.
        sample: its key in the lake, see :mod:`creditrisk.recomputation`.
        session: a session to use and leave running; by default one is started for all snapshots, and stopped.

    Raises:
        StorageError: the lake cannot be read or written, or has no such sample.
    """
    lake = Storage(settings.lake_root)
    asked = sample_of(lake, sample)
    spark = session or start_session(settings, f"skew {settings.market} {asked.day}")
    try:
        found = [
            _recomputed(spark, settings, lake, snapshot, customers)
            for snapshot, customers in sorted(asked.customers.items())
        ]
    finally:
        if session is None:
            spark.stop()
    recomputation = Recomputation(sample=asked, code_version=code_version(), snapshots=found)
    return answer(lake, sample, recomputation), recomputation


def recompute_lines(recomputation: Recomputation) -> list[str]:
    """What an operator reads: of each snapshot, how many rows there are, or why there are none."""
    lines = []
    for each in recomputation.snapshots:
        asked = len(recomputation.sample.customers[each.snapshot])
        lines.append(
            f"Snapshot {each.snapshot}: not worked out again: {each.problem}"
            if each.problem
            else f"Snapshot {each.snapshot}: the rows of {len(each.rows):,} of {asked:,} customers worked out again."
        )
        lines += each.changed_files
    return lines


def _recomputed(
    spark: SparkSession, settings: Settings, lake: Storage, snapshot: str, customers: Sequence[int]
) -> RecomputedRows:
    made_by = "unknown"
    try:
        manifest = SnapshotCatalog(lake).manifest(SnapshotId.parse(snapshot))
        made_by = manifest.code_version
        if manifest.contract_fingerprint != contract_fingerprint():
            raise SnapshotDamaged(f"snapshot {snapshot}: its features were defined otherwise")
        with writing.staging_folder(settings, lake, manifest.as_of) as staged:
            rows, changed = _rows(spark, settings, manifest, customers, staged)
    except (SnapshotError, ContractError) as error:
        return RecomputedRows(snapshot=snapshot, code_version=made_by, problem=str(error))
    finally:
        spark.catalog.clearCache()
    return RecomputedRows(snapshot=snapshot, code_version=made_by, rows=rows, changed_files=changed)


def _rows(
    spark: SparkSession,
    settings: Settings,
    manifest: SnapshotManifest,
    customers: Sequence[int],
    staged: Path,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the customers, and what has become of the landed files in words."""
    files = recorded_files(manifest)
    place = files.root.url
    if is_local(settings.spark_master):
        files = local_copy(files, staged / writing.INPUTS)
    intake = take_in(spark, loans_alone(files, place), manifest.as_of, manifest.landed_until)
    changed = changed_files(manifest.inputs, with_digests(intake.inputs, files))
    wanted = spark.createDataFrame([(customer,) for customer in customers], "id bigint")
    compute(transforms.of_customers(intake.good, wanted), manifest.as_of, staged / SPOOLED)
    write_snapshot_files(staged / SPOOLED, staged / writing.SNAPSHOT, transforms.online_names())
    made = sorted((staged / writing.SNAPSHOT / CUSTOMERS).glob("*.parquet"))
    rows = [row for path in made for row in parquet.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["id"]), changed
