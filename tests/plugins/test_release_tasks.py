"""The tasks of a stepwise release, on a real registry and decision log, without a scheduler."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.airflow_environment import prepare

prepare()

from airflow.sdk.exceptions import AirflowFailException  # noqa: E402

from creditrisk import release_ledger  # noqa: E402
from creditrisk.look_store import looks_at  # noqa: E402
from creditrisk.release import ReleaseAction, ReleaseRecord  # noqa: E402
from creditrisk.release_ledger import ReleaseLedger  # noqa: E402
from creditrisk.settings import Settings  # noqa: E402
from creditrisk.storage import Storage  # noqa: E402
from creditrisk.store_reader import StoreReader  # noqa: E402
from plugins import release_tasks  # noqa: E402
from plugins.approval import Approval  # noqa: E402
from plugins.judge_step import JudgeStep  # noqa: E402
from tests.logged_decisions import (  # noqa: E402
    APPROVED,
    CHALLENGER,
    CHAMPION,
    DECLINED,
    decision,
    log,
    paired,
)
from tests.planted_versions import plant  # noqa: E402

WHY = "better on new loans"
APPROVAL = {"approved": True, "by": "ben"}
REJECTION = {"approved": False, "by": "ben"}
NOBODY = {"approved": False, "by": None}


@pytest.fixture
def settings(market_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A market with a champion and a version that may challenge it; limits for a hundred customers."""
    database, publisher = market_settings.reader_database_url, market_settings.publisher_database_url
    assert database is not None
    assert publisher is not None
    environment: Mapping[str, str] = {
        "CREDITRISK_VAR_DIR": str(market_settings.var_dir),
        "CREDITRISK_MARKET": market_settings.market,
        "CREDITRISK_READER_DATABASE_URL": database.get_secret_value(),
        "CREDITRISK_PUBLISHER_DATABASE_URL": publisher.get_secret_value(),
        "CREDITRISK_CANARY__STEP_LEAST_SECONDS": "0",
        "CREDITRISK_CANARY__LEAST_CUSTOMERS": "100",
        "CREDITRISK_CANARY__APPROVAL_SHIFT_LIMIT": "0.1",
        "CREDITRISK_CANARY__PROBLEM_SHARE_LIMIT": "0.1",
        "CREDITRISK_CANARY__SLOW_SHARE_LIMIT": "0.1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for version in (CHAMPION, CHALLENGER):
        plant(Storage(market_settings.registry_root), version)
    release_ledger.promote(market_settings, CHAMPION, by="ana", reason="the first")
    log(market_settings, [])
    return market_settings


def newest(settings: Settings) -> ReleaseRecord:
    record = ReleaseLedger(Storage(settings.registry_root)).newest()
    assert record is not None
    return record


def answer(settings: Settings, challenger: float | None, count: int = 200) -> None:
    """Decisions of as many customers under the release in force, all of them approved by the champion."""
    now = datetime.now(UTC)
    scores = paired(APPROVED, challenger)
    log(
        settings,
        [
            decision(number, scores, release=newest(settings).number, decided_at=now)
            for number in range(count)
        ],
    )


def take(share: float, kept: list[dict[str, Any]] | None = None) -> dict[str, Any] | None:
    keep = (lambda _: None) if kept is None else kept.append
    return release_tasks.take_step(CHALLENGER, share, "ana", WHY, keep)


def test_a_version_is_taken_from_shadow_to_everybody_step_by_step(settings: Settings) -> None:
    assert release_tasks.start_shadow(CHALLENGER, "ana", WHY) == CHALLENGER
    for share in (0.0, 0.05, 0.5):
        assert take(share) is None  # nobody has asked yet
        assert (newest(settings).challenger, newest(settings).share) == (CHALLENGER, share)
        answer(settings, APPROVED)
        verdict = take(share)
        assert verdict is not None
        assert (verdict["finding"], verdict["customers"]) == ("go on", 200)
        assert verdict["step"]["release"] == newest(settings).number
    release = release_tasks.promote(CHALLENGER, "ana", APPROVAL, WHY)
    assert (release.action, release.champion, release.challenger) == (ReleaseAction.PROMOTE, CHALLENGER, None)
    assert (release.by, release.reason) == ("ben", f"{WHY} (released in steps by ana, approved)")
    assert release_tasks.promote(CHALLENGER, "ana", APPROVAL, WHY) == release
    assert release_tasks.settle(CHALLENGER, "ana", APPROVAL) == (
        f"Version {CHALLENGER} serves everybody since release {release.number}."
    )


def test_an_abort_is_one_record_one_message_and_a_kept_verdict(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    release_tasks.start_shadow(CHALLENGER, "ana", WHY)
    answer(settings, DECLINED)
    kept: list[dict[str, Any]] = []
    with caplog.at_level(logging.INFO), pytest.raises(AirflowFailException, match="approval rate"):
        take(0.0, kept)
    record = newest(settings)
    assert (record.action, record.champion, record.challenger, record.by) == (
        ReleaseAction.ABORT, CHAMPION, None, "ana",
    )  # fmt: skip
    assert record.reason.startswith("step of share 0: ")
    assert "challenger's less champion's: -1.0000" in record.reason
    assert kept[0]["finding"] == "abort"
    reader = StoreReader.of(settings)
    with reader.reading() as cursor:
        assert [look.verdict for look in looks_at(cursor, reader, [record.number - 1], 10)] == kept
    assert all(any(check["sentence"] in line for line in caplog.messages) for check in kept[0]["checks"])
    told = [line for line in caplog.messages if "A release was aborted: release 3\n" in line]
    assert len(told) == 1
    assert record.reason in told[0]
    assert f"Served: model {CHAMPION}, " in told[0]


def test_a_step_that_is_tried_again_after_the_end_of_the_challenge_starts_nothing(settings: Settings) -> None:
    release_tasks.start_shadow(CHALLENGER, "ana", WHY)
    ended = release_ledger.abort(settings, CHALLENGER, by="ben", reason="I do not like it")
    for share in (0.0, 0.25):
        with pytest.raises(AirflowFailException, match=r"release 3 \(abort, by ben\).*I do not like it"):
            take(share)
    with pytest.raises(AirflowFailException, match="is not the challenger"):
        release_tasks.promote(CHALLENGER, "ana", APPROVAL, WHY)
    assert newest(settings) == ended
    assert "its challenge has ended. Release 3" in release_tasks.settle(CHALLENGER, "ana", None)
    assert newest(settings) == ended


def test_a_cleared_earlier_step_does_not_shrink_the_share(settings: Settings) -> None:
    release_tasks.start_shadow(CHALLENGER, "ana", WHY)
    take(0.25)
    grown = newest(settings)
    assert take(0.05) is None
    assert newest(settings) == grown


@pytest.mark.parametrize(
    ("approval", "why"),
    [
        (REJECTION, "rejected by ben"),
        (NOBODY, "nobody approved it in time"),
        (None, "its run ended before it was promoted"),
        (APPROVAL, "its run ended after the approval and before it was promoted"),
    ],
)
def test_settling_ends_a_challenge_that_nobody_judges_any_more(
    settings: Settings, approval: dict[str, Any] | None, why: str
) -> None:
    release_tasks.start_shadow(CHALLENGER, "ana", WHY)
    words = release_tasks.settle(CHALLENGER, "ana", approval)
    assert words == f"Version {CHALLENGER} is aborted as challenger, {CHAMPION} serves everybody: {why}"
    assert (newest(settings).action, newest(settings).reason) == (ReleaseAction.ABORT, why)


def test_a_challenger_that_went_bad_while_an_operator_was_awaited_is_not_promoted(settings: Settings) -> None:
    release_tasks.start_shadow(CHALLENGER, "ana", WHY)
    answer(settings, None)
    with pytest.raises(AirflowFailException, match="the challenger failed on 200 of 200 requests"):
        release_tasks.promote(CHALLENGER, "ana", APPROVAL, WHY)
    assert (newest(settings).action, newest(settings).champion) == (ReleaseAction.ABORT, CHAMPION)


def test_an_approval_is_not_to_be_got_round(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    release_tasks.start_shadow(CHALLENGER, "ana", WHY)
    before = newest(settings)
    for nothing in (None, NOBODY, REJECTION):
        with pytest.raises(AirflowFailException, match="nobody has approved it"):
            release_tasks.promote(CHALLENGER, "ana", nothing, WHY)
    assert newest(settings) == before
    monkeypatch.setenv("CREDITRISK_CANARY__REQUIRES_APPROVAL", "false")
    release = release_tasks.promote(CHALLENGER, "ana", None, WHY)
    assert (release.champion, release.by) == (CHALLENGER, "ana")
    assert release.reason == f"{WHY} (released in steps by ana)"


def test_a_store_that_is_away_is_looked_at_again_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release_tasks.start_shadow(CHALLENGER, "ana", WHY)
    before = newest(settings)
    monkeypatch.setenv("CREDITRISK_READER_DATABASE_URL", "postgresql://creditrisk_reader:x@127.0.0.1:1/none")
    assert take(0.0) is None
    assert "Not judged this time" in caplog.messages[-1]
    assert newest(settings) == before


def test_a_step_that_the_form_leaves_out_is_passed_over() -> None:
    step = JudgeStep(
        version=CHALLENGER, share=0.25, interval=timedelta(minutes=5), timeout=timedelta(hours=1)
    )
    assert (step.task_id, step.reschedule) == ("share_25", True)
    passed = step.poke({"params": {"steps": ["5%", "50%"]}, "dag_run": None, "ti": None})
    assert passed.is_done
    assert passed.xcom_value == {"finding": "passed over"}


class _Task:
    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.kept[key] = value


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        ({"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "ben"}}, APPROVAL),
        ({"chosen_options": ["Reject"], "responded_by_user": {"id": "ben", "name": ""}}, REJECTION),
        ({"chosen_options": ["Reject"], "responded_by_user": None, "timedout": True}, NOBODY),
    ],
)
def test_an_answer_is_kept_also_where_it_is_a_rejection(
    event: dict[str, Any], answer: dict[str, Any]
) -> None:
    task = _Task()
    approval = Approval(
        task_id="approve", subject="Well?", defaults="Reject", response_timeout=timedelta(hours=1)
    )
    approval.execute_complete(
        {"ti": task, "task": approval}, {"params_input": {}, "responded_at": datetime.now(UTC), **event}
    )
    assert task.kept["answer"] == answer
