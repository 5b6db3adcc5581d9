"""What several packages' tests stand on: a real PostgreSQL, a market of its own in it, a real S3 server."""

import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql

from creditrisk.settings import Settings
from local import postgres as embedded
from tests.s3 import s3_server, s3_url

__all__ = ["s3_server", "s3_url"]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Urls]:
    """A PostgreSQL server of this test run, with the roles' URLs."""
    folder = tmp_path_factory.mktemp("a server") / "var"
    settings = Settings(_env_file=None, var_dir=folder, postgres_port=free_port())
    urls = embedded.start(settings)
    try:
        yield urls
    finally:
        embedded.stop(settings)


@pytest.fixture
def market_settings(postgres: embedded.Urls, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a market that nothing has been published for: own schema, lake, registry and ``var``."""
    settings = Settings(
        _env_file=None,
        var_dir=tmp_path / "var of a market",
        market=f"t{uuid.uuid4().hex[:12]}",
        publisher_database_url=postgres.publisher,
        service_database_url=postgres.service,
        reader_database_url=postgres.reader,
    )
    yield settings
    with (
        closing(psycopg2.connect(postgres.publisher)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SET lock_timeout = '10s'")
        cursor.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(settings.database_schema))
        )
