"""What Spark is configured with, asked without pyspark, and the class-data archive's line for each outcome."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from creditrisk.settings import PROJECT_ROOT, Settings
from spark_jobs.class_data_archive import make_archive
from spark_jobs.configuration import archive_file, java_program, jvm_options, spark_conf


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, var_dir=tmp_path / "a var", spark_jvm_options="-Dmine=1")


def test_asking_for_the_configuration_imports_no_pyspark() -> None:
    code = (
        "import sys; from creditrisk.settings import load_settings; from spark_jobs.configuration import spark_conf;"
        "spark_conf(load_settings()); sys.exit('pyspark' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=True)


def test_nothing_listens_beyond_loopback_on_one_machine_alone(settings: Settings) -> None:
    assert spark_conf(settings)["spark.driver.bindAddress"] == "127.0.0.1"
    cluster = settings.model_copy(update={"spark_master": "spark://spark:7077"})
    assert "spark.driver.bindAddress" not in spark_conf(cluster)


def test_an_archive_is_used_once_it_is_there_and_ones_own_options_come_last(settings: Settings) -> None:
    archive = archive_file(settings)
    assert archive is not None
    assert "SharedArchiveFile" not in spark_conf(settings)["spark.driver.extraJavaOptions"]
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"classes")
    options = spark_conf(settings)["spark.driver.extraJavaOptions"]
    assert f'"-XX:SharedArchiveFile={archive}"' in options  # quoted: there is a space in it
    assert options.endswith(" -Dmine=1")
    assert make_archive(settings) == f"The class-data archive is there: {archive}"


def test_java_takes_the_options_and_says_nothing_of_them(settings: Settings) -> None:
    options = [option for each in jvm_options(settings) for option in shlex.split(each)]
    assert any(option.startswith("-XX:CompilerDirectivesFile=") for option in options)
    done = subprocess.run(
        [str(java_program()), *options, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0].startswith(("openjdk 17", "openjdk 21", "java 17", "java 21"))
    assert done.stderr == ""


def test_an_archive_of_another_java_is_another_file(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = archive_file(settings)
    java = settings.var_dir / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\n")
    monkeypatch.setenv("JAVA_HOME", str(settings.var_dir))
    assert archive_file(settings) != first


def test_without_java_there_is_no_archive_and_no_failure(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    assert make_archive(settings).startswith("No class-data archive: there is no java")


def test_a_java_that_fails_is_told_and_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = settings.var_dir / "jre" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(settings.var_dir / "jre"))
    assert make_archive(settings).startswith("No class-data archive, Spark will start slower: ")
    assert list((settings.var_dir / "spark").iterdir()) == []
