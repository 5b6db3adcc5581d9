"""Landed files as rows of text, losing nothing: what cannot be read as fields is kept as a malformed line.

Spark's CSV source reads a reordered header by position, and passes short lines, long lines and broken quotes. So each
file's header is read beforehand, files are grouped by it, every line is taken whole, and its fields are then read by
name.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StructType, TimestampNTZType, TimestampType

from creditrisk.contract import RawColumn
from creditrisk.errors import ReadingUnsound
from creditrisk.settings import file_url
from creditrisk.storage import Storage, spark_path
from spark_jobs.landed import NOT_BLANK, Header, LandedFile, LandedFiles
from spark_jobs.parsing import plain_line

_BROKEN = "__broken"
_NO_COMMA = "\ufdd0"  # stands for a comma in a text; by Unicode's rule it is in none
_MOST_FIELDS = 20_000  # Spark's CSV parser makes room for 20,480
_GLOB_CHARACTERS = str.maketrans({character: f"\\{character}" for character in "\\*?[]{}"})


@dataclass(frozen=True, slots=True)
class LandedRows:
    """Every row of the landed files, as text.

    ``rows`` has ``raw`` (the line as it landed; of a Parquet row, its fields as CSV), ``source`` (the file's key),
    ``landed`` (its day), ``header`` (the number of the CSV file's header, null for Parquet), ``is_header`` (the line is
    the file's header, there or once more), ``is_plain`` (see :func:`spark_jobs.parsing.plain_line`) and ``canonical``:
    the fields' texts in the contract's order, joined by commas. It is there for plain lines and Parquet rows; other lines
    are few and read by :func:`with_fields`.
    """

    rows: DataFrame
    headers: tuple[Header, ...]


def read_rows(
    spark: SparkSession, landed: LandedFiles, headers: dict[LandedFile, Header], columns: Sequence[RawColumn]
) -> LandedRows | None:
    """Every row of the landed files, each line whole; None without files."""
    groups: dict[tuple[bool, Header], list[LandedFile]] = defaultdict(list)
    for file, header in headers.items():
        groups[file.is_parquet, header].append(file)
    csv_headers = tuple(header for is_parquet, header in groups if not is_parquet)
    parts: list[DataFrame] = []
    for (is_parquet, header), files in groups.items():
        if is_parquet:  # types may differ from file to file
            parts += [_parquet_rows(spark, landed, [file], columns) for file in files]
        else:
            parts.append(_csv_rows(spark, landed, files, csv_headers.index(header), header, columns))
    return LandedRows(reduce(DataFrame.unionByName, parts), csv_headers) if parts else None


def with_fields(rows: DataFrame, headers: tuple[Header, ...], columns: Sequence[RawColumn]) -> DataFrame:
    """Rows with ``is_malformed``, and with ``canonical`` in every row; in a malformed one it means nothing.

    Returns:
        ``raw``, ``source``, ``landed``, ``header``, ``canonical`` and ``is_malformed``.
    """
    # Each line is parsed once, in a column of its own: several expressions look at it.
    names = ("raw", "source", "landed", "header", "canonical")
    parsed = rows.select(
        *names, *(_parsed(number, header).alias(f"fields_{number}") for number, header in enumerate(headers))
    )
    # Parquet's own, which is the raw text where it is missing.
    canonical = F.coalesce("canonical", "raw")
    is_malformed = F.contains(canonical, F.lit('"'))
    for number in range(len(headers)):
        is_of_header = F.col("header").eqNullSafe(number)
        fields = F.col(f"fields_{number}")
        texts = [fields[column.name] for column in columns]
        canonical = F.when(is_of_header, _canonical(texts)).otherwise(canonical)
        is_malformed = F.when(is_of_header, _is_broken(fields, texts)).otherwise(is_malformed)
    return parsed.select(
        *names[:-1],
        canonical.alias("canonical"),
        is_malformed.alias("is_malformed"),
    )


def local_copy(landed: LandedFiles, folder: Path) -> LandedFiles:
    """The same files on this machine's disk; those that are there already stay where they are."""
    if landed.root.local_root is not None:
        return landed
    for file in landed.files:
        target = folder / file.key
        target.parent.mkdir(parents=True, exist_ok=True)
        landed.root.download(file.key, target)
    return LandedFiles(Storage(file_url(folder)), landed.files)


def _csv_rows(
    spark: SparkSession,
    landed: LandedFiles,
    files: list[LandedFile],
    number: int,
    header: Header,
    columns: Sequence[RawColumn],
) -> DataFrame:
    by_name = {column.name: column for column in columns}
    names = [column.name for column in columns]
    lines = spark.read.text(_paths(landed, files)).select(
        F.col("value").rlike(plain_line([by_name[name] for name in header.names])).alias("is_plain"),
        "value",
        _key(landed, files).alias("source"),
    )
    is_plain = F.col("is_plain")
    # Of bytes that are no UTF-8, the replacement character stays: later readers take none. A plain line has neither.
    raw = F.when(is_plain, F.col("value")).otherwise(F.make_valid_utf8("value"))
    canonical = F.col("value")
    if header.names != tuple(names):
        texts = F.split("value", ",", -1)
        canonical = F.concat_ws(",", *(F.get(texts, header.names.index(name)) for name in names))
    return lines.select(
        raw.alias("raw"),
        "source",
        _landed(files).alias("landed"),
        F.lit(number).alias("header"),
        (F.col("value") == F.lit(header.line)).alias("is_header"),
        "is_plain",
        F.when(is_plain, canonical).alias("canonical"),
    ).where(F.col("is_plain") | F.col("raw").rlike(NOT_BLANK))


def _parsed(number: int, header: Header) -> Column:
    """The fields of a line of this header, ``struct`` by the header's names; null of any other."""
    schema = ", ".join(f"`{name}` string" for name in (*header.names, _BROKEN))
    options = {"columnNameOfCorruptRecord": _BROKEN, "mode": "PERMISSIVE", "escape": '"'}
    # The parser raises on a line of more fields than it has room for; only a long line can have that many.
    commas = F.length("raw") - F.length(F.replace("raw", F.lit(","), F.lit("")))
    is_readable = (F.length("raw") < _MOST_FIELDS) | (commas < _MOST_FIELDS)
    return F.when(F.col("header").eqNullSafe(number) & is_readable, F.from_csv("raw", schema, options))


def _is_broken(fields: Column, texts: list[Column]) -> Column:
    """Whether a line has too few or too many fields, or broken quotes."""
    quote = F.lit('"')
    quotes = F.length("raw") - F.length(F.replace("raw", quote, F.lit("")))
    has_broken_quotes = F.contains("raw", quote) & (
        F.contains(F.concat_ws("", *texts), quote) | (quotes % 2 == 1)
    )
    return fields.isNull() | fields[_BROKEN].isNotNull() | F.coalesce(has_broken_quotes, F.lit(False))


def _parquet_rows(
    spark: SparkSession, landed: LandedFiles, files: list[LandedFile], columns: Sequence[RawColumn]
) -> DataFrame:
    rows = spark.read.parquet(*_paths(landed, files))
    texts = {column.name: _as_text(rows.schema, column.name) for column in columns}
    raw = F.concat_ws(",", *(F.coalesce(text, F.lit("")) for text in texts.values()))
    return rows.select(
        raw.alias("raw"),
        _key(landed, files).alias("source"),
        _landed(files).alias("landed"),
        raw.rlike(plain_line(columns)).alias("is_plain"),
        _canonical(list(texts.values())).alias("canonical"),
        F.lit(False).alias("is_header"),
        F.lit(None).cast("int").alias("header"),
    )


def _canonical(texts: list[Column]) -> Column:
    """One text for a row, the same for the same fields in whatever order of columns; a plain line is its own.

    :func:`field_texts` takes it apart again.
    """
    return F.concat_ws(
        ",", *(F.replace(F.coalesce(text, F.lit("")), F.lit(","), F.lit(_NO_COMMA)) for text in texts)
    )


def field_texts(canonical: Column) -> Column:
    """The fields' texts, ``array<string>``."""
    return F.transform(
        F.split(canonical, ",", -1), lambda text: F.replace(text, F.lit(_NO_COMMA), F.lit(","))
    )


def _as_text(schema: StructType, name: str) -> Column:
    """A Parquet value as the CSV would say it; midnight of a timestamp column is a date."""
    value = F.col(f"`{name}`")
    if isinstance(schema[name].dataType, TimestampType | TimestampNTZType):
        day = value.cast("date")
        return F.when(value == day.cast(schema[name].dataType), day.cast("string")).otherwise(
            value.cast("string")
        )
    if isinstance(schema[name].dataType, DoubleType):  # 1.0E7 otherwise
        whole = F.abs(value) >= F.lit(1e7)
        exact = value.try_cast("decimal(38,6)").cast("string")
        shortened = F.regexp_replace(exact, r"(\.\d)(\d*?)0+$", "$1$2")
        return F.coalesce(F.when(whole, shortened), value.cast("string"))
    return value.cast("string")


def _paths(landed: LandedFiles, files: list[LandedFile]) -> list[str]:
    return [spark_path(landed.root.url_of(file.key)).translate(_GLOB_CHARACTERS) for file in files]


def _key(landed: LandedFiles, files: list[LandedFile]) -> Column:
    """The file's key below the input's root, escaped as in its URL: escapes hold no slash."""
    if len(files) == 1:
        return F.lit(landed.root.url_of(files[0].key).removeprefix(f"{landed.root.url}/"))
    parts = len(spark_path(landed.root.url).split("/"))
    path = F.col("_metadata.file_path")
    return F.substr(path, F.length(F.substring_index(path, "/", parts)) + 2)


def file_key(source: str) -> str:
    """A row's ``source`` as the file's key."""
    return unquote(source)


def _landed(files: list[LandedFile]) -> Column:
    """The day a row's file landed: one for all files, or the name of the first folder of its key."""
    days = {file.landed for file in files}
    if len(days) == 1:
        return F.lit(days.pop())
    folder = F.substring_index("source", "/", 1).try_cast("date")
    today: list[date] = [file.landed for file in files if "/" not in file.key]
    # A name alone may begin with a date, too.
    return F.when(F.contains("source", F.lit("/")), folder).otherwise(F.lit(today[0])) if today else folder


def rows_by_file(rows: Any, landed: LandedFiles) -> list[tuple[LandedFile, int]]:
    """Counts by ``source`` matched with their files; a file without a row counts 0.

    Raises:
        ReadingUnsound: a row names no file of these, or a file was replaced while it was read.
    """
    counts = {file_key(row["source"]): int(row["rows"]) for row in rows}
    strange = counts.keys() - {file.key for file in landed.files}
    if strange:
        raise ReadingUnsound(f"{landed.root.url}: rows of files that were not asked for: {sorted(strange)}")
    headless = {file_key(row["source"]) for row in rows if not row["headers"]}
    replaced = [file.key for file in landed.files if file.key in headless and not file.is_parquet]
    if replaced:
        raise ReadingUnsound(f"{landed.root.url}: replaced while they were read: {replaced}")
    return [(file, counts.get(file.key, 0)) for file in landed.files]
