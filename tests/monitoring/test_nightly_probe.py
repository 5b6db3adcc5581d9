"""Whether the last night is there: slots of the market's clock, publications, and rows of nights."""

from datetime import UTC, date, datetime, timedelta, tzinfo
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
    OTHER_NIGHTS,
    Due,
    NightlyPlan,
    Published,
    due_night,
    measured_nights,
    nightly_looks,
)

MEXICO = ZoneInfo("America/Mexico_City")
PLAN = NightlyPlan("0 2 * * *", UTC, timedelta(hours=3))
NOW = datetime(2021, 1, 20, 6, tzinfo=UTC)
DUE = date(2021, 1, 19)
"""The date of the night that was due by then."""

LONG_AGO = datetime(2021, 1, 1, tzinfo=UTC)

SLOT = datetime(2021, 1, 20, 2, tzinfo=UTC)
PASS, WARN, FAIL, NOT_JUDGED = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.NOT_JUDGED


def published(*dates: date, at: datetime | None = None) -> Published:
    """Snapshots of some dates, each published in its slot or at a moment."""
    in_time = {
        day: datetime(day.year, day.month, day.day, 2, 4, tzinfo=UTC) + timedelta(days=1) for day in dates
    }
    return Published(LONG_AGO, max(dates), {day: at or in_time[day] for day in dates})


BEHIND = published(DUE - timedelta(days=1))


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
    assert set(by_name) == {NIGHTLY_START, NIGHTLY_RUN, OTHER_NIGHTS}
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
        assert verdicts(nightly_looks(PLAN, published(DUE), [], NOW)) == (PASS, PASS)

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

    @pytest.mark.parametrize("since", [None, Published(NOW - timedelta(hours=1), date(2020, 12, 31), {})])
    def test_no_night_is_missed_before_the_first_snapshot(self, since: Published | None) -> None:
        assert verdicts(nightly_looks(PLAN, since, [], NOW)) == (NOT_JUDGED, NOT_JUDGED)

    @pytest.mark.parametrize(
        ("as_of", "at"),
        [
            (DUE, SLOT - timedelta(hours=11)),  # the day was not over
            (DUE, SLOT - timedelta(minutes=1)),
            (DUE + timedelta(days=1), NOW - timedelta(minutes=5)),  # today's, and its slot is tonight
            (date(2022, 1, 1), NOW - timedelta(minutes=5)),
        ],
    )
    def test_a_date_that_was_published_ahead_of_its_slot_hides_no_night_that_never_started(
        self, as_of: date, at: datetime
    ) -> None:
        early = night(as_of, Outcome.PUBLISHED, "pass", started_at=at - timedelta(minutes=3), ended_at=at)
        looks = nightly_looks(PLAN, published(as_of, at=at), [early], NOW)
        assert verdicts(looks) == (FAIL, NOT_JUDGED)
        assert ("It was run before that." in looks[0].words) is (as_of == DUE)

    @pytest.mark.parametrize("outcome", [Outcome.PUBLISHED, Outcome.SKIPPED])
    def test_a_night_whose_work_was_done_ahead_is_well_once_its_own_run_has_found_that(
        self, outcome: Outcome
    ) -> None:
        ahead = published(DUE, at=SLOT - timedelta(hours=11))
        assert verdicts(nightly_looks(PLAN, ahead, [night(DUE, outcome, "pass")], NOW)) == (PASS, PASS)

    def test_a_later_nights_snapshot_makes_up_for_one_that_never_started(self) -> None:
        late = NightlyPlan(PLAN.schedule, UTC, timedelta(hours=26))
        now = NOW + timedelta(days=1)
        assert late.due(now) == (SLOT, DUE)
        assert verdicts(nightly_looks(late, published(DUE + timedelta(days=1)), [], now)) == (PASS, PASS)


class TestDueNight:
    """What the table of nights says of the newest one."""

    def test_has_begun_where_a_run_did_in_its_slot_or_later(self) -> None:
        before, in_time = night(DUE - timedelta(days=1), Outcome.FAILED), night(DUE, Outcome.RUNNING)
        ahead = night(DUE, Outcome.PUBLISHED, started_at=SLOT - timedelta(hours=11))
        assert due_night(PLAN, [before], NOW) == Due(DUE, has_begun=False)
        assert due_night(PLAN, [before, ahead], NOW) == Due(DUE, has_begun=False)
        assert due_night(PLAN, [before, ahead, in_time], NOW) == Due(DUE, has_begun=True)

    def test_nothing_is_due_before_the_first_night_and_without_a_schedule(self) -> None:
        assert due_night(PLAN, [], NOW) is None
        assert (
            due_night(PLAN, [night(DUE - timedelta(days=99), Outcome.RUNNING, started_at=NOW)], NOW) is None
        )
        off = NightlyPlan("", UTC, timedelta(hours=3))
        assert due_night(off, [night(DUE, Outcome.PUBLISHED)], NOW) is None


