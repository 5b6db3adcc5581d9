"""Which version decides, and that nothing a challenger does touches the champion's answer."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pytest

from creditrisk.decisions import Arm
from creditrisk.features import FeatureRow
from creditrisk.reasons import Explainer
from creditrisk.release import ReleaseAction, ReleaseRecord, arm_of
from creditrisk.scoring import FlatPair, flatten
from creditrisk.trees import Trees
from serving.arms import score, score_many
from serving.challenger import Challenger
from serving.loaded_version import LoadedVersion
from serving.model_watch import ServedModel
from tests.planted_versions import manifest_of
from tests.serving.conftest import fitted

CHAMPION, CHALLENGER = "2020-12-31-aaaaaaaaaa", "2020-12-31-bbbbbbbbbb"
CUSTOMERS = range(200)
LIMIT = 2000.0


def rows() -> list[FeatureRow]:
    """A row a customer."""
    known = fitted(1)[1].tolist()
    return [
        (int(age), None if years != years else int(years), int(loans), amount, int(car))
        for age, years, loans, amount, car in (known[customer % len(known)] for customer in CUSTOMERS)
    ]


def loaded(version: str, seed: int, threshold: float, **planted: Any) -> LoadedVersion:
    """A version; ``planted`` changes its flat model after it was proven, its trees by a function of them."""
    model, known = fitted(seed)
    flat = flatten(model)
    manifest = manifest_of(version, {"model.joblib": b""}, threshold=threshold)
    harm = planted.get("trees", lambda trees: trees)
    return LoadedVersion(
        manifest, replace(flat, **planted | {"trees": harm(flat.trees)}), Explainer(flat, known)
    )


@cache
def the_champion() -> LoadedVersion:
    return loaded(CHAMPION, 1, threshold=0.2)


@pytest.fixture(params=["apart", "at once"])
def pace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether requests come so slowly that each version is scored by itself, or so fast that none is."""
    monkeypatch.setattr("serving.challenger.APART_NANOSECONDS", -1 if request.param == "apart" else 10**18)
    return str(request.param)


def challenged(share: float, challenger: Challenger | None) -> ServedModel:
    champion = the_champion()
    record = ReleaseRecord(
        number=7,
        action=ReleaseAction.GROW,
        champion=CHAMPION,
        challenger=challenger and challenger.version,
        share=share,
        by="a test",
        reason="to see",
        at=datetime(2021, 1, 1, tzinfo=UTC),
    )
    return ServedModel(
        champion.manifest, champion.flat, champion.explainer, record, record.at, challenger=challenger
    )


def admitted(**planted: Any) -> Challenger:
    challenger = Challenger(CHALLENGER, LIMIT)
    version = loaded(CHALLENGER, 2, threshold=0.3, **planted)
    pair = FlatPair.of(the_champion().flat, flatten(fitted(2)[0]))
    harm = planted.get("trees", lambda trees: trees)
    challenger.admit(version, replace(pair, second=version.flat, trees=harm(pair.trees)))
    return challenger


def own_probability(seed: int, row: FeatureRow) -> float:
    model, _ = fitted(seed)
    return float(model.predict_proba(np.array([row], dtype=np.float64))[0, 1])


def out_of_range() -> dict[str, Any]:
    """Children beyond the last node for whoever has a car."""

    def harm(trees: Trees) -> Trees:
        children = trees.children.copy()
        children[trees.begins[4] + 1 : trees.begins[5] : 2] = 10**9
        return replace(trees, children=children)

    return {"trees": harm}


def failing() -> list[tuple[dict[str, Any], str]]:

    def lost(trees: Trees) -> Trees:
        return replace(trees, children=np.full_like(trees.children, 10**9))

    def unknown(trees: Trees) -> Trees:
        return replace(trees, value=np.full_like(trees.value, np.nan))

    return [
        ({"trees": lost}, "IndexError: index 1000000000 is out of bounds"),
        ({"trees": unknown}, "its probability is nan, which is none"),
        ({"logistic": lambda _: 1.5}, "its probability is 1.5, which is none"),
        ({"logistic": lambda _: -0.1}, "its probability is -0.1, which is none"),
        ({"divisor": 0.0}, "ZeroDivisionError: float division by zero"),
    ]


class TestWithoutChallenger:
    def test_the_champion_decides(self) -> None:
        for customer, row in zip(CUSTOMERS, rows(), strict=True):
            scored = score(challenged(0.0, None), customer, row)
            expected = own_probability(1, row)
            assert scored == (7, CHAMPION, CHAMPION, Arm.CHAMPION, expected, 0.2, int(expected >= 0.2), None)


