"""Alerts that wait for Postgres: in the lake, on disk and on S3, or where that is away on this machine."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from creditrisk.alert_store import NewAlert
from creditrisk.errors import StorageError
from creditrisk.kept_alerts import KeptAlerts, KeptEnd
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
    alerts = KeptAlerts((lake,))
    assert alerts.waiting() == []
    alerts.keep(AWAY, FIRST)
    alerts.keep(AWAY._replace(words="refused again"), LATER)
    (kept,) = alerts.waiting()
    assert (kept.alert, kept.started_at, kept.told, kept.is_due) == (AWAY, FIRST, frozenset(), True)
    for _ in range(2):
        kept.mark_told("log")
    kept.mark_told("sns")
    (told,) = alerts.waiting()
    assert told.told == {"log", "sns"}
    told.drop()
    assert alerts.waiting() == []
    assert lake.keys() == []
    alerts.keep(AWAY, LATER)
    (again,) = alerts.waiting()
    assert (again.started_at, again.told) == (LATER, frozenset())


def test_what_has_to_be_seen_twice_is_due_then(lake: Storage) -> None:
    alerts = KeptAlerts((lake,))
    for is_due in (False, True, True):
        alerts.keep(AWAY, FIRST, needs_another=True)
        assert [(kept.alert, kept.is_due) for kept in alerts.waiting()] == [(AWAY, is_due)]


def test_each_subject_is_kept_by_itself_oldest_first(lake: Storage) -> None:
    alerts = KeptAlerts((lake,))
    task = AWAY._replace(rule="task_failed", subject="train_model.train")
    alerts.keep(task, LATER)
    alerts.keep(AWAY, FIRST)
    assert [kept.alert for kept in alerts.waiting()] == [AWAY, task]


def test_an_end_is_kept_with_its_alert_or_by_itself_and_what_follows_waits_beside_it(lake: Storage) -> None:
    alerts, task = KeptAlerts((lake,)), AWAY._replace(rule="task_failed", subject="train_model.train")
    moments = [FIRST + timedelta(minutes=minutes) for minutes in range(5)]
    alerts.keep_end("task_failed", "train_model.train", "well again", moments[0])
    alerts.keep(task, moments[1])
    alerts.keep_end("task_failed", "train_model.train", "mended", moments[2])
    alerts.keep(task, moments[3])
    assert [(kept.subject, kept.alert, kept.started_at, kept.over) for kept in alerts.waiting()] == [
        (task.subject, None, moments[0], KeptEnd("well again", moments[0])),
        (task.subject, task, moments[1], KeptEnd("mended", moments[2])),
        (task.subject, task, moments[3], None),
    ]
    for kept in alerts.waiting():
        kept.drop()
    assert lake.keys() == []


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("alert.json", b'{"rule": "task_f'),
        ("alert.json", b"\xff"),
        ("alert.json", b"null"),
        ("alert.json", b"{}"),
        ("alert.json", b'{"rule": "task_failed", "started_at": "2021-01-31T12:00:00+00:00"}'),
        ("alert.json", {"urgency": "of another version"}),
        ("alert.json", {"words": 5}),
        ("alert.json", {"since": "yesterday"}),
        ("alert.json", {"started_at": "2021-01-31T12:00:00"}),
        ("over.json", b'{"because": "mended"}'),
    ],
)
def test_one_that_cannot_be_understood_is_logged_and_left_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, content: bytes | dict[str, object]
) -> None:
    lake = Storage(tmp_path.as_uri())
    alerts, task = KeptAlerts((lake,)), AWAY._replace(rule="task_failed", subject="train_model.train")
    alerts.keep(task, FIRST)
    (key,) = lake.keys()
    folder = key.removesuffix("/alert.json")
    if isinstance(content, dict):
        content = json.dumps(json.loads(lake.read(key)) | content).encode()
    if file == "alert.json":
        lake.remove(key)
    lake.create(f"{folder}/{file}", content)
    alerts.keep(AWAY, LATER)
    for _ in range(2):
        caplog.clear()
        assert [kept.alert for kept in alerts.waiting()] == [AWAY]
        (line,) = caplog.messages
        assert lake.url_of(folder) in line
    alerts.keep(task, LATER)
    for kept in alerts.waiting():
        assert kept.alert in (AWAY, task)
        kept.drop()
    assert all(key.startswith(f"{folder}/") for key in lake.keys("alerts"))
    assert lake.read(f"{folder}/{file}") == content


class TestLakeAway:
    @pytest.fixture
    def here(self, tmp_path: Path) -> Storage:
        return Storage((tmp_path / "this machine").as_uri())

    def test_it_waits_on_this_machine_and_says_so(self, here: Storage) -> None:
        alerts = KeptAlerts((Storage("file:///dev/null"), here))
        for _ in range(2):
            alerts.keep(AWAY, FIRST, needs_another=True)
        (kept,) = alerts.waiting()
        assert kept.alert.words.startswith(
            "refused The lake cannot be used either: file:///dev/null/alerts/kept"
        )
        assert (kept.place, kept.is_due) == (here, True)

    def test_one_that_comes_back_between_two_looks_leaves_it_where_it_waits(
        self, here: Storage, tmp_path: Path
    ) -> None:
        lake = Storage((tmp_path / "a lake").as_uri())
        KeptAlerts((Storage("file:///dev/null"), here)).keep(AWAY, FIRST, needs_another=True)
        KeptAlerts((lake, here)).keep(AWAY, LATER, needs_another=True)
        assert [kept.is_due for kept in KeptAlerts((lake, here)).waiting()] == [True]
        assert lake.keys() == []

    def test_a_machine_that_cannot_be_written_is_no_lake_that_is_away(self, here: Storage) -> None:
        alerts = KeptAlerts((here, Storage("file:///dev/null")))
        alerts.keep(AWAY, FIRST)
        assert [kept.alert for kept in alerts.waiting()] == [AWAY]

    def test_with_nowhere_to_keep_it_the_error_is_the_storages(self) -> None:
        nowhere = KeptAlerts((Storage("file:///dev/null"), Storage("file:///dev/zero")))
        with pytest.raises(StorageError, match="/dev/"):
            nowhere.keep(AWAY, FIRST)
        assert nowhere.waiting() == []


def test_what_cannot_be_removed_is_marked_as_taken_and_the_next_waits_beside_it(
    lake: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise StorageError("the bucket's policy forbids it")

    monkeypatch.setattr(Storage, "remove", refuses)
    monkeypatch.setattr(Storage, "remove_folder", refuses)
    alerts = KeptAlerts((lake,))
    for started_at in (FIRST, LATER):
        alerts.keep(AWAY, started_at)
        (kept,) = alerts.waiting()
        assert (kept.started_at, kept.told) == (started_at, frozenset())
        kept.mark_told("log")
        kept.drop()
        assert alerts.waiting() == []
