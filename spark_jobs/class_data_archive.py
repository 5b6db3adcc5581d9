"""Makes the class-data archive that Spark's JVM starts from: its classes, parsed and verified once.

    python -m spark_jobs.class_data_archive

The archive lies under ``var_dir`` and is good for one Java and one pyspark; :func:`spark_conf` uses it where it
is there. It is made by a run of the job itself on a handful of loans. Without it the job starts slower, so what
goes wrong here is told and stops nothing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from creditrisk.contract import RAW_COLUMNS
from creditrisk.settings import PROJECT_ROOT, Settings, file_url, load_settings
from spark_jobs.configuration import archive_file, jvm_options, spark_conf, spark_home

_SECONDS = 300
_CUSTOMERS, _LOANS_EACH = 40, 6
_LANDED = date(2020, 12, 31)


def make_archive(settings: Settings) -> str:
    """Make the archive unless it is there; a line that says what was done, or why not."""
    archive = archive_file(settings)
    if archive is None:
        return "No class-data archive: there is no java on the PATH or in JAVA_HOME."
    if archive.is_file():
        return f"The class-data archive is there: {archive}"
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(f".{os.getpid()}.unfinished")
    try:
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            problem = _run_job(settings, Path(folder), unfinished)
        if problem or not unfinished.is_file():
            return f"No class-data archive, Spark will start slower: {problem or 'the JVM wrote none'}"
        for old in archive.parent.glob("classes-*.jsa"):
            old.unlink()  # of another Java or Spark
        unfinished.replace(archive)
    except OSError as error:
        return f"No class-data archive, Spark will start slower: {error}"
    finally:
        unfinished.unlink(missing_ok=True)
    return f"Made the class-data archive {archive} ({archive.stat().st_size >> 20} MB)"


def sample_loans() -> str:
    """A loans file that takes the job through its usual paths: good rows, late labels, a refused row, a conflict."""
    lines = [",".join(column.name for column in RAW_COLUMNS)]
    for number in range(_CUSTOMERS * _LOANS_EACH):
        day = _LANDED - timedelta(days=number % 300)
        amount = "-1" if number == 1 else f"{100 + number}.5"
        lines.append(
            f"{number},{number % _CUSTOMERS},F,Y,N,0,1000.0,Working,Higher,Married,House,-12000,-900,1,0,0,0,,2.0,"
            f"{number % 2},1987-09-25,2016-11-09,{day},{amount}"
        )
    lines.append(lines[3].replace("1000.0", "2000.0"))  # the same loan once more, and not the same
    return "\n".join(lines) + "\n"


def _run_job(settings: Settings, folder: Path, archive: Path) -> str:
    """Run the job on sample loans in a JVM that writes the archive as it ends; what went wrong, or nothing."""
    loans, labels = folder / "loans.csv", folder / "labels.csv"
    loans.write_text(sample_loans())
    labels.write_text("loan_id,status,known_on\n7,1,2020-12-30\n")
    options = [*jvm_options(settings, with_archive=False), f'"-XX:ArchiveClassesAtExit={archive}"']
    conf = spark_conf(settings) | {"spark.driver.extraJavaOptions": " ".join(options)}
    command = [
        str(Path(spark_home()) / "bin" / "spark-submit"),
        "--master=local[2]",
        *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
        str(PROJECT_ROOT / "spark_jobs" / "build_features.py"),
        f"--as-of={_LANDED}",
        f"--lake={file_url(folder / 'lake')}",
        f"--loans={loans}",
        f"--labels={labels}",
    ]
    environment = os.environ | {
        "SPARK_HOME": spark_home(),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the sample run took more than {_SECONDS} seconds"
    finally:
        shutil.rmtree(folder / "lake", ignore_errors=True)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-2000:]


if __name__ == "__main__":
    print(make_archive(load_settings()))
