"""Whether the last night is there: slots of the market's clock, publications, and rows of nights."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from creditrisk.nights import Night, Outcome
from creditrisk.probe_store import Look
from creditrisk.snapshots import Verdict
from monitoring.nightly_probe import (
    NIGHT_OUTCOME,
    NIGHT_VERDICT,
    NIGHTLY_RUN,
    NIGHTLY_START,
    NightlyPlan,
    Published,
    measured_nights,
    nightly_looks,
)

MEXICO = ZoneInfo("America/Mexico_City")
PLAN = NightlyPlan("0 2 * * *", UTC, timedelta(hours=3))
NOW = datetime(2021, 1, 20, 6, tzinfo=UTC)
DUE = date(2021, 1, 19)
"""The date of the night that was due by then."""

LONG_AGO = datetime(2021, 1, 1, tzinfo=UTC)
BEHIND = Published(LONG_AGO, DUE - timedelta(days=1))
PASS, WARN, FAIL, NOT_JUDGED = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.NOT_JUDGED


def night(as_of: date, outcome: Outcome, verdict: str | None = None, hour: int = 2, **changes: Any) -> Night:
    started = datetime(as_of.year, as_of.month, as_of.day, hour, tzinfo=UTC) + timedelta(days=1)
    ended = None if outcome is Outcome.RUNNING else started + timedelta(minutes=3)
    values: dict[str, Any] = {
        "as_of": as_of, "run_id": f"run of {started}", "started_at": started, "ended_at": ended, "snapshot": None,
        "rows_in": None, "kept": None, "quarantined": None, "later": None, "seconds": None, "verdict": verdict,
        "outcome": outcome, "why": "the reason",
    }  # fmt: skip
    return Night(**{**values, **changes})


def verdicts(looks: list[Look]) -> tuple[Verdict, Verdict]:
    by_name = {look.name: look.verdict for look in looks}
    assert set(by_name) == {NIGHTLY_START, NIGHTLY_RUN}
    return by_name[NIGHTLY_START], by_name[NIGHTLY_RUN]


class TestDue:
    @pytest.mark.parametrize(
        ("now", "as_of"),
        [
            (datetime(2021, 1, 20, 4, 59, 59, tzinfo=UTC), date(2021, 1, 18)),
            (datetime(2021, 1, 20, 5, tzinfo=UTC), date(2021, 1, 19)),
            (datetime(2021, 1, 21, 4, 59, tzinfo=UTC), date(2021, 1, 19)),
        ],
    )
    def test_a_slot_is_due_when_its_time_is_up(self, now: datetime, as_of: date) -> None:
        due = PLAN.due(now)
        assert due is not None
        assert due[1] == as_of

    def test_the_clock_is_the_markets(self) -> None:
        plan = NightlyPlan("0 2 * * *", MEXICO, timedelta(hours=3))
        due = plan.due(datetime(2021, 1, 20, 12, tzinfo=UTC))  # 06:00 there
        assert due == (datetime(2021, 1, 20, 2, tzinfo=MEXICO), date(2021, 1, 19))
        assert plan.due(datetime(2021, 1, 20, 6, tzinfo=UTC)) == (  # midnight there
            datetime(2021, 1, 19, 2, tzinfo=MEXICO),
            date(2021, 1, 18),
        )

    def test_nothing_is_due_of_a_schedule_that_is_off(self) -> None:
        plan = NightlyPlan("", UTC, timedelta(hours=3))
        assert plan.due(NOW) is None
        assert verdicts(nightly_looks(plan, BEHIND, [], NOW)) == (NOT_JUDGED, NOT_JUDGED)


class TestLooks:
    def test_a_published_night_is_well_whatever_its_rows_say(self) -> None:
        assert verdicts(nightly_looks(PLAN, Published(LONG_AGO, DUE), [], NOW)) == (PASS, PASS)

    def test_a_night_without_a_row_never_started(self) -> None:
        looks = nightly_looks(PLAN, BEHIND, [night(DUE - timedelta(days=1), Outcome.PUBLISHED)], NOW)
        assert verdicts(looks) == (FAIL, NOT_JUDGED)
        assert looks[0].words == (
            "No run for 2021-01-19 has begun, which was due to start at 2021-01-20 02:00 UTC."
            " The newest snapshot published is of 2021-01-18."
        )

    def test_a_night_that_has_not_ended_is_late(self) -> None:
        looks = nightly_looks(PLAN, BEHIND, [night(DUE, Outcome.RUNNING)], NOW)
        assert verdicts(looks) == (PASS, WARN)
        assert looks[1].words.startswith(
            "The run for 2021-01-19 began at 2021-01-20 02:00 UTC and has not ended"
        )

    def test_a_night_that_failed_is_not_late(self) -> None:
        looks = nightly_looks(PLAN, BEHIND, [night(DUE, Outcome.FAILED)], NOW)
        assert verdicts(looks) == (PASS, FAIL)

    def test_of_two_runs_the_last_counts(self) -> None:
        runs = [night(DUE, Outcome.FAILED), night(DUE, Outcome.RUNNING, hour=4)]
        assert verdicts(nightly_looks(PLAN, BEHIND, runs, NOW)) == (PASS, WARN)

    @pytest.mark.parametrize("published", [None, Published(NOW - timedelta(hours=1), date(2020, 12, 31))])
    def test_no_night_is_missed_before_the_first_snapshot(self, published: Published | None) -> None:
        assert verdicts(nightly_looks(PLAN, published, [], NOW)) == (NOT_JUDGED, NOT_JUDGED)


class TestMeasuredNights:
    @pytest.mark.parametrize(
        ("run", "outcome", "verdict"),
        [
            (night(DUE, Outcome.PUBLISHED, "pass"), PASS, PASS),
            (night(DUE, Outcome.SKIPPED, "warn"), PASS, WARN),
            (night(DUE, Outcome.FAILED), FAIL, NOT_JUDGED),
            (night(DUE, Outcome.FAILED, "pass"), FAIL, PASS),
            (night(DUE, Outcome.FAILED, "fail"), PASS, FAIL),  # told once, as the gate's
            (night(DUE, Outcome.RUNNING), NOT_JUDGED, NOT_JUDGED),
        ],
    )
    def test_the_gates_refusal_is_no_failure_beside_it(
        self, run: Night, outcome: Verdict, verdict: Verdict
    ) -> None:
        measured = {each.measure.metric: each.measure.verdict for each in measured_nights([run])}
        assert measured == {NIGHT_OUTCOME: outcome, NIGHT_VERDICT: verdict}

    def test_each_dates_last_run_counts(self) -> None:
        earlier = DUE - timedelta(days=1)
        runs = [
            night(DUE, Outcome.PUBLISHED, "pass", hour=9),
            night(DUE, Outcome.FAILED),
            night(earlier, Outcome.FAILED),
        ]
        found = {
            each.day: each.measure.verdict
            for each in measured_nights(runs)
            if each.measure.metric == NIGHT_OUTCOME
        }
        assert found == {DUE: PASS, earlier: FAIL}
