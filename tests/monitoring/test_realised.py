"""Verdicts on how decisions turned out, from counts of drawn scores and outcomes."""

from datetime import date
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from creditrisk.metric_store import Measure
from creditrisk.results_limits import ResultsLimits
from creditrisk.settings import ModelGateLimits
from creditrisk.snapshots import Verdict
from monitoring.outcome_reads import Counted, Scorer
from monitoring.realised import Results, ResultsJudge
from monitoring.score_histogram import BINS_PER_LOG_ODDS, GROUPS, BinCount

MONTH = date(2020, 11, 1)
DAY = date(2021, 2, 1)
VERSION, RIVAL = "2020-10-01-aaaaaaaaaa", "2020-10-31-bbbbbbbbbb"
PART = f"2020-11/{VERSION}/champion"


def log_odds(count: int, seed: int = 1, spread: float = 0.6) -> Any:
    return -2.5 + spread * np.random.default_rng(seed).normal(size=count)


def outcomes(odds: Any, seed: int = 2) -> Any:
    return np.random.default_rng(seed).random(len(odds)) < 1 / (1 + np.exp(-odds))


def counts(odds: Any) -> list[BinCount]:
    scores = 1 / (1 + np.exp(-odds))
    bins = np.floor(odds * BINS_PER_LOG_ODDS).astype(int)
    return [
        BinCount(number % GROUPS, int(each), 1, float(score), float(score * score))
        for number, (each, score) in enumerate(zip(bins, scores, strict=True))
    ]


def counted(odds: Any, late: Any, beside: str | None = None, **others: int) -> Counted:
    """What is known of a champion's loans; ``others`` are as many of other states."""
    states = {"late": counts(odds[late]), "in time": counts(odds[~late])}
    for state, count in others.items():
        states[state.replace("_", " ")] = counts(log_odds(count))
    return Counted(
        Scorer(MONTH, VERSION, "champion", beside), {name: rows for name, rows in states.items() if rows}
    )


def challengers(odds: Any, late: Any) -> Counted:
    return Counted(Scorer(MONTH, RIVAL, "challenger", VERSION), counted(odds, late).states)


def judged(
    *scorers: Counted, day: date = DAY, serving: frozenset[str] | None = None, **changes: Any
) -> tuple[Results, dict[str, Measure]]:
    limits, gate = ResultsLimits(**changes.pop("limits", {})), ModelGateLimits(**changes)
    results = ResultsJudge(day, limits, gate, serving).results(scorers)
    return results, {each.metric: each for each in results.measures if each.part.startswith(PART)}


def test_a_sound_version_passes_every_check_and_its_vintage_has_all_figures() -> None:
    odds = log_odds(6000)
    late = outcomes(odds)
    results, measures = judged(counted(odds, late, open=600, declined=700, no_loan=50, made_with=20))
    assert {name: each.verdict for name, each in measures.items()} == {
        "labelled_share": Verdict.PASS,
        "expected_roc_auc": Verdict.NOT_JUDGED,
        "realised_roc_auc": Verdict.PASS,
        "realised_brier": Verdict.PASS,
        "realised_calibration_error": Verdict.PASS,
        "expected_roc_auc_error": Verdict.PASS,
    }
    (vintage,) = results.vintages
    assert (vintage.month, vintage.version, vintage.arm, vintage.day) == (MONTH, VERSION, "champion", DAY)
    assert (vintage.decisions, vintage.excluded, vintage.labelled) == (7370, 770, 6000)
    assert vintage.late == late.sum()
    assert vintage.roc_auc == pytest.approx(roc_auc_score(late, odds), abs=1e-3)
    assert vintage.expected_roc_auc == pytest.approx(vintage.roc_auc, abs=0.03)
    assert vintage.expected_late_share == pytest.approx(late.mean(), abs=0.01)
    share = measures["labelled_share"]
    assert share.value == vintage.labelled_share == pytest.approx(6000 / 6600)
    assert "6,000 of 6,600 decisions about a granted loan (90.9%)" in share.words
    assert (
        "left out: 700 declined, 50 without a loan so far, 20 about loans that the version was made with"
        in share.words
    )
    auc = measures["realised_roc_auc"]
    assert auc.limit == 0.53
    assert auc.detail["low"] < vintage.roc_auc < auc.detail["high"]
    assert "is at least 0.53, on 6,000 loans of known outcome" in auc.words
    assert auc.detail["left_out"] == {"declined": 700, "no loan": 50, "made with": 20}


def test_a_version_fails_only_where_even_the_favourable_end_is_below_the_floor() -> None:
    odds = log_odds(6000)
    by_chance = np.random.default_rng(5).permutation(outcomes(odds))
    _, measures = judged(counted(odds, by_chance))
    auc = measures["realised_roc_auc"]
    assert auc.value == pytest.approx(0.5, abs=0.03)
    assert auc.verdict is (Verdict.FAIL if auc.detail["high"] < 0.53 else Verdict.PASS)
    _, strict = judged(counted(odds, by_chance), roc_auc_floor=0.6)
    assert strict["realised_roc_auc"].verdict is Verdict.FAIL
    assert "is below 0.6" in strict["realised_roc_auc"].words
    _, lenient = judged(counted(odds, by_chance), roc_auc_floor=auc.detail["high"] - 1e-6)
    assert lenient["realised_roc_auc"].verdict is Verdict.PASS


