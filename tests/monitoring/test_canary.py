from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from creditrisk.settings import CanarySettings
from monitoring.canary import CanaryVerdict, Step, judge
from monitoring.canary_checks import CanaryCheck, Finding
from monitoring.step_evidence import Approvals, StepEvidence

BEGAN = datetime(2021, 1, 1, 12, tzinfo=UTC)
LIMITS = CanarySettings(step_least_seconds=60, step_longest_seconds=3600, least_customers=1000)


def step(seconds: float = 600) -> Step:
    return Step(
        release=7,
        champion="2020-12-31-aaaaaaaaaa",
        challenger="2020-12-31-bbbbbbbbbb",
        share=0.25,
        since=BEGAN,
        judged_at=BEGAN + timedelta(seconds=seconds),
    )


def evidence(customers: int = 20_000, **changes: object) -> StepEvidence:
    """Two versions that differ on 2 % of the customers, evenly, and are equally fast."""
    flips = customers // 100
    scores = Counter({180: customers // 2, 190: customers - customers // 2})
    sound = StepEvidence(
        decisions=2 * customers,
        challengers_customers=customers // 2,
        timings=Counter({(60, 70): 2 * customers}),
        approvals=Approvals(customers - 10 * flips, flips, flips, 8 * flips),
        champion_scores=scores,
        challenger_scores=scores,
    )
    return replace(sound, **changes)  # type: ignore[arg-type]


def check(verdict: CanaryVerdict, name: str) -> CanaryCheck:
    return next(check for check in verdict.checks if check.name == name)


def test_a_sound_challenger_goes_on_with_every_number_and_limit() -> None:
    verdict = judge(step(), evidence(), LIMITS)
    assert verdict.finding is Finding.GO_ON
    assert (verdict.decisions, verdict.customers, verdict.filled_up) == (40_000, 20_000, 0)
    assert verdict.microseconds == {
        "champion": {"median": 60, "p99": 60},
        "challenger": {"median": 70, "p99": 70},
    }
    shift = check(verdict, "approval_shift")
    assert (shift.value, shift.limit, shift.finding) == (0.0, 0.03, Finding.GO_ON)
    assert -0.03 < shift.low < 0 < shift.high < 0.03  # type: ignore[operator]
    assert check(verdict, "flips").value == 0.02
    assert check(verdict, "score_shift").value == 0.0
    assert CanaryVerdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_a_sound_challenger_waits_while_it_has_seen_few() -> None:
    for customers in (0, 1, 10, 100, 500):
        verdict = judge(step(), evidence(customers), LIMITS)
        assert verdict.finding is Finding.WAIT, customers
        assert f"{customers:,} customers are scored by both, at least 1,000 are asked for" in verdict.reasons


def test_no_small_sample_aborts_by_chance() -> None:
    """A few of whatever may happen to a sound challenger: two flips one way, one slow row, one failure."""
    unlucky = evidence(
        3,
        approvals=Approvals(1, 2, 0, 0),
        timings=Counter({(60, 5000): 1, (60, 70): 2}),
        problems=Counter({"IndexError: once": 1}),
        challenger_scores=Counter({300: 3}),
    )
    assert judge(step(), unlucky, LIMITS).finding is Finding.WAIT


def test_a_step_takes_its_time_however_clear_the_numbers() -> None:
    verdict = judge(step(seconds=59), evidence(), LIMITS)
    assert (verdict.finding, verdict.reasons) == (
        Finding.WAIT,
        ["the step has taken 59 s, at least 60 s are asked for"],
    )


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "problems",
            {"problems": Counter({"IndexError: index 9 is out of bounds": 800, "KeyError: x": 3})},
            "failed on 803 of 40,000 requests: 0.0201 (0.0174 to 0.0229) is above 0.01: IndexError: index 9",
        ),
        ("fallbacks", {"fallbacks": 400, "challengers_customers": 10_000}, "stood in on 400 of 10,000"),
        (
            "slow",
            {"timings": Counter({(60, 70): 38_000, (60, 1001): 2_000})},
            "over 1000 µs with the challenger alone on 2,000, with the champion alone on 0 of 40,000",
        ),
        ("flips", {"approvals": Approvals(14_000, 1_500, 1_500, 3_000)}, "on 3,000 of 20,000 customers"),
        (
            "approval_shift",
            {"approvals": Approvals(16_000, 1_000, 200, 2_800)},
            "challenger's less champion's: -0.0400 (-0.0469 to -0.0335) is beyond ±0.03",
        ),
        ("score_shift", {"challenger_scores": Counter({250: 20_000})}, "is above 2"),
    ],
)
def test_a_challenger_that_is_beyond_a_limit_is_aborted_for_it(
    name: str, changes: dict[str, object], words: str
) -> None:
    verdict = judge(step(), evidence(**changes), LIMITS)  # type: ignore[arg-type]
    assert verdict.finding is Finding.ABORT
    assert verdict.reasons == [check(verdict, name).sentence]
    assert words in verdict.reasons[0]


