"""Snapshot ids, the commit, what is in force, verdicts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from creditrisk.errors import SnapshotDamaged, SnapshotMissing, SnapshotNotPassed
from creditrisk.settings import file_url
from creditrisk.snapshots import (
    Check,
    QualityReport,
    RowCounts,
    SnapshotCatalog,
    SnapshotId,
    SnapshotManifest,
    Verdict,
)
from creditrisk.storage import Storage

DAY = date(2020, 12, 31)
FIRST, SECOND = SnapshotId(DAY, "ab12cd34ef56"), SnapshotId(DAY, "000000000001")


@pytest.fixture
def catalog(tmp_path: Path) -> SnapshotCatalog:
    return SnapshotCatalog(Storage(file_url(tmp_path)))


def manifest_of(snapshot: SnapshotId, **changes: Any) -> SnapshotManifest:
    counts = RowCounts(
        rows_in=3,
        kept=2,
        repeated=0,
        quarantined=1,
        later=0,
        loans=2,
        customers=1,
        labels_in=0,
        labels_quarantined=0,
    )
    values: dict[str, Any] = {
        "snapshot": str(snapshot),
        "market": "mx",
        "as_of": snapshot.as_of,
        "landed_until": snapshot.as_of,
        "content_hash": snapshot.hash12 + "0" * 52,
        "loans_digest": "2:7",
        "customers_digest": "1:9",
        "quarantine_digest": "1:3",
        "contract_fingerprint": "f" * 16,
        "code_version": "abc",
        "created_at": datetime(2021, 1, 1, tzinfo=UTC),
        "inputs": [],
        "counts": counts,
        "quarantined_by_rule": {"missing_key": 1},
        "newest_loan_date": snapshot.as_of,
        "features": {},
        "files": {},
        "timings_seconds": {},
    }
    return SnapshotManifest.model_validate({**values, **changes})


def contents(catalog: SnapshotCatalog) -> dict[str, bytes]:
    keys = catalog.lake.keys()
    return {key: catalog.lake.read(key) for key in keys}


def report_of(snapshot: SnapshotId, verdict: Verdict, hour: int = 1) -> QualityReport:
    check = Check(
        name="quarantined_share",
        value=0.3,
        warn_limit=0.1,
        fail_limit=0.2,
        verdict=verdict,
        sentence="30 % quarantined",
    )
    return QualityReport(
        snapshot=str(snapshot),
        verdict=verdict,
        compared_with=None,
        judged_at=datetime(2021, 1, 1, hour, tzinfo=UTC),
        checks=[check],
    )


def test_an_id_is_read_back() -> None:
    assert SnapshotId.parse(str(FIRST)) == FIRST
    assert FIRST.folder == "features/2020-12-31/ab12cd34ef56"
    assert FIRST.quarantine_folder == "quarantine/2020-12-31/ab12cd34ef56"


@pytest.mark.parametrize(
    "text", ["", "2020-12-31", "2020-02-30-ab12cd34ef56", "2020-12-31-AB12CD34EF56", "../../x"]
)
def test_what_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(SnapshotMissing, match="not an id of the form"):
        SnapshotId.parse(text)


def test_a_snapshot_exists_once_its_manifest_does(catalog: SnapshotCatalog) -> None:
    catalog.lake.create(f"{FIRST.folder}/features.csv", b"loan_id\n")
    assert not catalog.exists(FIRST)
    assert catalog.current(DAY) is None
    with pytest.raises(SnapshotMissing, match=str(FIRST)):
        catalog.manifest(FIRST)
    catalog.commit(manifest_of(FIRST))
    assert catalog.manifest(FIRST) == manifest_of(FIRST)
    assert catalog.current(DAY) == FIRST


def test_committing_the_same_content_again_changes_nothing(catalog: SnapshotCatalog) -> None:
    catalog.commit(manifest_of(FIRST))
    before = contents(catalog)
    catalog.commit(manifest_of(FIRST, created_at=datetime(2022, 1, 1, tzinfo=UTC)))
    assert contents(catalog) == before


def test_the_last_one_committed_is_in_force(catalog: SnapshotCatalog) -> None:
    for snapshot in (FIRST, SECOND, FIRST):
        catalog.commit(manifest_of(snapshot))
    assert catalog.current(DAY) == FIRST
    assert catalog.lake.names(f"features/{DAY}") == [f"current-000{number}.json" for number in (1, 2, 3)]


def test_racing_commits_end_with_one_of_them_in_force(catalog: SnapshotCatalog) -> None:
    snapshots = [SnapshotId(DAY, f"{number:012x}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda snapshot: catalog.commit(manifest_of(snapshot)), snapshots))
    assert catalog.current(DAY) in snapshots


def test_the_newest_date_is_the_newest_snapshot(catalog: SnapshotCatalog) -> None:
    with pytest.raises(SnapshotMissing, match="refresh_features"):
        catalog.newest()
    later = SnapshotId(date(2021, 1, 1), "ffffffffffff")
    catalog.commit(manifest_of(later))
    catalog.commit(manifest_of(FIRST))
    assert catalog.newest() == later
    assert catalog.dates() == [DAY, later.as_of]


def test_a_snapshot_is_usable_only_with_a_pass_or_a_warning(catalog: SnapshotCatalog) -> None:
    catalog.commit(manifest_of(FIRST))
    with pytest.raises(SnapshotNotPassed, match="not judged it yet"):
        catalog.require_passed(FIRST)
    catalog.record_quality(report_of(FIRST, Verdict.FAIL))
    with pytest.raises(SnapshotNotPassed, match="30 % quarantined"):
        catalog.require_passed(FIRST)
    catalog.record_quality(report_of(FIRST, Verdict.WARN))
    assert catalog.require_passed(FIRST) == manifest_of(FIRST)


def test_a_verdict_is_written_once_and_a_new_one_beside_it(catalog: SnapshotCatalog) -> None:
    catalog.commit(manifest_of(FIRST))
    for report in (
        report_of(FIRST, Verdict.FAIL, 1),
        report_of(FIRST, Verdict.FAIL, 2),
        report_of(FIRST, Verdict.PASS, 3),
    ):
        catalog.record_quality(report)
    assert catalog.lake.names(FIRST.folder) == ["manifest.json", "quality-0002.json", "quality.json"]
    assert catalog.quality(FIRST) == report_of(FIRST, Verdict.PASS, 3)


def test_a_manifest_that_cannot_be_read_names_the_field(catalog: SnapshotCatalog) -> None:
    catalog.lake.create(f"{FIRST.folder}/manifest.json", b'{"snapshot": 7}')
    with pytest.raises(SnapshotDamaged, match=rf"snapshot {FIRST}: manifest.json: snapshot: Input should be"):
        catalog.manifest(FIRST)