@pytest.mark.usefixtures("pace")
class TestWithChallenger:
    def test_in_a_shadow_the_champion_decides_and_both_score(self) -> None:
        model = challenged(0.0, admitted())
        for customer, row in zip(CUSTOMERS, rows(), strict=True):
            scored = score(model, customer, row)
            assert (scored.arm, scored.model_version, scored.release) == (Arm.CHAMPION, CHAMPION, 7)
            assert (scored.probability, scored.threshold) == (own_probability(1, row), 0.2)
            assert scored.paired is not None
            assert scored.paired._replace(champion_microseconds=0, challenger_microseconds=0) == (
                own_probability(1, row), 0.2, 0, CHALLENGER, own_probability(2, row), 0.3, 0, None
            )  # fmt: skip

    def test_each_customer_is_decided_on_by_its_own_arm(self) -> None:
        model = challenged(0.3, admitted())
        arms = set()
        for customer, row in zip(CUSTOMERS, rows(), strict=True):
            scored = score(model, customer, row)
            is_theirs = arm_of(customer, CHALLENGER, 0.3)
            expected = own_probability(2 if is_theirs else 1, row)
            threshold = 0.3 if is_theirs else 0.2
            arms.add(scored.arm)
            assert scored.arm is (Arm.CHALLENGER if is_theirs else Arm.CHAMPION)
            assert scored.model_version == (CHALLENGER if is_theirs else CHAMPION)
            assert scored.champion == CHAMPION
            assert (scored.probability, scored.threshold) == (expected, threshold)
            assert scored.decision == int(expected >= threshold)
        assert arms == {Arm.CHAMPION, Arm.CHALLENGER}

    def test_reasons_are_those_of_the_version_that_decided(self) -> None:
        challenger = admitted()
        model = challenged(0.5, challenger)
        assert challenger.loaded
        assert model.explainer_of(CHALLENGER) is challenger.loaded.explainer
        assert model.explainer_of(CHAMPION) is model.explainer


