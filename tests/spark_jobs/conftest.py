"""One Spark session for all tests, and a lake for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from creditrisk.settings import Settings, file_url
from spark_jobs.session import start_session
from tests.spark_jobs.landing import Lake


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    settings = Settings(
        _env_file=None,
        var_dir=tmp_path_factory.mktemp("spark"),
        spark_master="local[2]",
        spark_jvm_options="-XX:TieredStopAtLevel=1",  # for a few rows, the second compiler costs more than it gains
    )
    session = start_session(settings, "tests")
    yield session
    session.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    settings = Settings(
        _env_file=None,
        var_dir=tmp_path / "var",
        lake_url=file_url(tmp_path / "a lake with spaces"),
        spark_master="local[2]",
    )
    return Lake(settings, spark)
