"""How long the feature job takes, and where: ``python -m tests.benchmarks.bench_features``.

Each figure is a process of its own, started cold. Beside the job: its windows alone in Spark (start, read and
windows, nothing checked or written), by turns, and the same windows in pandas and in DuckDB. Times of one run are to be
compared with one another only; on a machine that is shared, processor seconds are steadier. Of the job's phases, "rules"
reads, "windows" writes a row a loan aside, and "write" makes the snapshot's files of it. ``BENCH_LARGE=1`` adds 40 million loans, ``--loans FILE`` measures a file of yours.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil

from creditrisk.settings import PROJECT_ROOT, Settings, file_url, load_settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotManifest
from creditrisk.storage import Storage
from local.generate_loans import generate_loans
from spark_jobs.class_data_archive import make_archive
from spark_jobs.configuration import archive_file

CUSTOMERS, DAYS = 36_457, 730
AS_OF = date(2020, 12, 31)
ROUNDS = 3
_SECONDS_BETWEEN_LOOKS_AT_MEMORY = 1.0  # each holds the process up, the longer the larger it is

SPARK_WINDOWS = """
import sys
from pyspark.sql import functions as F
from creditrisk.contract import RAW_COLUMNS
from creditrisk.settings import load_settings
from spark_jobs.session import start_session
from spark_jobs.transforms import with_copies_marked, with_features
spark = start_session(load_settings(), "windows alone")
spark.conf.set("spark.sql.shuffle.partitions", "4")
schema = ", ".join(f"{column.name} string" for column in RAW_COLUMNS)
rows = spark.read.schema(schema).option("header", True).csv(f"file:{sys.argv[1]}")
loans = rows.select(
    F.col("loan_id").try_cast("bigint").alias("loan_id"), F.col("id").try_cast("bigint").alias("id"),
    *(F.col(day).try_cast("date").alias(day) for day in ("loan_date", "birthday", "job_start_date")),
    (F.col("loan_amount").try_cast("decimal(18,6)") * 1000000).try_cast("bigint").alias("amount_micros"),
    (F.col("flag_own_car") == "Y").cast("int").alias("flag_own_car"),
    F.col("status").try_cast("int").alias("status"), "code_gender",
)
with_features(with_copies_marked(loans)).write.format("noop").mode("overwrite").save()
spark.stop()
"""

PANDAS_WINDOWS = """
import sys
import pandas as pd
names = ["loan_id", "id", "flag_own_car", "birthday", "job_start_date", "loan_date", "loan_amount", "status"]
loans = pd.read_csv(sys.argv[1], usecols=names, dtype={"birthday": str, "job_start_date": str, "loan_date": str})
for name in ("loan_id", "id", "loan_amount"):
    loans[name] = pd.to_numeric(loans[name], errors="coerce")
for name in ("birthday", "job_start_date", "loan_date"):
    loans[name] = pd.to_datetime(loans[name], format="%Y-%m-%d", errors="coerce")
loans = loans.dropna(subset=["loan_id", "id", "loan_date"]).sort_values(["id", "loan_date", "loan_id"])
by = loans.groupby("id")
loans["nb_previous_loans"] = by.cumcount()
days = loans.groupby(["id", "loan_date"], sort=False)["loan_amount"].agg(["sum", "count"]).reset_index()
before = days.groupby("id")[["sum", "count"]].cumsum() - days[["sum", "count"]]
days["avg_amount_loans_previous"] = (before["sum"] / before["count"]).where(before["count"] > 0)
loans = loans.merge(days[["id", "loan_date", "avg_amount_loans_previous"]], on=["id", "loan_date"])
loans["age"] = (loans["loan_date"] - loans["birthday"]).dt.days // 365
loans["years_on_the_job"] = ((loans["loan_date"] - loans["job_start_date"]).dt.days // 365).where(
    loans["job_start_date"] <= loans["loan_date"])
