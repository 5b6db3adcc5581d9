"""Ages of what served on a day, by the ledgers, and the day's volume by what is usual."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from creditrisk.monitoring_limits import MonitoringLimits
from creditrisk.release import ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from monitoring.service_level import service_level_measures, volume_measure
from tests.creditrisk.published_market import ask, publish
from tests.creditrisk.snapshot_factory import SnapshotFactory
from tests.logged_decisions import CHALLENGER, CHAMPION, decision, log

DAY = date(2021, 1, 10)
LIMITS = MonitoringLimits()


def release(settings: Settings, at: datetime, challenger: str | None = None, number: int = 1) -> None:
    record = ReleaseRecord.model_validate(
        {
            "number": number,
            "action": "challenge" if challenger else "promote",
            "champion": CHAMPION,
            "challenger": challenger,
            "share": 0.0,
            "by": "ana",
            "reason": "first of all",
            "at": at,
        }
    )
    ReleaseLedger(Storage(settings.registry_root)).append(record)


def test_ages_are_of_what_served_at_the_end_of_the_day(market_settings: Settings) -> None:
    snapshots = SnapshotFactory(market_settings)
    for as_of in (DAY - timedelta(days=5), DAY - timedelta(days=1)):
        publish(snapshots, snapshots.write(as_of))
    ask(
        market_settings,
        "UPDATE {schema}.publications SET published_at = as_of + time '02:00' + interval '1 day'",
        "publisher",
    )
    release(market_settings, datetime(2021, 1, 1, tzinfo=UTC))
    release(market_settings, datetime(2021, 1, 10, 23, tzinfo=UTC), CHALLENGER, 2)

    def found(day: date) -> dict[tuple[str, str], tuple[float | None, Verdict]]:
        measures = service_level_measures(market_settings, day)
        return {(each.metric, each.part): (each.value, each.verdict) for each in measures}

    today = found(DAY)
    assert today["snapshot_age_days", "all"] == (1, Verdict.PASS)
    assert today["model_age_days", "champion"] == (11, Verdict.PASS)
    assert today["model_age_days", "challenger"] == (10, Verdict.PASS)
    before = found(DAY - timedelta(days=1))
    assert before["snapshot_age_days", "all"] == (4, Verdict.WARN)
    assert ("model_age_days", "challenger") not in before
    assert found(DAY + timedelta(days=200))["model_age_days", "champion"] == (211, Verdict.FAIL)
    assert found(DAY + timedelta(days=7))["snapshot_age_days", "all"] == (8, Verdict.FAIL)
    long_ago = found(date(2020, 6, 1))
    assert long_ago["snapshot_age_days", "all"] == (None, Verdict.NOT_JUDGED)
    assert long_ago["model_age_days", "champion"] == (None, Verdict.NOT_JUDGED)


def test_decisions_are_counted_by_weekday_every_one_of_them(market_settings: Settings) -> None:
    noon = datetime(2021, 1, 10, 12, tzinfo=UTC)
    log(
        market_settings,
        [
            decision(1, decided_at=noon - timedelta(weeks=week))
            for week, count in enumerate([4, 10, 0, 8, 12, 0, 0, 0, 0, 99])
            for _ in range(count)
        ],
    )
    limits = market_settings.monitoring.model_copy(update={"volume_least": 5})
    settings = market_settings.model_copy(update={"monitoring": limits})
    (volume,) = [each for each in service_level_measures(settings, DAY) if each.metric == "volume_ratio"]
    assert volume.detail == {"decisions": 4, "earlier": [10, 0, 8, 12, 0, 0, 0, 0]}
    assert (volume.value, volume.verdict) == (0.4, Verdict.WARN)
    assert volume.words.startswith("4 decisions; a Sunday usually has 10.")


@pytest.mark.parametrize(
    ("number", "verdict", "limit"),
    [
        (0, Verdict.FAIL, 0.5),
        (190, Verdict.FAIL, 0.5),
        (499, Verdict.WARN, 0.5),
        (500, Verdict.PASS, 0.5),
        (2000, Verdict.PASS, 2.0),
        (2001, Verdict.WARN, 2.0),
        (5001, Verdict.FAIL, 2.0),
    ],
)
def test_a_volume_is_held_against_both_sides(number: int, verdict: Verdict, limit: float) -> None:
    found = volume_measure(number, [1000, 900, 1100], "Sunday", LIMITS)
    assert (found.value, found.verdict, found.limit) == (number / 1000, verdict, limit)


def test_a_month_of_healthy_days_is_as_usual() -> None:
    counts = np.random.default_rng(3).poisson(3000, 86).tolist()
    for day in range(56, 86):
        earlier = [counts[day - 7 * week] for week in range(1, 9)]
        assert volume_measure(counts[day], earlier, "Sunday", LIMITS).verdict is Verdict.PASS


@pytest.mark.parametrize("earlier", [[], [1000, 0, 0, 900], [60, 70, 80]])
def test_what_is_usual_has_to_be_known(earlier: list[int]) -> None:
    found = volume_measure(0, earlier, "Sunday", LIMITS)
    assert (found.value, found.verdict) == (None, Verdict.NOT_JUDGED)
