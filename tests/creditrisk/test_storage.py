"""Storage on a local folder and on a real S3 server."""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from creditrisk.errors import ObjectExists, ObjectMissing, StorageError
from creditrisk.settings import file_url
from creditrisk.storage import Storage, spark_path


@pytest.fixture(params=["file", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return Storage(request.getfixturevalue("s3_url"))
    return Storage(file_url(tmp_path / "a lake%20with odd näme"))


def test_an_empty_folder_has_nothing(storage: Storage) -> None:
    assert storage.keys() == []
    assert storage.folders("features") == []
    assert storage.names("features") == []
    assert not storage.exists("features/manifest.json")


def test_what_is_created_is_read_back(storage: Storage) -> None:
    storage.create("features/2020-12-31/a b.json", b'{"rows": 3}')
    assert storage.read("features/2020-12-31/a b.json") == b'{"rows": 3}'
    assert storage.exists("features/2020-12-31/a b.json")


def test_nothing_is_overwritten(storage: Storage) -> None:
    storage.create("releases/00000001.json", b"first")
    with pytest.raises(ObjectExists, match=r"releases/00000001\.json: exists already"):
        storage.create("releases/00000001.json", b"second")
    assert storage.read("releases/00000001.json") == b"first"


def test_of_sixteen_racing_writers_one_wins(storage: Storage) -> None:
    def write(writer: int) -> bool:
        try:
            storage.create("race", str(writer).encode())
        except ObjectExists:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(write, range(16)))
    assert won.count(True) == 1
    assert storage.read("race") == str(won.index(True)).encode()


def test_reading_what_is_not_there_names_it(storage: Storage) -> None:
    with pytest.raises(ObjectMissing, match=r"nope/manifest\.json: no such object"):
        storage.read("nope/manifest.json")


def test_folders_names_and_keys_are_listed_one_level_and_deep(storage: Storage) -> None:
    for key in ("m/2/x", "m/1/deep/y", "m/top.json", "mm/other"):
        storage.create(key, b"")
    assert storage.folders("m") == ["1", "2"]
    assert storage.names("m") == ["top.json"]
    assert storage.keys("m") == ["m/1/deep/y", "m/2/x", "m/top.json"]
    assert storage.folders() == ["m", "mm"]


def test_a_file_goes_up_and_comes_down_whole(storage: Storage, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 4096)
    storage.create("big", source)
    storage.download("big", target)
    assert target.read_bytes() == source.read_bytes()


def test_downloading_what_is_not_there_leaves_no_file(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        storage.download("nope", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_unfinished_work_is_removed_and_its_neighbours_stay(storage: Storage) -> None:
    for key in ("v/1/a", "v/1/b/c", "v/12/a"):
        storage.create(key, b"")
    storage.remove_unfinished("v/1")
    storage.remove_unfinished("v/nothing-there")
    assert storage.keys() == ["v/12/a"]


def test_a_folder_is_removed_with_what_is_below_and_its_neighbours_stay(storage: Storage) -> None:
    for key in ("v/1/a", "v/1/b/c", "v/12/a", "w/1/deep/er"):
        storage.create(key, b"")
    for folder in ("v/1", "w/1", "v/nothing-there"):
        storage.remove_folder(folder)
    assert storage.keys() == ["v/12/a"]
    if storage.local_root:
        assert sorted(path.name for path in storage.local_root.rglob("*")) == ["12", "a", "v"]


def test_an_object_is_removed_and_may_be_gone_already(storage: Storage) -> None:
    storage.create("v/a", b"1")
    for _ in range(2):
        storage.remove("v/a")
    assert not storage.exists("v/a")
    storage.create("v/a", b"2")
    assert storage.read("v/a") == b"2"


def test_a_folders_newest_change_is_that_of_its_newest_object(storage: Storage) -> None:
    assert storage.newest_change("v") is None
    begun = datetime.now(UTC) - timedelta(seconds=2)  # S3 knows whole seconds
    storage.create("v/deep/a", b"")
    first = storage.newest_change("v")
    assert first
    assert begun <= first <= datetime.now(UTC) + timedelta(seconds=2)
    if storage.local_root:
        os.utime(storage.local_root / "v/deep/a", (0, 0))
        storage.create("v/b", b"")
        newest = storage.newest_change("v")
        assert newest
        assert newest >= begun
        assert storage.newest_change("v/deep") == datetime.fromtimestamp(0, UTC)


def test_wrong_credentials_are_an_error_without_the_secret(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(StorageError) as raised:
        Storage(s3_url).read("x")
    assert "another-secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_patience_ends_with_a_server_that_is_silent_and_changes_nothing_with_one_that_answers(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(s3_url, patience=timedelta(seconds=5))
    storage.create("a", b"1")
    assert storage.read("a") == b"1"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        with pytest.raises(StorageError, match="error sending request"):
            Storage(s3_url, patience=timedelta(seconds=0.3)).names()
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("url", ["http://host/x", "/plain/path", "file://host/x", "s3://", "ftp:///x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(StorageError, match="not a file:///folder or s3://bucket/folder URL"):
        Storage(url)


def test_spark_reads_the_same_place() -> None:
    assert spark_path("file:///data/a%20b/raw") == "file:/data/a b/raw"
    assert spark_path("s3://bucket/lake/raw") == "s3a://bucket/lake/raw"
    with pytest.raises(StorageError):
        spark_path("http://host/x")