"""

DUCKDB_WINDOWS = """
import sys
import duckdb
duckdb.connect(config={"threads": 2}).execute(f'''
    create temp table features as
    with loans as (
        select try_cast(loan_id as bigint) loan_id, try_cast(id as bigint) id, flag_own_car,
            try_cast(loan_date as date) loan_date, try_cast(birthday as date) birthday,
            try_cast(job_start_date as date) job_start_date, try_cast(loan_amount as decimal(18, 6)) loan_amount
        from read_csv(?, header = true, all_varchar = true, ignore_errors = true))
    select *, datediff('day', birthday, loan_date) // 365 age,
        case when job_start_date <= loan_date then datediff('day', job_start_date, loan_date) // 365 end years_on_the_job,
        row_number() over (partition by id order by loan_date, loan_id) - 1 nb_previous_loans,
        avg(loan_amount) over (partition by id order by loan_date
            range between unbounded preceding and interval 1 day preceding) avg_amount_loans_previous
    from loans''', [sys.argv[1]])
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall time, processor time and peak memory of a process and all below it."""

    seconds: float
    processor_seconds: float
    megabytes: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, processor {self.processor_seconds:.0f} s, peak {self.megabytes:,.0f} MB"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--loans", type=Path, help="a loans file of yours, measured beside the generated ones"
    )
    parser.add_argument("--small", action="store_true", help="leave 8 million loans out")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench features ") as name:
        folder = Path(name)
        settings = Settings(_env_file=None, var_dir=folder / "var", lake_url=file_url(folder / "lake"))
        print(make_archive(settings))
        measure_start(settings)
        files = [asked.loans] if asked.loans else []
        times = [1] if asked.small else [1, 10]
        if os.environ.get("BENCH_LARGE"):
            times.append(50)
        for path in files:
            measure_file(settings, path.absolute(), with_others=True)
        for factor in times:
            path = folder / f"loans-{factor}.csv"
            generate_loans(path, CUSTOMERS * factor, DAYS, 7, AS_OF)
            measure_file(settings, path, with_others=factor == 1)
            path.unlink()


def measure_start(settings: Settings) -> None:
    """Print how long a session takes to start, with and without the class-data archive."""
    code = "from creditrisk.settings import load_settings; from spark_jobs.session import start_session;"
    code += "start_session(load_settings(), 'start').range(1).count()"
    archive = archive_file(settings)
    with_archive = run(settings, [sys.executable, "-c", code])
    print(f"start to first answer, with the class-data archive: {with_archive.seconds:.1f} s")
    if archive is not None and archive.is_file():
        aside = archive.with_suffix(".aside")
        archive.rename(aside)
        without = run(settings, [sys.executable, "-c", code])
        aside.rename(archive)
        print(f"start to first answer, without: {without.seconds:.1f} s")


def measure_file(settings: Settings, path: Path, *, with_others: bool) -> None:
    """Print what the job takes for a file, and the same windows by other means."""
    if not with_others:
        print(told(run_job(settings, path), newest(settings)), flush=True)
        return
    ratios = []
    for _ in range(ROUNDS):
        whole = run_job(settings, path)
        print(told(whole, newest(settings)), flush=True)
        windows = run(settings, alone(SPARK_WINDOWS, path))
        ratios.append(whole.seconds / windows.seconds)
        print(f"  windows alone, Spark: {windows}; the job takes {ratios[-1]:.2f} times as long", flush=True)
    print(f"  of {ROUNDS} rounds, the median: {statistics.median(ratios):.2f} times as long", flush=True)
    for name, code in (("pandas", PANDAS_WINDOWS), ("DuckDB", DUCKDB_WINDOWS)):
        print(f"  windows alone, {name}: {run(settings, alone(code, path))}", flush=True)


def told(job: Cost, manifest: SnapshotManifest) -> str:
    """A line on a run of the job."""
    rows = manifest.counts.rows_in
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in manifest.timings_seconds.items())
    return f"{rows:,} rows: {job.seconds / rows * 1e6:.1f} µs a row; {job}; {phases}"


def alone(code: str, path: Path) -> list[str]:
    """The command that works windows out and nothing else."""
    return [sys.executable, "-W", "ignore", "-c", code, str(path)]


def run_job(settings: Settings, path: Path) -> Cost:
    """Run the job into an empty lake, so that the manifest there is this run's own."""
    lake = load_settings(lake_url=settings.lake_url).lake_root
    shutil.rmtree(Storage(lake).local_root or "", ignore_errors=True)
    return run(
        settings,
        [sys.executable, "-m", "spark_jobs.build_features", f"--as-of={AS_OF}", f"--loans={path}"],
    )


def run(settings: Settings, command: list[str]) -> Cost:
    """Run a command to its end and the end of what it started; fails loudly where it fails."""
    environment = os.environ | {
        "CREDITRISK_VAR_DIR": str(settings.var_dir),
        "CREDITRISK_LAKE_URL": settings.lake_url,
        "CREDITRISK_SPARK_MASTER": "local[2]",
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak, processor, measured = 0.0, {}, 0.0
    root = psutil.Process(process.pid)
    while process.poll() is None:
        now = time.perf_counter()
        try:
            family = (root, *root.children(recursive=True))
            for each in family:
                times = each.cpu_times()
                processor[each.pid] = times.user + times.system
            if now - measured >= _SECONDS_BETWEEN_LOOKS_AT_MEMORY:
                # What is shared counts once.
                peak = max(peak, sum(each.memory_full_info().pss for each in family) / (1 << 20))
                measured = now
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.25)
    seconds = time.perf_counter() - started
    assert process.stderr is not None
    if process.returncode:
        raise SystemExit(process.stderr.read()[-3000:])
    process.stderr.close()
    return Cost(seconds, sum(processor.values()), peak)


def newest(settings: Settings) -> SnapshotManifest:
    """The manifest of the snapshot that is in force."""
    catalog = SnapshotCatalog(Storage(load_settings(lake_url=settings.lake_url).lake_root))
    current = catalog.current(AS_OF)
    assert current is not None
    return catalog.manifest(current)


if __name__ == "__main__":
    main()