def test_a_version_that_no_longer_serves_only_warns() -> None:
    odds = log_odds(6000)
    by_chance = np.random.default_rng(5).permutation(outcomes(odds))
    for serving, verdict in ((frozenset({VERSION}), Verdict.FAIL), (frozenset({RIVAL}), Verdict.WARN)):
        _, measures = judged(counted(odds, by_chance), roc_auc_floor=0.6, serving=serving)
        assert measures["realised_roc_auc"].verdict is verdict
        assert ("no longer serves" in measures["realised_roc_auc"].words) == (verdict is Verdict.WARN)


def test_nothing_is_judged_before_the_month_has_matured() -> None:
    odds = log_odds(6000)
    results, measures = judged(counted(odds, outcomes(odds), open=2000), roc_auc_floor=0.9)
    assert {each.verdict for each in measures.values()} == {Verdict.NOT_JUDGED}
    assert measures["realised_roc_auc"].value is None
    assert (
        "the outcome is known of 75.0% of the decisions, 80% are asked for"
        in measures["realised_roc_auc"].words
    )
    (vintage,) = results.vintages
    assert (vintage.roc_auc, vintage.brier, vintage.calibration_error) == (None, None, None)
    assert vintage.expected_roc_auc == measures["expected_roc_auc"].value == pytest.approx(0.66, abs=0.02)
    assert "confidence-based performance estimation" in measures["expected_roc_auc"].words


def test_few_late_loans_give_figures_and_no_verdict() -> None:
    odds = log_odds(400)
    late = outcomes(odds)
    results, measures = judged(counted(odds, late), roc_auc_floor=0.99)
    assert late.sum() < 50
    assert measures["realised_roc_auc"].verdict is Verdict.NOT_JUDGED
    assert measures["realised_roc_auc"].value == results.vintages[0].roc_auc
    assert "50 of either kind are asked for" in measures["realised_roc_auc"].words
    _, alike = judged(counted(odds, late | True))
    assert alike["realised_roc_auc"].value is None
    assert "all outcomes are alike" in alike["realised_roc_auc"].words


def test_outcomes_that_do_not_come_are_a_warning_once_they_are_due() -> None:
    odds = log_odds(1000)
    known = counted(odds, outcomes(odds), open=9000)
    due = date(2021, 3, 30)
    for day, verdict in ((due, Verdict.NOT_JUDGED), (date(2021, 3, 31), Verdict.WARN)):
        _, measures = judged(known, day=day)
        assert measures["labelled_share"].verdict is verdict
    assert "80% are due 120 days after the month's end" in measures["labelled_share"].words


def test_a_month_of_declined_applications_alone_says_so() -> None:
    results, measures = judged(
        Counted(Scorer(MONTH, VERSION, "champion", None), {"declined": counts(log_odds(10))})
    )
    assert {(each.verdict, each.value) for each in measures.values()} == {(Verdict.NOT_JUDGED, None)}
    assert results.vintages[0].labelled_share is None
    assert results.vintages[0].expected_roc_auc is None
    assert "no decision is about a loan that counts" in measures["realised_brier"].words


def test_probabilities_that_are_far_off_break_the_ceiling_and_are_worse_than_no_skill() -> None:
    odds = log_odds(6000)
    late = outcomes(odds)
    _, measures = judged(counted(odds + 1.5, late))
    assert measures["realised_roc_auc"].verdict is Verdict.PASS
    assert measures["realised_calibration_error"].verdict is Verdict.FAIL
    assert measures["realised_brier"].verdict is Verdict.WARN
    assert measures["realised_brier"].limit == pytest.approx(late.mean() * (1 - late.mean()))


def test_an_estimate_that_was_wrong_is_a_warning_with_the_error() -> None:
    odds = log_odds(6000)
    by_chance = np.random.default_rng(5).permutation(outcomes(odds))
    _, measures = judged(counted(odds, by_chance))
    error = measures["expected_roc_auc_error"]
    assert error.verdict is Verdict.WARN
    assert error.value == pytest.approx(
        (measures["expected_roc_auc"].value or 0) - (measures["realised_roc_auc"].value or 0)
    )
    assert "beyond ±0.05" in error.words


def test_a_challenger_is_compared_with_its_champion_on_the_same_loans() -> None:
    odds = log_odds(8000)
    late = outcomes(odds)
    worse = odds + np.random.default_rng(9).normal(size=8000)
    results, _ = judged(
        counted(odds, late, open=10), counted(odds, late, beside=RIVAL), challengers(worse, late)
    )
    assert [(each.version, each.arm) for each in results.vintages] == [
        (VERSION, "champion"),
        (RIVAL, "challenger"),
    ]
    (difference,) = (each for each in results.measures if each.metric == "realised_roc_auc_difference")
    assert difference.part == f"2020-11/{RIVAL}/challenger/{VERSION}"
    assert difference.value == pytest.approx(roc_auc_score(late, worse) - roc_auc_score(late, odds), abs=1e-3)
    assert difference.limit == -0.02
    assert difference.verdict is Verdict.WARN
    results, _ = judged(counted(odds, late, beside=RIVAL), challengers(odds, late))
    (difference,) = (each for each in results.measures if each.metric == "realised_roc_auc_difference")
    assert (difference.value, difference.verdict) == (0.0, Verdict.PASS)


def test_sound_versions_raise_no_alarm_in_a_hundred_months() -> None:
    bad = []
    for seed in range(100):
        odds = log_odds(2500, seed, spread=0.5)
        _, measures = judged(counted(odds, outcomes(odds, seed + 1000)))
        bad += [each.words for each in measures.values() if each.verdict in (Verdict.WARN, Verdict.FAIL)]
    assert bad == []
