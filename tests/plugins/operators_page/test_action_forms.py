from datetime import UTC, datetime

import pytest

from creditrisk.release import ReleaseAction, ReleaseRecord
from tests.airflow_environment import prepare

prepare()

from plugins.operators_page.action_forms import ACTIONS  # noqa: E402

OLD, NEW, NEXT = "2020-12-29-aaaaaaaaaa", "2020-12-30-bbbbbbbbbb", "2020-12-31-cccccccccc"
SERVED = "2021-01-09-ab12cd34ef56"
BY_NAME = {action.name: action for action in ACTIONS}


def record(number: int, champion: str, challenger: str | None = None, share: float = 0.0) -> ReleaseRecord:
    action = ReleaseAction.GROW if challenger else ReleaseAction.PROMOTE
    at = datetime(2021, 1, number, tzinfo=UTC)
    return ReleaseRecord(
        number=number, action=action, champion=champion, challenger=challenger, share=share, by="ana", reason="so", at=at
    )  # fmt: skip


HISTORY = [record(1, OLD), record(2, NEW)]
CHALLENGED = [*HISTORY, record(3, NEW, NEXT, 0.25)]


def said(name: str, history: list[ReleaseRecord], **form: str) -> str:
    action = BY_NAME[name]
    return " ".join(action.says(action.read(form), history, SERVED))


def test_each_says_what_it_does_of_the_release_in_force() -> None:
    assert f"{NEXT} decides on every customer instead of {NEW}" in said("promote", HISTORY, version=NEXT)
    assert "nothing will change" in said("promote", HISTORY, version=NEW)
    assert f"ends the challenge of {NEXT}" in said("promote", CHALLENGED, version=OLD)
    assert "ends the challenge" not in said("promote", CHALLENGED, version=NEXT)
    assert f"snapshot {SERVED} goes on being served" in said("roll-back", HISTORY, to=OLD)
    assert "has never served" in said("roll-back", HISTORY, to=NEXT)
    assert "It decides on 25% of the customers now" in said("abort", CHALLENGED, version=NEXT)
    assert "nothing will change" in said("abort", HISTORY, version=NEXT)
    assert "first as a shadow" in said("release", HISTORY, version=NEXT)
    assert "abort that first" in said("release", CHALLENGED, version=OLD)
    assert "the run will refuse" in said("release", [], version=OLD)


def test_running_a_night_again_says_whether_it_would_be_served() -> None:
    assert "switched to in one moment" in said("rerun", HISTORY, as_of="2021-01-10")
    assert "will not be published" in said("rerun", HISTORY, as_of="2021-01-08")
    assert "SERVED INSTEAD" in said("rerun", HISTORY, as_of="2021-01-08", publish_older="yes")
    assert "landed by 2021-01-12" in said("rerun", HISTORY, as_of="2021-01-10", landed_until="2021-01-12")


def test_a_dag_is_handed_what_its_form_takes() -> None:
    rerun = BY_NAME["rerun"]
    form = rerun.read({"as_of": " 2021-01-10 ", "publish_older": "yes", "other": "x"})
    assert rerun.conf(form) == {"as_of": "2021-01-10", "landed_until": None, "publish_older": True}
    assert BY_NAME["abort"].filled({"version": "", "reason": ""}, CHALLENGED) == {
        "version": NEXT,
        "reason": "",
    }
    assert BY_NAME["roll-back"].filled({"to": "", "reason": ""}, HISTORY)["to"] == OLD


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_an_empty_form_says_what_is_needed(action: object) -> None:
    problems = action.problems(action.read({}))  # type: ignore[attr-defined]
    assert problems
    assert all(words.endswith(": is needed") for words in problems.values())


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("promote", {"version": "2020-12-29-AAAAAAAAAA", "reason": "long enough"}),
        ("promote", {"version": OLD, "reason": "x" * 1001}),
        ("rerun", {"as_of": "2021-02-30"}),
        ("rerun", {"as_of": "20210203"}),
        ("rerun", {"as_of": "2021-02-03", "landed_until": "tomorrow"}),
        ("rerun", {"as_of": "2021-02-03", "publish_older": "true"}),
    ],
)
def test_a_value_that_breaks_its_rule_is_named(name: str, form: dict[str, str]) -> None:
    action = BY_NAME[name]
    assert len(action.problems(action.read(form))) == 1
