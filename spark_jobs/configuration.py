"""How Spark is configured, for whoever starts it. Imports no pyspark, so that a DAG may ask.

The JVM's options were chosen by measurement, see ``tests/benchmarks/bench_features.py``.
"""

import hashlib
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from creditrisk.settings import Settings

LOG_CONFIGURATION = Path(__file__).resolve().parent / "log4j2.properties"
COMPILER_DIRECTIVES = Path(__file__).resolve().parent / "compiler_directives.json"
ARCHIVES = "spark"


def spark_conf(settings: Settings) -> dict[str, str]:
    """Spark properties of the feature job; all but the master, which is the caller's to choose."""
    conf = {
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": " ".join(jvm_options(settings)),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(scratch_folder(settings)),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        # Pruned columns let short and long lines pass, and fields move.
        "spark.sql.csv.parser.columnPruning.enabled": "false",
        "spark.sql.optimizer.enableCsvExpressionOptimization": "false",
        # To plan each stage again when the one before is done costs more than it gains: what a join needs to know of
        # its sides is cached and counted before.
        "spark.sql.adaptive.enabled": "false",
        # The caller's line in the errors of every expression costs a call to the JVM each.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        # Rows are cached for seconds: to look for each column's best encoding costs more than it saves.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        # What does not fit into memory goes to disk in batches of some megabytes; of the usual hundred that the serializer
        # keeps hold of, the heap would be full.
        "spark.serializer.objectStreamReset": "4",
        # A window's rows stay in memory up to this many, instead of 4,096.
        "spark.sql.windowExec.buffer.in.memory.threshold": "65536",
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        "spark.sql.parquet.compression.codec": "zstd",
    }
    if is_local(settings.spark_master):
        conf |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return conf


def is_local(master: str) -> bool:
    """Whether Spark runs on this machine alone, in one process."""
    return master.startswith("local")


def scratch_folder(settings: Settings) -> Path:
    """Where Spark keeps shuffles and spilled rows while it runs."""
    return settings.var_dir.absolute() / "spark" / "scratch"


def jvm_options(settings: Settings, *, with_archive: bool = True) -> list[str]:
    """Options of the driver's JVM, quoted as Spark's launcher reads them."""
    options = [
        "-XX:+UseParallelGC",
        f"-Xms{settings.spark_driver_memory}",  # the heap would grow to it anyway, collection by collection
        "-XX:-UsePerfData",
        "-XX:MetaspaceSize=256m",  # Spark's classes fill the usual one twice, each time with a collection of everything
        # The code that Spark generates for 24 columns and a dozen rules is longer than what is compiled otherwise.
        "-XX:-DontCompileHugeMethods",
        # A job of half a minute pays a third of its processor time to the compilers, most of it for what plans and
        # generates code. They wait until a method or a loop has run some ten times as often as usual: what runs for
        # every row soon has.
        "-XX:Tier3InvocationThreshold=1000",
        "-XX:Tier3MinInvocationThreshold=500",
        "-XX:Tier3CompileThreshold=10000",
        "-XX:Tier4InvocationThreshold=200000",
        "-XX:Tier4MinInvocationThreshold=60000",
        "-XX:Tier4CompileThreshold=400000",
        "-XX:Tier4BackEdgeThreshold=400000",
        # The better of the two is left out for what plans, generates code and packs tasks: that is done in seconds.
        "-XX:+UnlockDiagnosticVMOptions",
        "-XX:-DisplayVMOutput",  # it would tell on standard output that it has read the file
        "-XX:CompileCommand=quiet",
        _quoted(f"-XX:CompilerDirectivesFile={COMPILER_DIRECTIVES}"),
        _quoted(f"-Dlog4j2.configurationFile=file:{quote(str(LOG_CONFIGURATION))}"),
    ]
    archive = archive_file(settings)
    if with_archive and archive is not None and archive.is_file():
        options += [_quoted(f"-XX:SharedArchiveFile={archive}"), "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    if settings.spark_jvm_options:
        options.append(settings.spark_jvm_options)
    return options


def archive_file(settings: Settings) -> Path | None:
    """Where the class-data archive for this Java and this Spark lies, made or not; None without Java."""
    java = java_program()
    if java is None:
        return None
    facts = java.stat()
    key = f"{java}\n{facts.st_size}\n{facts.st_mtime_ns}\n{version('pyspark')}\n{spark_home()}"
    return (
        settings.var_dir.absolute()
        / ARCHIVES
        / f"classes-{hashlib.sha256(key.encode()).hexdigest()[:12]}.jsa"
    )


def java_program() -> Path | None:
    """The Java that Spark will run: of ``JAVA_HOME``, else of the ``PATH``."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    return Path(found).resolve() if found and Path(found).is_file() else None


def spark_home() -> str:
    """The folder of the Spark that runs: ``SPARK_HOME``, else pyspark's own."""
    return os.environ.get("SPARK_HOME") or pyspark_home()


def pyspark_home() -> str:
    """The folder of the Spark that comes with pyspark."""
    from importlib.util import find_spec

    spec = find_spec("pyspark")  # finds it without importing it
    return str(Path(spec.origin or "").parent if spec else "")


def _quoted(option: str) -> str:
    return f'"{option}"' if " " in option else option
