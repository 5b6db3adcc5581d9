"""A snapshot's files, made from the rows that Spark wrote aside: batch by batch, in bounded memory.

Spark computes a row a loan with all that the files need, and writes it once. Taking columns and rows of it out, and
counting whole numbers, is a matter of a second a million rows here, and was a Spark job each there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as parquet

from creditrisk.contract import COLUMN_ROLES, TRAINING_SET_COLUMNS

LOANS, CUSTOMERS, TRAINING_SET = "loans", "customers", "features.csv"
_ROWS_AT_ONCE = 1 << 17
_COMPRESSION = "zstd"


def write_snapshot_files(
    spooled: Path, folder: Path, online_names: Mapping[str, str], counted_names: Mapping[str, str]
) -> dict[str, Counter[int]]:
    """Write the loans, the customers and the training set.

    Args:
        spooled: a folder of Parquet files, see :func:`spark_jobs.transforms.snapshot_rows`.
        folder: the snapshot's.
        online_names: by the customers' column, the column it is taken from in rows that are ``is_newest``.
        counted_names: by feature, the int column whose values are counted.

    Returns:
        By feature, rows by value; missing values are left out.
    """
    counted: dict[str, Counter[int]] = {feature: Counter() for feature in counted_names}
    for name in (LOANS, CUSTOMERS):
        (folder / name).mkdir(parents=True)
    with (folder / TRAINING_SET).open("wb") as text:
        text.write((",".join(TRAINING_SET_COLUMNS) + "\n").encode())
        for number, path in enumerate(sorted(spooled.glob("*.parquet"))):
            _split(path, number, folder, text, online_names, counted, counted_names)
    return counted


def _split(
    path: Path,
    number: int,
    folder: Path,
    text: BinaryIO,
    online_names: Mapping[str, str],
    counted: dict[str, Counter[int]],
    counted_names: Mapping[str, str],
) -> None:
    """One of Spark's files into one of the loans, one of the customers, and the training set's next lines."""
    with ExitStack() as files:
        source = files.enter_context(parquet.ParquetFile(path))
        schema = source.schema_arrow.remove_metadata()
        loans = files.enter_context(
            _writer(folder / LOANS, number, _renamed(schema, dict.fromkeys(COLUMN_ROLES)))
        )
        customers = files.enter_context(_writer(folder / CUSTOMERS, number, _renamed(schema, online_names)))
        lines = files.enter_context(
            pa.csv.CSVWriter(
                text,
                _renamed(schema, dict.fromkeys(TRAINING_SET_COLUMNS)),
                write_options=pa.csv.WriteOptions(include_header=False, quoting_style="none"),
            )
        )
        for batch in source.iter_batches(_ROWS_AT_ONCE):
            loans.write_batch(batch.select(list(COLUMN_ROLES)))
            lines.write_batch(batch.select(list(TRAINING_SET_COLUMNS)))
            newest = batch.filter(batch["is_newest"]).select(list(online_names.values()))
            if newest.num_rows:
                customers.write_batch(newest.rename_columns(list(online_names)))
            for feature, name in counted_names.items():
                counted[feature].update(_counts(batch[name]))


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
        by_rule.update(_counts(distinct["rule"]))
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


def _counts(values: pa.Array) -> dict[Any, int]:
    counts = pc.value_counts(values.drop_null())
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))
