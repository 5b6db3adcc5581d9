"""Who serves after promotions, challenges and rollbacks, and whose customer one is."""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk.errors import ChallengeRefused, NothingReleased, NothingToRollBackTo, ReleaseError
from creditrisk.release import (
    ReleaseAction,
    ReleaseRecord,
    abortion,
    arm_of,
    challenge,
    completion,
    promotion,
    rollback,
    rollback_target,
)

START = datetime(2021, 1, 1, tzinfo=UTC)
VERSION = "2020-12-31-0123456789"


def played(*acts: str) -> list[ReleaseRecord]:
    """The history of acts an hour apart.

    A version's name promotes it, ``<`` rolls back, ``<A`` rolls back to A, ``B 5`` lets B challenge at 5 percent,
    ``-B`` aborts the challenge of B, ``+B`` completes it.
    """
    history: list[ReleaseRecord] = []
    for act in acts:
        history = _extended(history, act)
    return history


def _extended(history: list[ReleaseRecord], act: str) -> list[ReleaseRecord]:
    newest = history[-1] if history else None
    at = newest.at + timedelta(hours=1) if newest else START
    version, _, percent = act.partition(" ")
    if act.startswith("<"):
        record = rollback(history, by="eve", reason="late loans", at=at, to=act[1:] or None)
    elif act.startswith("-"):
        record = abortion(newest, act[1:], by="eve", reason="flips", at=at)
    elif act.startswith("+"):
        record = completion(newest, act[1:], by="ada", reason="approved", at=at)
    elif percent:
        record = challenge(newest, version, float(percent) / 100, by="ada", reason="to see", at=at)
    else:
        record = promotion(newest, version, by="ada", reason="better", at=at)
    return history if record == newest else [*history, record]


def state(record: ReleaseRecord) -> tuple[str, str, str | None, float]:
    return str(record.action), record.champion, record.challenger, record.share


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


class TestChallenge:
    def test_starts_as_a_shadow_grows_and_ends_in_a_promotion(self) -> None:
        history = played("A", "B 0", "B 5", "B 25", "B")
        assert [state(record) for record in history[1:]] == [
            ("challenge", "A", "B", 0.0),
            ("grow", "A", "B", 0.05),
            ("grow", "A", "B", 0.25),
            ("promote", "B", None, 0.0),
        ]
        assert [record.number for record in history] == [1, 2, 3, 4, 5]

    def test_an_abort_is_one_record_without_the_challenger(self) -> None:
        last = played("A", "B 0", "B 50", "-B")[-1]
        assert state(last) == ("abort", "A", None, 0.0)
        assert (last.by, last.reason) == ("eve", "flips")

    def test_an_aborted_version_may_challenge_again_from_the_start(self) -> None:
        assert state(played("A", "B 0", "B 5", "-B", "B 0")[-1]) == ("challenge", "A", "B", 0.0)

    def test_said_twice_is_one_record(self) -> None:
        assert len(played("A", "B 0", "B 0", "B 5", "B 5", "-B", "-B", "B 0", "+B", "+B")) == 6

    def test_any_promotion_ends_it_in_that_one_record(self) -> None:
        assert state(played("A", "B 0", "B 5", "C")[-1]) == ("promote", "C", None, 0.0)
        assert state(played("A", "B 0", "B 5", "A")[-1]) == ("promote", "A", None, 0.0)

    def test_a_rollback_ends_it_in_that_one_record(self) -> None:
        history = played("A", "B", "C 0", "C 5", "<")
        assert state(history[-1]) == ("roll back", "A", None, 0.0)
        assert len(history) == 5
        assert state(played("A", "B 0", "B 5", "<A")[-1]) == ("roll back", "A", None, 0.0)

    def test_a_challenger_has_not_served_and_is_not_rolled_back_to(self) -> None:
        assert rollback_target(played("A", "B", "C 0", "C 50", "-C")) == "A"
        with pytest.raises(NothingToRollBackTo, match="version C: has never served"):
            played("A", "B", "C 0", "C 50", "-C", "<C")

    def test_a_rollback_from_the_first_champion_says_what_to_do_instead(self) -> None:
        with pytest.raises(NothingToRollBackTo, match="to end the challenge of B, abort it"):
            played("A", "B 0", "<")

    @pytest.mark.parametrize(
        ("acts", "words"),
        [
            (["A", "A 0"], "version A: is the champion, and cannot challenge itself"),
            (["A", "B 0", "C 0"], "version C: B challenges A: abort that first"),
            (["A", "B 5"], "share: 0.05: version B does not challenge: a challenge starts at share 0"),
            (["A", "B 0", "-B", "B 5"], "share: 0.05: version B does not challenge"),
            (["A", "B 0", "B 5", "B 3"], "share: 0.03: version B has 0.05, and a share only grows"),
            (["A", "B 0", "B 101"], "share: 1.01: not a number from 0 to 1"),
            (["A", "B 0", "B -1"], "share: -0.01: not a number from 0 to 1"),
            (["A", "B nan"], "share: nan: not a number from 0 to 1"),
            (["A", "B 0", "-B", "+B"], "version B: is not the challenger: nothing challenges A"),
            (["A", "B 0", "+C"], "version C: is not the challenger: B challenges A"),
            (["A", "B 0", "+A"], "version A: is the champion, and B challenges A"),
            (["+A"], "version A: is not the challenger: nothing has been released yet"),
        ],
    )
    def test_refuses_and_names_the_rule(self, acts: list[str], words: str) -> None:
        with pytest.raises(ChallengeRefused, match=f"^{words}"):
            played(*acts)

    @pytest.mark.parametrize("act", ["B 0", "-B"])
    def test_needs_a_champion(self, act: str) -> None:
        with pytest.raises(NothingReleased):
            played(act)

    @pytest.mark.parametrize("rule", [challenge, abortion, completion])
    def test_names_who_and_why(self, rule: Any) -> None:
        newest = played("A", "B 0")[-1]
        share = (0.05,) if rule is challenge else ()
        with pytest.raises(ReleaseError, match=r"^by: empty"):
            rule(newest, "B", *share, by=" ", reason="r", at=START)
        with pytest.raises(ReleaseError, match=r"^reason: empty"):
            rule(newest, "B", *share, by="ada", reason="", at=START)

    @given(
        st.lists(
            st.sampled_from(
                ["A", "B", "C", "<", "A 0", "B 0", "C 0", "B 5", "B 50", "C 5", "-B", "-C", "+B"]
            ),
            max_size=25,
        )
    )
    def test_every_history_keeps_the_rules(self, acts: list[str]) -> None:
        history = played("A")
        for act in acts:
            with suppress(ReleaseError):
                history = _extended(history, act)
        for before, after in pairwise(history):
            assert after.number == before.number + 1
            assert after.challenger != after.champion
            if after.challenger is None:
                assert after.share == 0
            else:
                assert after.champion == before.champion
                assert before.challenger in (None, after.challenger)
                assert (after.share > before.share) if before.challenger else (after.share == 0)

    def test_a_record_that_breaks_the_rules_cannot_be_read(self) -> None:
        record = played("A", "B 0", "B 5")[-1].model_dump()
        with pytest.raises(ValueError, match="challenger: A: is the champion itself"):
            ReleaseRecord.model_validate(record | {"challenger": "A"})
        with pytest.raises(ValueError, match=r"share: 0\.05: there is no challenger"):
            ReleaseRecord.model_validate(record | {"challenger": None})