class TestOtherNights:
    """Runs that no slot asked for."""

    def look(self, *nights: Night, plan: NightlyPlan = PLAN, now: datetime = NOW) -> Look:
        (found,) = (look for look in nightly_looks(plan, BEHIND, nights, now) if look.name == OTHER_NIGHTS)
        return found

    @property
    def newest(self) -> Night:
        return night(DUE, Outcome.PUBLISHED, "pass")

    def again(self, outcome: Outcome, back: int = 5, **changes: Any) -> Night:
        """A run of an older date, after the newest one's."""
        started_at = NOW - timedelta(hours=1, minutes=back)
        return night(DUE - timedelta(days=back), outcome, run_id="again", started_at=started_at, **changes)

    def test_an_older_date_that_is_run_again_and_fails_is_told_until_it_goes_well(self) -> None:
        failed, day = self.again(Outcome.FAILED), DUE - timedelta(days=5)
        look = self.look(self.newest, failed)
        assert (look.verdict, look.words) == (FAIL, f"The run for {day} failed: the reason.")
        told = self.look(self.newest, failed._replace(why="a sentence. And another.")).words
        assert told == f"The run for {day} failed: a sentence. And another."
        # Those of the slots are told as such.
        assert measured_nights(PLAN, [self.newest, failed])[-1].day == DUE
        again = failed._replace(run_id="later", started_at=NOW - timedelta(minutes=5))
        assert self.look(self.newest, failed, again._replace(outcome=Outcome.RUNNING)).verdict is NOT_JUDGED
        for outcome in (Outcome.PUBLISHED, Outcome.SKIPPED):
            assert self.look(self.newest, failed, again._replace(outcome=outcome)).verdict is PASS

    def test_a_night_that_failed_in_its_slot_is_the_nightlys_own_and_over_with_the_next(self) -> None:
        in_its_slot = night(DUE - timedelta(days=1), Outcome.FAILED)
        assert self.look(in_its_slot).verdict is PASS
        assert self.look(in_its_slot, self.newest).verdict is PASS

    @pytest.mark.parametrize("zone", [UTC, MEXICO])
    @pytest.mark.parametrize("day", [date.min, date.max])
    def test_any_date_that_a_form_takes_is_told_like_another(self, day: date, zone: tzinfo) -> None:
        plan = NightlyPlan(PLAN.schedule, zone, PLAN.late_after)
        odd = night(DUE, Outcome.FAILED, hour=10)._replace(as_of=day)
        look = nightly_looks(plan, published(DUE), [night(DUE, Outcome.PUBLISHED, hour=9), odd], NOW)[-1]
        assert look == Look(OTHER_NIGHTS, FAIL, f"The run for {day} failed: the reason.")
        assert len(measured_nights(plan, [odd])) == (2 if day == date.min else 0)

    def test_a_date_that_is_run_ahead_of_its_slot_and_fails_is_told(self) -> None:
        today = night(NOW.date(), Outcome.FAILED, started_at=NOW - timedelta(hours=1))
        assert self.look(self.newest, today).verdict is FAIL
        assert {each.day for each in measured_nights(PLAN, [self.newest, today])} == {DUE}

    def test_without_a_schedule_every_run_is_one(self) -> None:
        off = NightlyPlan("", UTC, timedelta(hours=3))
        assert self.look(night(DUE, Outcome.FAILED), plan=off).verdict is FAIL

    def test_one_that_nobody_runs_again_is_forgotten_after_a_week(self) -> None:
        failed, week = self.again(Outcome.FAILED), timedelta(days=7)
        assert self.look(self.newest, failed, now=failed.started_at + week).verdict is FAIL
        assert self.look(self.newest, failed, now=failed.started_at + 1.01 * week).verdict is PASS

    def test_many_are_one_alert(self) -> None:
        words = self.look(self.newest, *(self.again(Outcome.FAILED, back) for back in range(2, 10))).words
        assert words.startswith(f"The run for {DUE - timedelta(days=2)} failed: the reason. The run for ")
        assert words.endswith("And 3 more.")


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
        measured = {each.measure.metric: each.measure.verdict for each in measured_nights(PLAN, [run])}
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
            for each in measured_nights(PLAN, runs)
            if each.measure.metric == NIGHT_OUTCOME
        }
        assert found == {DUE: PASS, earlier: FAIL}
