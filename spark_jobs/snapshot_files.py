"""A snapshot's files, made from the rows that Spark wrote aside: batch by batch, in bounded memory.

Spark computes a row a loan with all that the files need, and writes it once. Taking columns and rows of it out, and
adding up digests and statistics, is a matter of a second a million rows here, and was a Spark job each there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as parquet

from creditrisk.contract import COLUMN_ROLES, TRAINING_SET_COLUMNS
from creditrisk.snapshots import FeatureStatistics
from spark_jobs.digests import CUSTOMER_NUMBER, LOAN_HASHES, RowSums, customers_digest, loans_digest
from spark_jobs.statistics import counts_of, tallies

LOANS, CUSTOMERS, TRAINING_SET = "loans", "customers", "features.csv"
_ROWS_AT_ONCE = 1 << 17
_COMPRESSION = "zstd"


@dataclass(frozen=True, slots=True)
class Totals:
    """What the files hold."""

    loans: int
    loans_digest: str
    customers: int
    customers_digest: str
    newest_loan_date: date | None
    features: dict[str, FeatureStatistics]


def write_snapshot_files(spooled: Path, folder: Path, online_names: Mapping[str, str]) -> Totals:
    """Write the loans, the customers and the training set; the latter beside the others, in a thread of its own.

    Args:
        spooled: a folder of Parquet files: :func:`spark_jobs.transforms.snapshot_rows` with
            :func:`spark_jobs.digests.loan_hashes` and :func:`spark_jobs.digests.customer_number`.
        folder: the snapshot's.
        online_names: by the customers' column, the column it is taken from in rows that are ``is_newest``.
    """
    for name in (LOANS, CUSTOMERS):
        (folder / name).mkdir(parents=True)
    paths = sorted(spooled.glob("*.parquet"))
    with ThreadPoolExecutor(1) as beside:
        written = beside.submit(_write_training_set, paths, folder / TRAINING_SET)
        totals = _write_tables(paths, folder, online_names)
        written.result()
    return totals


def _write_tables(paths: Sequence[Path], folder: Path, online_names: Mapping[str, str]) -> Totals:
    """Each of Spark's files into one of the loans and one of the customers."""
    hashes, numbers, features = [RowSums() for _ in LOAN_HASHES], RowSums(), tallies()
    newest: date | None = None
    for number, path in enumerate(paths):
        with ExitStack() as files:
            source = files.enter_context(parquet.ParquetFile(path))
            schema = source.schema_arrow.remove_metadata()
            loans = files.enter_context(
                _writer(folder / LOANS, number, _renamed(schema, dict.fromkeys(COLUMN_ROLES)))
            )
            customers = files.enter_context(
                _writer(folder / CUSTOMERS, number, _renamed(schema, online_names))
            )
            for batch in source.iter_batches(_ROWS_AT_ONCE):
                loans.write_batch(batch.select(list(COLUMN_ROLES)))
                online = batch.filter(batch["is_newest"])
                customers.write_batch(
                    online.select(list(online_names.values())).rename_columns(list(online_names))
                )
                row_hashes = [_unsigned(batch[name]) for name in LOAN_HASHES]
                for sums, each in zip(hashes, row_hashes, strict=True):
                    sums.add(each)
                numbers.add(_unsigned(online[CUSTOMER_NUMBER]))
                for feature, tally in features.items():
                    tally.add(batch[feature], row_hashes[0])
                newest = max(filter(None, (newest, pc.max(batch["loan_date"]).as_py())), default=None)
    return Totals(
        loans=hashes[0].rows,
        loans_digest=loans_digest(hashes),
        customers=numbers.rows,
        customers_digest=customers_digest(numbers),
        newest_loan_date=newest,
        features={name: tally.statistics() for name, tally in features.items()},
    )


def _write_training_set(paths: Sequence[Path], target: Path) -> None:
    """The rows of Spark's files one after the other as the training set's lines."""
    names = list(TRAINING_SET_COLUMNS)
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    with target.open("wb") as text:
        text.write((",".join(names) + "\n").encode())
        for path in paths:
            with parquet.ParquetFile(path) as source:
                schema = _renamed(source.schema_arrow.remove_metadata(), dict.fromkeys(names))
                with pa.csv.CSVWriter(text, schema, write_options=options) as lines:
                    for batch in source.iter_batches(_ROWS_AT_ONCE, columns=names):
                        lines.write_batch(batch.select(names))


def _unsigned(numbers: pa.Array) -> npt.NDArray[np.uint64]:
    signed: npt.NDArray[np.int64] = numbers.to_numpy()
    return signed.view(np.uint64)


def refused_by_rule(folder: Path, label_prefix: str) -> tuple[Counter[str], int]:
    """Refused rows by rule, one that breaks several counting for each; and how many of them are late labels.

    Args:
        folder: of ``source``, ``raw`` and ``reasons`` as Parquet files.
        label_prefix: opens the names of the rules that late labels break.
    """
    by_rule: Counter[str] = Counter()
    labels = 0
    for reasons in _batches(folder, "reasons"):
        rules = pc.struct_field(pc.list_flatten(reasons), "rule")
        pairs = pa.table({"row": pc.list_parent_indices(reasons), "rule": rules})
        distinct = pairs.group_by(["row", "rule"]).aggregate([])
        by_rule.update(counts_of(distinct["rule"]))
        is_label = pc.starts_with(distinct["rule"], label_prefix)
        labels += len(pc.unique(distinct["row"].filter(is_label)))
    return by_rule, labels


def _batches(folder: Path, name: str) -> Iterator[pa.Array]:
    for path in sorted(folder.glob("*.parquet")):
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[name]):
                yield batch[name]


def _writer(folder: Path, number: int, schema: pa.Schema) -> parquet.ParquetWriter:
    return parquet.ParquetWriter(folder / f"part-{number:05d}.parquet", schema, compression=_COMPRESSION)


def _renamed(schema: pa.Schema, names: Mapping[str, str | None]) -> pa.Schema:
    return pa.schema([schema.field(taken_from or name).with_name(name) for name, taken_from in names.items()])
