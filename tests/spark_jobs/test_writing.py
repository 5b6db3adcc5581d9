"""Moving a staged snapshot into the lake: runs of one date and content at the same moment, and what killed runs left."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Barrier

import pytest

from creditrisk.settings import Settings, file_url
from creditrisk.snapshots import RowCounts, SnapshotCatalog, SnapshotId, SnapshotManifest
from creditrisk.storage import Storage
from spark_jobs.writing import QUARANTINE, SNAPSHOT, Outcome, commit, file_hashes, staging_folder

DAY = date(2020, 12, 31)
RUNS = 8
COUNTS = RowCounts(
    rows_in=1, kept=1, repeated=0, quarantined=0, later=0, loans=1, customers=1, labels_in=0, labels_quarantined=0
)  # fmt: skip


def stage(folder: Path, text: str) -> SnapshotManifest:
    """Files of one content, that differ from run to run in how they lie on disk; their manifest."""
    for name in ("loans/part-00000.parquet", "customers/part-00000.parquet", "features.csv"):
        path = folder / SNAPSHOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name} {text}")
    (folder / QUARANTINE).mkdir()
    (folder / QUARANTINE / f"{text}.parquet").write_text(text)
    return manifest_of("a" * 64, file_hashes(folder / SNAPSHOT))


def manifest_of(content: str, files: dict[str, str]) -> SnapshotManifest:
    return SnapshotManifest(
        snapshot=str(SnapshotId(DAY, content[:12])), market="mx", as_of=DAY, landed_until=DAY, content_hash=content,
        loans_digest="", customers_digest="", quarantine_digest="", contract_fingerprint="", code_version="",
        created_at=datetime.now(UTC), inputs=[], counts=COUNTS, quarantined_by_rule={}, newest_loan_date=None,
        features={}, files=files, timings_seconds={},
    )  # fmt: skip


def assert_whole(lake: Storage) -> None:
    """The manifest names what is there, all of it and nothing else; the quarantine is one run's."""
    catalog = SnapshotCatalog(lake)
    current = catalog.current(DAY)
    assert current is not None
    there = {
        key.removeprefix(f"{current.folder}/"): hashlib.sha256(lake.read(key)).hexdigest()
        for key in lake.keys(current.folder)
        if not key.endswith("/manifest.json")
    }
    assert catalog.manifest(current).files == there
    assert sorted(re.split("[-./]", key)[0] for key in there) == ["customers", "features", "loans"]
    assert len(lake.keys(current.quarantine_folder)) == 1


@pytest.fixture(params=["disk", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = file_url(tmp_path / "a lake") if request.param == "disk" else request.getfixturevalue("s3_url")
    return Settings(_env_file=None, var_dir=tmp_path / "var", lake_url=url)


@pytest.mark.parametrize("same_bytes", [True, False])
def test_of_runs_that_commit_one_content_at_the_same_moment_one_does_and_none_is_damaged(
    settings: Settings, same_bytes: bool
) -> None:
    together = Barrier(RUNS)

    def run(number: int) -> Outcome:
        lake = Storage(settings.lake_root)
        with staging_folder(settings, lake, DAY) as staged:
            manifest = stage(staged, "0" if same_bytes else str(number))
            together.wait(30)
            return commit(SnapshotCatalog(lake), staged, manifest)

    with ThreadPoolExecutor(RUNS) as pool:
        outcomes = list(pool.map(run, range(RUNS)))
    assert outcomes.count(Outcome.NEW) == 1
    assert_whole(Storage(settings.lake_root))


def test_what_a_killed_run_left_of_the_same_content_is_not_taken_for_this_runs(settings: Settings) -> None:
    lake = Storage(settings.lake_root)
    catalog = SnapshotCatalog(lake)
    snapshot = SnapshotId(DAY, "a" * 12)
    lake.create(f"{snapshot.folder}/loans/part-00000.parquet", b"half")
    lake.create(f"{snapshot.folder}/loans/part-00009.parquet", b"of more partitions")
    lake.create(f"{snapshot.quarantine_folder}/left.parquet", b"left")
    with staging_folder(settings, lake, DAY) as staged:
        assert commit(catalog, staged, stage(staged, "mine")) is Outcome.NEW
    assert_whole(lake)
    with staging_folder(settings, lake, DAY) as staged:
        assert commit(catalog, staged, stage(staged, "again")) is Outcome.UNCHANGED
    assert_whole(lake)


def test_content_that_comes_back_is_in_force_again(settings: Settings) -> None:
    lake = Storage(settings.lake_root)
    catalog = SnapshotCatalog(lake)
    outcomes = []
    for content in ("a" * 64, "b" * 64, "a" * 64, "a" * 64):
        with staging_folder(settings, lake, DAY) as staged:
            stage(staged, content[0])
            manifest = manifest_of(content, file_hashes(staged / SNAPSHOT))
            outcomes.append(commit(catalog, staged, manifest))
        assert catalog.current(DAY) == SnapshotId(DAY, content[:12])
    assert outcomes == [Outcome.NEW, Outcome.NEW, Outcome.IN_FORCE_AGAIN, Outcome.UNCHANGED]