def test_an_approval_rate_that_rises_is_as_bad_as_one_that_falls() -> None:
    verdict = judge(step(), evidence(approvals=Approvals(16_000, 200, 1_000, 2_800)), LIMITS)
    assert verdict.finding is Finding.ABORT
    assert "+0.0400" in verdict.reasons[0]


def test_what_lies_across_a_limit_waits_for_more() -> None:
    verdict = judge(step(), evidence(approvals=Approvals(16_300, 800, 250, 2_650)), LIMITS)
    assert check(verdict, "approval_shift").finding is Finding.WAIT
    assert verdict.finding is Finding.WAIT


def test_a_machine_that_slows_both_is_held_against_neither() -> None:
    busy = Counter({(60, 70): 30_000, (9_000, 9_000): 4_000, (60, 9_000): 3_000, (9_000, 70): 3_000})
    slow = check(judge(step(), evidence(timings=busy), LIMITS), "slow")
    assert slow.value == 0.0
    assert slow.finding is Finding.GO_ON


def test_a_group_may_abort_a_step_and_never_holds_it_up() -> None:
    groups = {
        ("gender", "F"): Approvals(900, 5, 5, 90),  # too few to lie wholly inside
        ("gender", "X"): Approvals(3, 90, 0, 0),  # fewer than are judged
    }
    verdict = judge(step(), evidence(groups=groups), LIMITS)
    assert verdict.finding is Finding.GO_ON
    assert check(verdict, "approval_shift:gender=X").finding is Finding.NOT_JUDGED
    worse = {**groups, ("age", "18 to 29"): Approvals(600, 200, 0, 200)}
    verdict = judge(step(), evidence(groups=worse), LIMITS)
    assert verdict.finding is Finding.ABORT
    assert verdict.reasons[0].startswith(
        "approval rate of age 18 to 29, challenger's less champion's: -0.2000"
    )


def test_a_challenger_that_fails_on_everything_is_aborted_without_a_single_score() -> None:
    silent = StepEvidence(decisions=20, problems=Counter({"not scored: too slow": 20}))
    verdict = judge(step(), silent, LIMITS)
    assert verdict.finding is Finding.ABORT
    assert verdict.reasons == [check(verdict, "problems").sentence]
    assert verdict.reasons[0].endswith("not scored: too slow")


def test_a_step_that_is_never_decided_is_aborted_in_the_end() -> None:
    verdict = judge(step(seconds=3600), evidence(100), LIMITS)
    assert verdict.finding is Finding.ABORT
    assert verdict.reasons[0] == "not decided in 3600 s, the longest time of a step"
    assert "100 customers are scored by both" in verdict.reasons[1]


def test_what_is_filled_up_is_said() -> None:
    verdict = judge(step(), evidence(filled_up=15_000), LIMITS)
    assert verdict.filled_up == 15_000
    assert "15,000 of them filled up from the day before" in check(verdict, "customers").sentence
