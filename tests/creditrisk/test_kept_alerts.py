"""Alerts that wait in the lake, on disk and on S3."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from creditrisk.alert_store import NewAlert
from creditrisk.kept_alerts import drop_kept, keep_alert, kept_alerts, mark_told
from creditrisk.storage import Storage

FIRST, LATER = datetime(2021, 1, 31, 12, tzinfo=UTC), datetime(2021, 1, 31, 12, 5, tzinfo=UTC)
AWAY = NewAlert("store_away", "", "critical", "refused", date(2021, 1, 31), "model m", "mend it", "docs#x")


@pytest.fixture(params=["file", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "file":
        return Storage((tmp_path / "a lake").as_uri())
    url: str = request.getfixturevalue("s3_url")
    return Storage(url)


def test_it_is_kept_once_with_who_has_been_told_until_it_is_dropped(lake: Storage) -> None:
    assert kept_alerts(lake) == []
    keep_alert(lake, AWAY, FIRST)
    keep_alert(lake, AWAY._replace(words="refused again"), LATER)
    (kept,) = kept_alerts(lake)
    assert (kept.alert, kept.started_at, kept.told) == (AWAY, FIRST, frozenset())
    for _ in range(2):
        mark_told(lake, kept, "log")
    mark_told(lake, kept, "sns")
    (told,) = kept_alerts(lake)
    assert told.told == {"log", "sns"}
    drop_kept(lake, told)
    assert kept_alerts(lake) == []
    keep_alert(lake, AWAY, LATER)
    (again,) = kept_alerts(lake)
    assert (again.started_at, again.told) == (LATER, frozenset())


def test_each_subject_is_kept_by_itself_oldest_first(lake: Storage) -> None:
    task = AWAY._replace(rule="task_failed", subject="train_model.train")
    keep_alert(lake, task, LATER)
    keep_alert(lake, AWAY, FIRST)
    assert [kept.alert for kept in kept_alerts(lake)] == [AWAY, task]