class TestTimes:
    def test_are_those_of_each_now_and_then(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("serving.challenger.APART_NANOSECONDS", 20_000_000)
        model, row = challenged(0.0, admitted()), rows()[0]
        timed, at_once = 0, 0
        began = time.monotonic()
        while time.monotonic() - began < 0.3:
            paired = score(model, 1, row).paired
            assert paired is not None
            assert (paired.champion_microseconds is None) == (paired.challenger_microseconds is None)
            if paired.champion_microseconds is None:
                at_once += 1
            else:
                assert paired.champion_microseconds > 0
                timed += 1
        assert 1 <= timed <= 16
        assert at_once > timed

    def test_are_those_of_each_where_the_pair_is_of_another_champion(self) -> None:
        challenger = Challenger(CHALLENGER, LIMIT)
        version = loaded(CHALLENGER, 2, threshold=0.3)
        challenger.admit(version, FlatPair.of(loaded(CHAMPION, 3, threshold=0.2).flat, version.flat))
        model = challenged(0.0, challenger)
        for row in rows()[:20]:
            scored = score(model, 1, row)
            assert scored.probability == own_probability(1, row)
            assert scored.paired is not None
            assert scored.paired.champion_microseconds is not None


class TestChallengerThatFails:
    @pytest.mark.usefixtures("pace")
    @pytest.mark.parametrize(("planted", "problem"), failing())
    def test_never_touches_the_answer(self, planted: dict[str, Any], problem: str) -> None:
        model = challenged(0.5, admitted(**planted))
        arms = set()
        for customer, row in zip(CUSTOMERS, rows(), strict=True):
            scored = score(model, customer, row)
            expected = own_probability(1, row)
            is_theirs = arm_of(customer, CHALLENGER, 0.5)
            arms.add(scored.arm)
            assert scored.arm is (Arm.FALLBACK if is_theirs else Arm.CHAMPION)
            assert (scored.model_version, scored.probability, scored.threshold, scored.decision) == (
                CHAMPION,
                expected,
                0.2,
                int(expected >= 0.2),
            )
            assert scored.paired is not None
            assert scored.paired.champion_probability == expected
            assert scored.paired.challenger_probability is None
            assert scored.paired.challenger_threshold == 0.3
            assert scored.paired.challenger_microseconds is not None
            assert str(scored.paired.challenger_problem).startswith(problem)
        assert arms == {Arm.FALLBACK, Arm.CHAMPION}

    @pytest.mark.usefixtures("pace")
    def test_on_some_rows_decides_on_the_others(self) -> None:
        model = challenged(1.0, admitted(**out_of_range()))
        scored = [score(model, customer, row) for customer, row in zip(CUSTOMERS, rows(), strict=True)]
        arms = {row[4]: one.arm for row, one in zip(rows(), scored, strict=True)}
        assert arms == {0: Arm.CHALLENGER, 1: Arm.FALLBACK}

    def test_is_told_once_and_nothing_of_the_customer(self, caplog: pytest.LogCaptureFixture) -> None:
        challenger = admitted(divisor=0.0)
        with caplog.at_level(logging.ERROR):
            for row in rows():
                challenger.score(row)
        assert [record.getMessage() for record in caplog.records] == [
            f"challenger {CHALLENGER}: a row cannot be scored: ZeroDivisionError: float division by zero"
        ]

    @pytest.mark.parametrize(
        ("prepare", "problem"),
        [
            (lambda _: None, f"challenger {CHALLENGER}: still being loaded"),
            (
                lambda challenger: challenger.refuse("its SHA-256 differs"),
                f"challenger {CHALLENGER}: not scored: its SHA-256 differs",
            ),
        ],
    )
    def test_is_not_there_and_says_why(self, prepare: Callable[[Challenger], None], problem: str) -> None:
        challenger = Challenger(CHALLENGER, LIMIT)
        prepare(challenger)
        model = challenged(1.0, challenger)
        for scored in (score(model, 1, rows()[0]), score_many(model, [1], rows()[:1])[0]):
            assert (scored.arm, scored.model_version) == (Arm.FALLBACK, CHAMPION)
            assert scored.paired is not None
            assert scored.paired[3:] == (CHALLENGER, None, None, None, problem)


class TestSlowChallenger:
    def test_is_scored_no_more_after_five_rows_in_a_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("serving.challenger.APART_NANOSECONDS", -1)
        pace = {"slow": True}
        logistic = flatten(fitted(2)[0]).logistic

        def paced(value: Any) -> Any:
            if pace["slow"]:
                time.sleep(10 * LIMIT / 1e6 + 0.001)
            return logistic(value)

        challenger = admitted(logistic=paced)
        model, row = challenged(1.0, challenger), rows()[0]
        for is_slow in [True] * 4 + [False] + [True] * 4:
            pace["slow"] = is_slow
            scored = score(model, 1, row)
            assert scored.arm is Arm.CHALLENGER
            assert scored.paired is not None
            assert ((scored.paired.challenger_microseconds or 0) > 10 * LIMIT) == is_slow
        assert challenger.score(row).problem is None
        assert challenger.problem == (
            f"challenger {CHALLENGER}: not scored: 5 rows in a row took more than 20000 µs each"
        )
        after = score(model, 1, row)
        assert (after.arm, after.probability) == (Arm.FALLBACK, own_probability(1, row))
        assert after.paired is not None
        assert after.paired.challenger_problem == challenger.problem

    def test_a_slow_batch_counts_as_its_rows(self) -> None:
        challenger = Challenger(CHALLENGER, 0.001)
        challenger.admit(loaded(CHALLENGER, 2, threshold=0.3))
        model = challenged(1.0, challenger)
        assert {scored.arm for scored in score_many(model, CUSTOMERS, rows())} == {Arm.CHALLENGER}
        assert {scored.arm for scored in score_many(model, CUSTOMERS, rows())} == {Arm.FALLBACK}


class TestScoreMany:
    @pytest.mark.usefixtures("pace")
    @pytest.mark.parametrize("planted", [{}, out_of_range(), *(planted for planted, _ in failing())])
    def test_says_of_each_row_what_is_said_of_it_alone(self, planted: dict[str, Any]) -> None:
        model = challenged(0.5, admitted(**planted))
        alone = [score(model, customer, row) for customer, row in zip(CUSTOMERS, rows(), strict=True)]
        assert [_untimed(scored) for scored in score_many(model, CUSTOMERS, rows())] == [
            _untimed(scored) for scored in alone
        ]

    def test_without_a_challenger_too(self) -> None:
        model = challenged(0.0, None)
        assert score_many(model, CUSTOMERS, rows()) == [
            score(model, customer, row) for customer, row in zip(CUSTOMERS, rows(), strict=True)
        ]

    @pytest.mark.parametrize("challenger", [None, Challenger(CHALLENGER, LIMIT)])
    def test_no_rows_are_no_scores(self, challenger: Challenger | None) -> None:
        assert score_many(challenged(0.0, challenger), [], []) == []


def _untimed(scored: Any) -> Any:
    return scored._replace(
        paired=scored.paired._replace(champion_microseconds=None, challenger_microseconds=None)
    )
