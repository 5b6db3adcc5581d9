"""The watch on a real Postgres: a healthy month is silent, each planted fault gives its alert and no other."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import SecretStr

from creditrisk import release_ledger
from creditrisk.errors import StorageError, StoreUnavailable
from creditrisk.kept_alerts import KeptAlerts
from creditrisk.metric_store import Measure, MetricStore
from creditrisk.probe_store import Look
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from monitoring.alert_rules import TASK_FAILED
from monitoring.alerting import Changes
from monitoring.probes import LAKE, MLFLOW, SERVICE, SERVICE_MODEL, SPOOL
from monitoring.watch import Watch
from tests.conftest import free_port
from tests.creditrisk.kept_rows import open_alerts, probes, recent_alerts, unsent_deliveries
from tests.creditrisk.published_market import ask
from tests.monitoring.watched_month import FIRST, WELL, WatchedMonth
from tests.planted_versions import plant

DAY = FIRST + timedelta(days=12)
CHAMPION, CHALLENGER = "2020-12-30-aaaaaaaaaa", "2020-12-31-bbbbbbbbbb"
FAIL, WARN = Verdict.FAIL, Verdict.WARN


@pytest.fixture
def month(market_settings: Settings) -> WatchedMonth:
    return WatchedMonth(market_settings)


@pytest.fixture
def before(month: WatchedMonth) -> WatchedMonth:
    """The days up to the one on which something goes wrong, without a look."""
    month.noise = 0
    month.night(FIRST - timedelta(days=2))
    for number in range(3, 0, -1):
        month.measures(DAY - timedelta(days=number + 1))
        month.night(DAY - timedelta(days=number + 1))
    return month


def with_part(name: str, verdict: Verdict) -> tuple[Look, ...]:
    return (*(look for look in WELL if look.name != name), Look(name, verdict, "it is bad"))


class TestHealthyMonth:
    def test_is_silent(self, month: WatchedMonth) -> None:
        told = Counter[str]()
        for day in month.mornings():
            told.update(month.look(day) + month.look(day, hour=20))
        assert told == {}
        bad = ask(month.settings, "SELECT day, metric FROM {schema}.metrics WHERE verdict = 'warn'", "reader")
        assert len({day for day, _ in bad}) > 7  # it was not silent for want of noise
        assert recent_alerts(month.settings, 36500) == []
        assert unsent_deliveries(month.settings) == []


class TestPlantedMeasures:
    @pytest.mark.parametrize(
        ("bad", "rule", "on_day"),
        [
            ({"population_stability_index": WARN, "score_population_stability_index": FAIL}, "drift", 3),
            ({"approval_rate": WARN}, "drift", 3),
            ({"incoming_population_stability_index": WARN}, "incoming_drift", 3),
            ({"skew_rows": FAIL}, "skew", 1),
            ({"realised_roc_auc": FAIL}, "realised_quality", 2),
            ({"labelled_share": WARN}, "labels_overdue", 2),
            ({"snapshot_age_days": WARN}, "data_old", 2),
            ({"volume_ratio": FAIL}, "volume", 2),
        ],
    )
    def test_a_fault_gives_its_alert_once_and_no_other(
        self, before: WatchedMonth, bad: dict[str, Verdict], rule: str, on_day: int
    ) -> None:
        told = []
        for number in range(4):
            day = DAY + timedelta(days=number)
            before.night(day - timedelta(days=1))
            before.measures(day - timedelta(days=1), bad)
            told.append(before.look(day) + before.look(day, minute=5))
        assert told == [[f"+{rule}"] if number + 1 == on_day else [] for number in range(4)]
        (alert,) = open_alerts(before.settings)
        assert alert.rule == rule
        assert alert.since == DAY - timedelta(days=1)
        assert f"{min(bad)} of " in alert.words
        mended: list[str] = []
        while not mended:
            day += timedelta(days=1)
            before.night(day - timedelta(days=1))
            before.measures(day - timedelta(days=1))
            mended = before.look(day)
        assert mended == [f"-{rule}"]
        assert (day - DAY).days <= 6

    def test_one_noisy_day_alerts_nobody(self, before: WatchedMonth) -> None:
        everything_noisy = dict.fromkeys(
            ("population_stability_index", "drift_test", "approval_rate", "volume_ratio"), FAIL
        )
        told = []
        for number in range(4):
            day = DAY + timedelta(days=number)
            before.night(day - timedelta(days=1))
            before.measures(day - timedelta(days=1), everything_noisy if number == 0 else None)
            told += before.look(day)
        assert told == []

    def test_nobody_measures(self, before: WatchedMonth) -> None:
        told = []
        for number in range(3):
            day = DAY + timedelta(days=number)
            before.night(day - timedelta(days=1))
            told.append(before.look(day))
        assert told == [[], ["+monitoring_late"], []]
        before.measures(DAY + timedelta(days=1))
        assert before.look(DAY + timedelta(days=2), minute=5) == ["-monitoring_late"]


class TestPlantedNights:
    def morning(self, month: WatchedMonth) -> date:
        """Everything is there but the night, whose date it gives."""
        month.measures(DAY - timedelta(days=1))
        return DAY - timedelta(days=1)

    def test_a_night_that_never_started(self, before: WatchedMonth) -> None:
        as_of = self.morning(before)
        assert before.look(DAY, hour=4, minute=55) == []
        assert before.look(DAY, hour=5) == ["+nightly_never_started"]
        assert before.look(DAY, hour=5, minute=5) == []
        (alert,) = open_alerts(before.settings)
        assert (
            alert.serving
            == f"no model that is known of, snapshot {as_of - timedelta(days=1)}-0123456789ab (2 days old)"
        )
        assert alert.link == "docs/runbook.md#the-nightly-run-never-started"
        before.night(as_of)
        assert before.look(DAY, hour=9) == ["-nightly_never_started"]

    def test_a_late_night(self, before: WatchedMonth) -> None:
        as_of = self.morning(before)
        before.night(as_of, "running", None)
        assert before.look(DAY, hour=4) == []
        assert before.look(DAY, hour=5) == ["+nightly_late"]
        before.night(as_of)
        assert before.look(DAY, hour=6) == ["-nightly_late"]

    def test_a_night_that_failed_is_told_at_once_and_not_as_late_too(self, before: WatchedMonth) -> None:
        as_of = self.morning(before)
        before.night(as_of, "failed", None)
        assert before.look(DAY, hour=3) == ["+nightly_failed"]
        assert before.look(DAY, hour=8) == []
        before.night(as_of, "running", None)
        assert before.look(DAY, hour=9) == ["+nightly_late"]  # it is tried again, and still not there
        before.night(as_of)
        assert sorted(before.look(DAY, hour=10)) == ["-nightly_failed", "-nightly_late"]

    def test_a_snapshot_that_the_gate_stopped_is_told_as_that(self, before: WatchedMonth) -> None:
        as_of = self.morning(before)
        before.night(as_of, "failed", "fail")
        assert before.look(DAY, hour=3) == ["+quality_gate_failed"]
        assert before.look(DAY, hour=8) == []
        before.night(as_of)
        assert before.look(DAY, hour=9) == ["-quality_gate_failed"]

    def test_a_date_published_ahead_of_its_slot_hides_no_night_that_never_started(
        self, before: WatchedMonth
    ) -> None:
        as_of = self.morning(before)
        before.night(as_of, began=datetime(as_of.year, as_of.month, as_of.day, 15, tzinfo=UTC))
        before.night(
            DAY + timedelta(days=9), began=datetime(as_of.year, as_of.month, as_of.day, 16, tzinfo=UTC)
        )
        assert before.look(DAY, hour=5) == ["+nightly_never_started"]
        before.night(as_of)
        assert before.look(DAY, hour=9) == ["-nightly_never_started"]

    def test_an_older_date_that_is_run_again_and_fails(self, before: WatchedMonth) -> None:
        before.night(self.morning(before))
        by_hand, older = datetime(DAY.year, DAY.month, DAY.day, 9, tzinfo=UTC), DAY - timedelta(days=3)
        before.night(older, "failed", None, began=by_hand)
        assert before.look(DAY, hour=10) == ["+other_night_failed"]
        assert before.look(DAY, hour=11) == []
        (alert,) = open_alerts(before.settings)
        assert alert.words == f"The run for {older} failed: simulated."
        before.night(older, "skipped", began=by_hand)
        assert before.look(DAY, hour=12) == ["-other_night_failed"]

    def test_a_night_that_failed_before_the_schedule_was_switched_off(self, before: WatchedMonth) -> None:
        as_of = self.morning(before)
        before.night(as_of, "failed", None)
        assert before.look(DAY, hour=3) == ["+nightly_failed"]
        before.settings = before.settings.model_copy(update={"nightly_schedule": ""})
        assert before.look(DAY, hour=4) == ["+other_night_failed", "-nightly_failed"]
        assert before.look(DAY + timedelta(days=7), hour=4)[-1:] == ["-other_night_failed"]

    def test_a_gate_that_warns_once_alerts_nobody_and_twice_it_does(self, before: WatchedMonth) -> None:
        told = []
        for number, verdict in enumerate(["warn", "pass", "pass", "warn", "warn", "pass", "pass"]):
            day = DAY + timedelta(days=number)
            before.night(day - timedelta(days=1), verdict=verdict)
            before.measures(day - timedelta(days=1))
            told.append(before.look(day))
        assert told == [[], [], [], [], ["+quality_gate_warned"], [], ["-quality_gate_warned"]]


class TestPlantedParts:
    @pytest.mark.parametrize(
        ("part", "verdict", "rule"),
        [
            (SPOOL, FAIL, "decision_log_stuck"),
            (SERVICE, FAIL, "service_not_ready"),
            (SERVICE_MODEL, WARN, "model_not_taken_up"),
            (LAKE, FAIL, "lake_away"),
            ("airflow scheduler", FAIL, "airflow_scheduler"),
        ],
    )
    def test_a_part_that_stays_bad_gives_its_alert_and_no_other(
        self, before: WatchedMonth, part: str, verdict: Verdict, rule: str
    ) -> None:
        before.night(DAY - timedelta(days=1))
        before.measures(DAY - timedelta(days=1))
        bad = with_part(part, verdict)
        told = [before.look(DAY, minute=minute, parts=bad) for minute in (0, 5, 10, 15)]
        assert told == [[], [], [f"+{rule}"], []]
        told = [before.look(DAY, minute=minute) for minute in (20, 25, 30)]
        assert told == [[], [], [f"-{rule}"]]

    def test_a_lake_that_is_away_is_told_although_alerts_may_wait_in_it(self, before: WatchedMonth) -> None:
        before.night(DAY - timedelta(days=1))
        before.measures(DAY - timedelta(days=1))
        before.settings = before.settings.model_copy(update={"lake_url": "file:///dev/null"})
        told = [before.look(DAY, minute=minute, parts=with_part(LAKE, FAIL)) for minute in (0, 5, 10)]
        assert told == [[], [], ["+lake_away"]]

    def test_one_bad_look_alerts_nobody(self, before: WatchedMonth) -> None:
        before.night(DAY - timedelta(days=1))
        before.measures(DAY - timedelta(days=1))
        told = [
            before.look(DAY, minute=minute, parts=with_part(SPOOL, FAIL) if minute % 10 else WELL)
            for minute in range(0, 60, 5)
        ]
        assert told == [[]] * 12

    def test_every_part_is_shown_as_it_was_seen(self, before: WatchedMonth) -> None:
        before.look(DAY, parts=with_part(SPOOL, FAIL))
        seen = {probe.name: probe.verdict for probe in probes(before.settings)}
        assert seen[SPOOL] is FAIL
        assert seen["postgres"] is Verdict.PASS
        assert {"nightly start", "nightly run", "nights of other dates", "monitoring", SERVICE, LAKE} <= set(
            seen
        )


class TestGone:
    """What there is no more ends its alert, and says why; what cannot be looked at does not."""

    def ended(self, month: WatchedMonth) -> str:
        (alert,) = recent_alerts(month.settings, 36500)
        assert alert.ended_at is not None
        return str(alert.ended_because)

    def test_a_nightly_run_that_is_switched_off(self, before: WatchedMonth) -> None:
        before.measures(DAY - timedelta(days=1))
        assert before.look(DAY) == ["+nightly_never_started"]
        before.settings = before.settings.model_copy(update={"nightly_schedule": ""})
        assert before.look(DAY, minute=5) == ["-nightly_never_started"]
        assert self.ended(before) == "The nightly run is switched off."

    def test_monitoring_that_is_switched_off(self, before: WatchedMonth) -> None:
        before.night(DAY - timedelta(days=1))
        before.night(DAY)
        assert before.look(DAY + timedelta(days=1)) == ["+monitoring_late"]
        before.settings = before.settings.model_copy(update={"monitoring_schedule": ""})
        assert before.look(DAY + timedelta(days=1), minute=5) == ["-monitoring_late"]
        assert self.ended(before) == "Monitoring is switched off."

    def test_a_part_that_is_there_no_more_and_one_that_cannot_be_seen(self, before: WatchedMonth) -> None:
        before.night(DAY - timedelta(days=1))
        before.measures(DAY - timedelta(days=1))
        looks = [before.look(DAY, hour, parts=with_part(MLFLOW, FAIL)) for hour in (8, 9)]
        assert looks == [[], ["+mlflow_away"]]
        assert before.look(DAY, 11, parts=with_part(MLFLOW, Verdict.NOT_JUDGED)) == []
        others = [look for look in WELL if look.name != MLFLOW]
        gone = Look(MLFLOW, Verdict.NOT_JUDGED, "Runs are kept in a file.", is_gone=True)
        assert before.look(DAY, 12, parts=(*others, gone)) == ["-mlflow_away"]
        assert self.ended(before) == "Runs are kept in a file."

    def test_an_arm_that_decides_nothing_any_more(self, before: WatchedMonth) -> None:
        store = MetricStore(before.settings)

        def measured(day: date, **arms: Verdict) -> None:
            store.replace(
                day,
                [
                    Measure("approval_rate", f"day/{arm}", 0.1, 0.2, verdict, f"{arm} is {verdict}")
                    for arm, verdict in arms.items()
                ],
                metrics=["approval_rate"],
            )

        told = []
        for number in range(5):
            day = DAY + timedelta(days=number)
            before.night(day - timedelta(days=1))
            before.measures(day - timedelta(days=1))
            challenger = {"challenger": WARN} if number < 3 else {}
            measured(day - timedelta(days=1), all=Verdict.NOT_JUDGED, **challenger)
            told.append(before.look(day))
        assert told == [[], [], ["+drift"], ["-drift"], []]
        assert self.ended(before) == (
            f"approval_rate of day/challenger is no longer measured: its last day is {DAY + timedelta(days=1)}."
        )


class TestReleases:
    @pytest.fixture
    def releases(self, month: WatchedMonth) -> Settings:
        settings = month.settings
        for version in (CHAMPION, CHALLENGER):
            plant(Storage(settings.registry_root), version)
        release_ledger.promote(settings, CHAMPION, by="ana", reason="the first one")
        release_ledger.challenge(settings, CHALLENGER, 0.0, by="ana", reason="looks better")
        release_ledger.abort(settings, CHALLENGER, by="ana", reason="it declines everybody")
        return settings

    def test_each_is_told_once_whoever_tells_it(self, releases: Settings) -> None:
        watch = Watch(releases, ("log", "webhook"))
        watch.tell_releases()
        watch.look(parts=WELL)
        watch.look(parts=WELL)
        told = {alert.rule: alert for alert in recent_alerts(releases, 1)}
        assert set(told) == {"model_released", "release_aborted"}
        aborted = told["release_aborted"]
        assert aborted.subject == "release 3"
        assert "it declines everybody" in aborted.words
        assert aborted.serving == f"model {CHAMPION}, no snapshot that is known of"
        assert open_alerts(releases) == []
        assert len(unsent_deliveries(releases)) == 4

    def test_what_happened_long_ago_is_no_news(self, releases: Settings) -> None:
        Watch(releases).look(datetime.now(UTC) + timedelta(hours=25), WELL)
        assert [each for each in recent_alerts(releases, 1) if each.rule != "monitoring_late"] == []


def test_two_watchers_at_once_tell_it_once(before: WatchedMonth) -> None:
    before.measures(DAY - timedelta(days=1))
    with ThreadPoolExecutor(4) as racers:
        told = list(racers.map(lambda _: before.look(DAY), range(4)))
    assert sorted(told) == [[], [], [], ["+nightly_never_started"]]
    assert len(unsent_deliveries(before.settings)) == 1


class TestReported:
    def test_a_failed_task_is_told_once_until_it_goes_well(self, month: WatchedMonth) -> None:
        watch = Watch(month.settings)
        for words in ("it failed", "it failed again"):
            watch.report(TASK_FAILED, "train_model.train", words)
        watch.report_over(TASK_FAILED, "train_model.gate", "it went well")
        watch.look(parts=WELL)
        (alert,) = open_alerts(month.settings)
        assert (alert.rule, alert.subject, alert.words) == ("task_failed", "train_model.train", "it failed")
        watch.report_over(TASK_FAILED, "train_model.train", "it went well")
        assert open_alerts(month.settings) == []
        assert [alert.ended_because for alert in recent_alerts(month.settings, 1)] == ["it went well"]


class TestPostgresAway:
    @pytest.fixture
    def away(self, month: WatchedMonth) -> Watch:
        """A watch that cannot reach it."""
        url = SecretStr(f"postgresql://creditrisk_publisher:x@127.0.0.1:{free_port()}/creditrisk")
        urls = {"publisher_database_url": url, "reader_database_url": url}
        return Watch(month.settings.model_copy(update=urls), ("log", "webhook"))

    def back(self, month: WatchedMonth) -> Changes:
        return Watch(month.settings, ("log", "webhook")).look(parts=WELL)

    def test_it_waits_in_the_lake_and_is_taken_over_once(self, month: WatchedMonth, away: Watch) -> None:
        settings = month.settings
        with pytest.raises(StoreUnavailable, match="Connection refused"):
            away.look(parts=WELL)
        assert away.keep_outage("Connection refused") == []  # one look may be a restart
        for _ in range(2):
            kept = away.keep_outage("Connection refused")
        away.report(TASK_FAILED, "train_model.train", "it failed meanwhile")
        kept[0].mark_told("log")
        waiting = KeptAlerts((Storage(settings.lake_root),))
        assert [each.alert.rule for each in waiting.waiting()] == ["store_away", "task_failed"]

        found = self.back(month)
        assert [alert.rule for alert, _ in found.ended] == ["store_away"]
        assert waiting.waiting() == []
        assert [alert.rule for alert in open_alerts(settings)] == ["task_failed"]
        # The log was told of its start while Postgres was away; the webhook was not.
        unsent = [(each.alert.rule, each.event, each.channel) for each in unsent_deliveries(settings)]
        assert unsent == [
            ("store_away", "started", "webhook"),
            ("store_away", "ended", "log"),
            ("store_away", "ended", "webhook"),
            ("task_failed", "started", "log"),
            ("task_failed", "started", "webhook"),
        ]

    def test_one_look_without_it_alerts_nobody_and_is_forgotten(
        self, month: WatchedMonth, away: Watch
    ) -> None:
        for _ in range(3):
            assert away.keep_outage("Connection refused") == []
            self.back(month)
        assert recent_alerts(month.settings, 1) == []
        assert Storage(month.settings.lake_root).keys("alerts") == []

    def test_with_the_lake_away_too_it_waits_on_this_machine(self, month: WatchedMonth, away: Watch) -> None:
        nowhere = replace(away, settings=away.settings.model_copy(update={"lake_url": "file:///dev/null"}))
        assert nowhere.keep_outage("Connection refused") == []
        for told in (frozenset(), frozenset({"log"})):
            (kept,) = nowhere.keep_outage("Connection refused")
            assert (kept.alert.rule, kept.told) == ("store_away", told)
            kept.mark_told("log")
        assert "Connection refused The lake cannot be used either: file:///dev/null" in kept.alert.words
        assert [alert.rule for alert, _ in self.back(month).ended] == ["store_away"]
        unsent = [(each.event, each.channel) for each in unsent_deliveries(month.settings)]
        assert unsent == [("started", "webhook"), ("ended", "log"), ("ended", "webhook")]

    def test_what_cannot_be_removed_is_taken_over_once(
        self, month: WatchedMonth, away: Watch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(2):
            away.keep_outage("Connection refused")
        with monkeypatch.context() as patched:

            def refuses(*_: object) -> None:
                raise StorageError("the bucket's policy forbids it")

            for name in ("remove", "remove_folder", "create"):  # not even a mark can be left
                patched.setattr(Storage, name, refuses)
            for _ in range(2):
                self.back(month)
            assert [alert.rule for alert in recent_alerts(month.settings, 1)] == ["store_away"]
        self.back(month)
        assert len(recent_alerts(month.settings, 1)) == 1
        assert Storage(month.settings.lake_root).keys("alerts") == []
