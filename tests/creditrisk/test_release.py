"""Who serves after promotions and rollbacks, and who served when."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk.errors import NothingReleased, NothingToRollBackTo, ReleaseError
from creditrisk.release import (
    ReleaseAction,
    ReleaseRecord,
    promotion,
    rollback,
    rollback_target,
    served_at,
)

START = datetime(2021, 1, 1, tzinfo=UTC)


def played(*acts: str) -> list[ReleaseRecord]:
    """The history of acts an hour apart: a version's name promotes it, ``<`` rolls back, ``<A`` rolls back to A."""
    history: list[ReleaseRecord] = []
    for hour, act in enumerate(acts):
        at = START + timedelta(hours=hour)
        if act.startswith("<"):
            record = rollback(history, by="eve", reason="late loans", at=at, to=act[1:] or None)
        else:
            record = promotion(history[-1] if history else None, act, by="ada", reason="better", at=at)
        if not history or record != history[-1]:
            history.append(record)
    return history


def test_the_first_promotion_is_record_one() -> None:
    assert played("A") == [
        ReleaseRecord(
            number=1, action=ReleaseAction.PROMOTE, champion="A", by="ada", reason="better", at=START
        )
    ]


def test_a_rollback_is_one_more_record() -> None:
    last = played("A", "B", "<")[-1]
    assert (last.number, last.action, last.champion, last.by, last.reason) == (
        3,
        ReleaseAction.ROLL_BACK,
        "A",
        "eve",
        "late loans",
    )


@pytest.mark.parametrize(
    ("acts", "champion"),
    [
        (["A", "B", "<"], "A"),
        (["A", "B", "C", "<", "<"], "A"),
        (["A", "B", "C", "<", "C", "<"], "B"),
        (["A", "B", "A", "<"], "B"),
        (["A", "B", "A", "<", "<"], "A"),
        (["A", "B", "<", "C", "<"], "A"),
        (["A", "B", "C", "<A", "D", "<"], "A"),
        (["A", "B", "C", "<", "<C", "<"], "B"),
        (["A", "B", "<B"], "B"),
    ],
)
def test_a_rollback_goes_to_what_served_before(acts: list[str], champion: str) -> None:
    assert played(*acts)[-1].champion == champion


@pytest.mark.parametrize("acts", [["A"], ["A", "A"], ["A", "B", "<"], ["A", "B", "C", "<A"]])
def test_nothing_served_before_the_first(acts: list[str]) -> None:
    with pytest.raises(NothingToRollBackTo, match="A is the first that has served"):
        rollback_target(played(*acts))


def test_a_rollback_without_any_release_is_told() -> None:
    with pytest.raises(NothingReleased):
        played("<")


def test_a_rollback_to_what_never_served_is_told() -> None:
    with pytest.raises(NothingToRollBackTo, match="version X: has never served"):
        played("A", "B", "<X")


def test_promoting_what_serves_changes_nothing() -> None:
    assert len(played("A", "A")) == 1


@pytest.mark.parametrize(("by", "reason", "field"), [(" ", "r", "by"), ("ada", "\n", "reason")])
def test_a_record_names_who_and_why(by: str, reason: str, field: str) -> None:
    with pytest.raises(ReleaseError, match=f"^{field}: empty"):
        promotion(None, "A", by=by, reason=reason, at=START)
    with pytest.raises(ReleaseError, match=f"^{field}: empty"):
        rollback(played("A", "B"), by=by, reason=reason, at=START)


def test_a_clock_that_is_behind_does_not_reorder_records() -> None:
    first = played("A")[-1]
    second = promotion(first, "B", by="ada", reason="better", at=START - timedelta(minutes=5))
    assert second.at == first.at
    assert served_at([first, second], START) == second


def test_who_served_at_a_time() -> None:
    history = played("A", "B", "<")
    times = [-1, 0, 0.5, 1, 1.9, 2, 99]
    served = [served_at(history, START + timedelta(hours=hours)) for hours in times]
    assert [record.champion if record else None for record in served] == [None, "A", "A", "B", "B", "A", "A"]


@given(st.lists(st.sampled_from(["A", "B", "C", "<"]), max_size=25))
def test_rolling_back_walks_towards_the_first_release_and_ends_there(acts: list[str]) -> None:
    history = played("A")
    for act in acts:
        try:
            history = _extended(history, act)
        except NothingToRollBackTo:
            assert act == "<"
    for _ in range(len(history)):
        try:
            history = _extended(history, "<")
        except NothingToRollBackTo:
            break
    assert history[-1].champion == "A"
    assert [record.number for record in history] == list(range(1, len(history) + 1))


def _extended(history: list[ReleaseRecord], act: str) -> list[ReleaseRecord]:
    at = history[-1].at + timedelta(hours=1)
    if act == "<":
        record = rollback(history, by="eve", reason="late loans", at=at)
    else:
        record = promotion(history[-1], act, by="ada", reason="better", at=at)
    return history if record == history[-1] else [*history, record]
