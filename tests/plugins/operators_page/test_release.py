from datetime import UTC, datetime, timedelta

from creditrisk.look_store import Look
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.settings import CanarySettings
from tests.airflow_environment import prepare

prepare()

from plugins.operators_page.airflow_runs import Run  # noqa: E402
from plugins.operators_page.release import challenges_of, figures_of, is_running, next_of  # noqa: E402

NOON = datetime(2021, 1, 10, 12, tzinfo=UTC)
OLD, NEW, NEXT = "2020-12-29-aaaaaaaaaa", "2020-12-30-bbbbbbbbbb", "2020-12-31-cccccccccc"
RUN = Run("release_model", "r", "running", "manual", "ana", NOON, NOON, None, {"version": f" {NEW} "})


def record(
    number: int, action: ReleaseAction, champion: str, challenger: str | None = None, share: float = 0.0
) -> ReleaseRecord:
    return ReleaseRecord(
        number=number, action=action, champion=champion, challenger=challenger, share=share, by="ana", reason="so", at=NOON
    )  # fmt: skip


HISTORY = [
    record(1, ReleaseAction.PROMOTE, OLD),
    record(2, ReleaseAction.CHALLENGE, OLD, NEW),
    record(3, ReleaseAction.GROW, OLD, NEW, 0.05),
    record(4, ReleaseAction.ABORT, OLD),
    record(5, ReleaseAction.CHALLENGE, OLD, NEXT),
    record(6, ReleaseAction.PROMOTE, NEXT),
    record(7, ReleaseAction.CHALLENGE, NEXT, NEW),
]


def test_a_history_is_told_as_challenges_from_beginning_to_end() -> None:
    found = challenges_of(HISTORY)
    assert [(one.version, one.champion, one.numbers, one.outcome) for one in found] == [
        (NEW, NEXT, [7], "running"),
        (NEXT, OLD, [5], "promoted"),
        (NEW, OLD, [2, 3], "aborted"),
    ]
    overtaken = challenges_of([*HISTORY[:3], record(4, ReleaseAction.ROLL_BACK, NEXT)])
    assert overtaken[0].outcome == "overtaken"
    assert challenges_of(HISTORY[:1]) == []


def test_what_happens_next_follows_from_the_step_the_limits_and_the_last_look() -> None:
    limits = CanarySettings(step_least_seconds=3600, step_longest_seconds=7200)
    shadow = challenges_of(HISTORY)[0]
    early = next_of(shadow, "wait", limits, NOON + timedelta(minutes=10), RUN)
    assert "50 min at least" in early[1]
    assert "share grows to 5 %" in early[1]
    assert "nothing is decided in 1 h 50 min" in early[2]
    assert "It said go on" in next_of(shadow, "go on", limits, NOON + timedelta(hours=1), RUN)[1]
    last = challenges_of([*HISTORY[:2], record(3, ReleaseAction.GROW, OLD, NEW, 0.5)])[0]
    assert "an operator is asked" in next_of(last, None, limits, NOON + timedelta(hours=1), RUN)[1]
    unasked = limits.model_copy(update={"requires_approval": False})
    assert "decides on everybody." in next_of(last, None, unasked, NOON + timedelta(hours=1), RUN)[1]
    assert next_of(shadow, None, limits, NOON, None)[0].startswith("No run of release_model judges")


def test_only_a_run_under_way_for_the_version_judges_it() -> None:
    assert is_running(RUN, NEW)
    assert not is_running(RUN, NEXT)
    assert not is_running(None, NEW)
    ended = Run("release_model", "r", "failed", "manual", "ana", NOON, NOON, NOON, {"version": NEW})
    assert not is_running(ended, NEW)


def test_each_judged_number_is_drawn_with_its_limit_and_those_not_judged_are_not() -> None:
    def check(name: str, value: float | None) -> dict[str, object]:
        return {
            "name": name,
            "value": value,
            "low": value,
            "high": value,
            "limit": 0.1,
            "finding": "wait",
            "sentence": "",
        }

    looks = [
        Look(
            2, NOON + timedelta(minutes=n), "wait", {"checks": [check("flips", n / 100), check("slow", None)]}
        )
        for n in range(3)
    ]
    ((words, figure),) = figures_of(looks)
    assert words == "Customers on whom the two decide differently"
    assert "3 values, the newest 2.00 %, the highest 2.00 %; limit 10.00 %" in figure.words
