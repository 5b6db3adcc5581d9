from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from creditrisk.removals import Kind, record_removal, removal_of
from creditrisk.settings import file_url
from creditrisk.storage import Storage

FIRST = datetime(2026, 1, 1, 23, 30, tzinfo=timezone(timedelta(hours=-6)))


def test_a_removal_is_told_in_utc_and_its_first_record_stays(tmp_path: Path) -> None:
    lake = Storage(file_url(tmp_path))
    assert removal_of(lake, Kind.SNAPSHOT, "2020-12-31-aaaaaaaaaaaa") is None
    record_removal(lake, Kind.SNAPSHOT, "2020-12-31-aaaaaaaaaaaa", "kept for 9 days", FIRST)
    record_removal(lake, Kind.SNAPSHOT, "2020-12-31-aaaaaaaaaaaa", "again", datetime(2027, 1, 1, tzinfo=UTC))
    removal = removal_of(lake, Kind.SNAPSHOT, "2020-12-31-aaaaaaaaaaaa")
    assert removal
    assert removal.sentence == "removed by retention on 2026-01-02 (kept for 9 days)"
    assert removal.at == FIRST
    assert removal_of(lake, Kind.VERSION, "2020-12-31-aaaaaaaaaaaa") is None
