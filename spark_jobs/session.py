"""The Spark session of the job, started on its own or by ``spark-submit``."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyspark.sql import SparkSession

from creditrisk.settings import Settings
from spark_jobs.configuration import scratch_folder, spark_conf, spark_home

_STALE_SECONDS = 24 * 3600
_ROWS_PER_SHUFFLE_PARTITION = 400_000
_ROWS_WORTH_COMPILING = 20_000


def start_session(settings: Settings, name: str, event_log: Path | None = None) -> SparkSession:
    """A session configured as :func:`spark_jobs.configuration.spark_conf` says.

    Args:
        settings: this deployment's; under ``spark-submit``, its options and master win.
        name: the application's name.
        event_log: a folder to keep Spark's event log in, for its history server.
    """
    scratch = scratch_folder(settings)
    scratch.mkdir(parents=True, exist_ok=True)
    _remove_stale(scratch)
    builder = SparkSession.builder.appName(name)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # nobody has started the JVM yet
        os.environ.setdefault("SPARK_HOME", spark_home())  # its own way breaks on a path with a space
        # The launcher is a JVM of its own that lives for a moment.
        os.environ.setdefault(
            "SPARK_LAUNCHER_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
        )
        builder = builder.master(settings.spark_master)
        for key, value in spark_conf(settings).items():
            builder = builder.config(key, value)
    if event_log is not None:
        event_log.mkdir(parents=True, exist_ok=True)
        builder = builder.config("spark.eventLog.enabled", "true").config(
            "spark.eventLog.dir", event_log.as_uri()
        )
    session: SparkSession = builder.getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    # What the result depends on is not left to whoever submits.
    session.conf.set("spark.sql.csv.parser.columnPruning.enabled", "false")
    session.conf.set("spark.sql.optimizer.enableCsvExpressionOptimization", "false")
    session.conf.set("spark.sql.ansi.enabled", "true")
    size_shuffles(session, 0)
    return session


def size_shuffles(session: SparkSession, rows: int) -> None:
    """Set the number of shuffle partitions by the number of rows: many small ones cost, few large ones spill."""
    cores = session.sparkContext.defaultParallelism
    partitions = max(cores, -(-rows // _ROWS_PER_SHUFFLE_PARTITION))
    session.conf.set("spark.sql.shuffle.partitions", str(partitions))


@contextmanager
def without_generated_code(session: SparkSession, rows: int) -> Iterator[None]:
    """Plan what happens inside for few rows: to generate and compile code for them takes longer than they do."""
    if rows > _ROWS_WORTH_COMPILING:
        yield
        return
    wanted = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    before = {name: str(session.conf.get(name)) for name in wanted}
    for name, value in wanted.items():
        session.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            session.conf.set(name, value)


def _remove_stale(scratch: Path) -> None:
    """Remove what killed runs left; a running one touches its folder."""
    for folder in scratch.iterdir():
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder)
