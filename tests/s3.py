"""A real S3 server (SeaweedFS), started once for all tests that want one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.store import S3Store

ACCESS_KEY, SECRET_KEY = "storage-tests", "only-for-this-run"
_TRIES = 3


def _free_port() -> int:
    """A free port whose number plus 10000 is free too: the server listens there for gRPC."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if port > 50_000:
                continue
            try:
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a running S3 server."""
    for _ in range(_TRIES):
        folder = tmp_path_factory.mktemp("s3")
        server, endpoint = _start(folder)
        if _is_up(endpoint, server):
            break
        _end(server)  # a port was taken between being found free and being used
    else:
        raise AssertionError(f"the S3 server did not start:\n{(folder / 'log.txt').read_text()[-2000:]}")
    yield endpoint
    _end(server)


def _start(folder: Path) -> tuple["subprocess.Popen[bytes]", str]:
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: _free_port() for name in ("master", "volume", "filer", "s3")}
    command = [
        *(str(Path(sys.executable).with_name("weed")), "-logtostderr=true", "server", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.volumeSizeLimitMB=64"),
        *(f"-{name}.port={ports[name]}" for name in ("master", "volume", "filer", "s3")),
        *("-volume.max=0", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.autoCreateBucket=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),  # none: they would have fixed ports
    ]
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
            env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
        )
    return server, f"http://127.0.0.1:{ports['s3']}"


def _end(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _is_up(endpoint: str, server: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx.get(endpoint, timeout=2)
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return True
    return False


@pytest.fixture
def s3_url(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new, empty bucket; ``AWS_*`` point at the server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    _make_bucket(s3_server, bucket)
    obstore.list_with_delimiter(S3Store(bucket))  # fails where the bucket is not there
    return f"s3://{bucket}/lake"


def _make_bucket(endpoint: str, bucket: str) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.create_bucket(Bucket=bucket)
    client.close()