class TestArm:
    @given(
        st.integers(-(2**63), 2**63 - 1),
        st.text("0123456789abcdef-", min_size=1),
        st.lists(st.floats(0, 1), min_size=2),
    )
    def test_growing_the_share_moves_nobody_back(
        self, customer: int, challenger: str, shares: list[float]
    ) -> None:
        arms = [arm_of(customer, challenger, share) for share in sorted(shares)]
        assert arms == sorted(arms)
        assert not arm_of(customer, challenger, 0.0)
        assert arm_of(customer, challenger, 1.0)

    def test_is_the_same_in_every_process_and_for_ever(self) -> None:
        digest = hashlib.sha256(b"2020-12-31-0123456789:5008827").digest()
        drawn = int.from_bytes(digest[:8], "big") / 2**64
        assert drawn == pytest.approx(0.8146, abs=1e-4)
        assert not arm_of(5008827, VERSION, drawn - 1e-9)
        assert arm_of(5008827, VERSION, drawn + 1e-9)

    @pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
    @pytest.mark.parametrize("customers", [range(100_000), range(5_008_804, 10_017_608, 50)])
    def test_has_the_share_of_customers_that_it_should(self, customers: range, share: float) -> None:
        theirs = sum(arm_of(customer, VERSION, share) for customer in customers) / len(customers)
        assert theirs == pytest.approx(share, abs=5 * (share * (1 - share) / len(customers)) ** 0.5)

    def test_draws_evenly_over_the_whole_range(self) -> None:
        shares = [tenth / 10 for tenth in range(11)]
        counts = [sum(arm_of(customer, VERSION, share) for customer in range(20_000)) for share in shares]
        each = [after - before for before, after in pairwise(counts)]
        squares = sum((count - 2000) ** 2 / 2000 for count in each)
        assert squares < 27.9  # chi-square with nine degrees of freedom: one in a thousand is above

    def test_each_challenger_draws_its_customers_anew(self) -> None:
        other = "2021-01-31-9876543210"
        both = sum(
            arm_of(customer, VERSION, 0.5) and arm_of(customer, other, 0.5) for customer in range(20_000)
        )
        assert both == pytest.approx(5000, abs=300)
