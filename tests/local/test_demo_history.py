"""A generated month in a real store, watched as a month of life would be: silent when healthy, each fault found alone.

Days are fixed, so that the month is the same on every day it is generated on.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from pyspark.sql import SparkSession

from creditrisk.monitoring_limits import MonitoringLimits
from creditrisk.online_store import OnlineStore
from creditrisk.refresh import publish_snapshot
from creditrisk.results_limits import ResultsLimits
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog
from creditrisk.storage import Storage
from local import demo_history, demo_telling
from local.demo_customers import LoanBook
from local.demo_history import DemoHistory
from local.demo_month import FIRST_LOAN_ID, Fault
from local.demo_removal import remove
from local.demo_snapshots import GENERATED
from local.demo_telling import Wanted
from local.progress import Progress
from monitoring.watch import Watch
from tests.creditrisk.published_market import ask
from tests.local.own_market import OwnMarket
from tests.monitoring.watched_month import WELL
from tests.spark_jobs.conftest import spark

__all__ = ["spark"]

NEWEST = date(2021, 6, 24)
NOON = datetime(2021, 6, 25, 12, tzinfo=UTC)
MARKET = OwnMarket(NEWEST, NOON)
MEASURED = 6
FIRST = NEWEST - timedelta(days=29)


@pytest.fixture
def market(market_settings: Settings) -> Settings:
    """Loans landed and built into a snapshot, and a version trained on them and released."""
    limits = {"results": ResultsLimits(overdue_days=22), "monitoring": MonitoringLimits(least_rows=100)}
    settings = market_settings.model_copy(update=limits)
    MARKET.make(settings)
    return settings


Teller = Callable[..., Settings]


@pytest.fixture
def told(market: Settings) -> Teller:
    """Tells a month, with faults; the settings of its market."""

    def tell(*faults: Fault, decisions: int = 700, measured: int = 3, days: int = 30) -> Settings:
        wanted = Wanted(days, decisions, MARKET.seed, 0, measured, frozenset(faults), with_report=False)
        DemoHistory(market, wanted, Progress(), now=NOON).make()
        return market

    return tell


def alerts_of(settings: Settings, *mornings: datetime) -> Counter[str]:
    """What the watch tells at some moments, one after the other."""
    started = Counter[str]()
    for morning in mornings:
        found = Watch(settings).look(now=morning, parts=WELL)
        started.update(one.rule.name for one in found.started)
    return started


def morning_after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 8, tzinfo=UTC) + timedelta(days=1)


def test_a_healthy_month_is_silent_and_every_view_has_something_true_to_say(told: Teller) -> None:
    settings = told(measured=MEASURED)
    mornings = [morning_after(NEWEST - timedelta(days=back)) for back in reversed(range(MEASURED))]
    assert alerts_of(settings, *mornings) == {}

    verdicts = dict(ask(settings, "SELECT verdict, count(*)::int FROM {schema}.metrics GROUP BY 1", "reader"))
    assert set(verdicts) == {"pass", "not judged"}
    for metric in ("drift_test", "score_population_stability_index", "snapshot_age_days"):
        question = (
            f"SELECT count(DISTINCT day)::int, max(verdict) FROM {{schema}}.metrics WHERE metric = '{metric}'"
        )
        assert ask(settings, question, "reader") == [(MEASURED, "pass")], metric

    unmeasured = "SELECT verdict, count(*)::int FROM {schema}.metrics WHERE metric = 'skew_rows' GROUP BY 1"
    assert ask(settings, unmeasured, "reader") == [("not judged", MEASURED)]  # nobody ran Spark

    ((decided, keys, first, last, arms),) = ask(
        settings,
        "SELECT count(*)::int, array_agg(DISTINCT key_name), min(decided_at), max(decided_at), "
        "array_agg(DISTINCT arm || ' ' || model_version) FROM {schema}.decisions",
        "reader",
    )
    assert decided == pytest.approx(31 * 700, rel=0.1)
    assert (keys, arms) == (["demo history"], [f"champion {MARKET.version}"])
    assert (first.date(), NOON - last < timedelta(hours=1), last <= NOON) == (FIRST, True, True)
    ((one,),) = ask(settings, "SELECT decision_id::text FROM {schema}.decisions LIMIT 1", "reader")
    assert UUID(one).version == 7

    question = "SELECT sum(requests) FILTER (WHERE status = 200)::int, count(DISTINCT status)::int FROM {schema}.traffic"
    assert ask(settings, question, "reader") == [(decided, 2)]

    nights = ask(settings, "SELECT as_of, run_id, outcome, verdict FROM {schema}.nights ORDER BY 1", "reader")
    assert [(day, run) for day, run, *_ in nights] == [
        (day, f"generated {day}") for day in (FIRST + timedelta(days=number) for number in range(-1, 30))
    ]
    assert {rest for _, _, *rest_of in nights for rest in [tuple(rest_of)]} == {("published", "pass")}
    words = "SELECT DISTINCT substring(why FROM '[(].*') FROM {schema}.nights"
    assert ask(settings, words, "reader") == [("(Generated, and not built by the feature job.)",)]


def test_the_last_days_customers_are_worked_out_again_by_the_feature_job(
    market: Settings, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (demo_history, demo_telling):
        monkeypatch.setattr(module, "spark_session", lambda _: nullcontext(spark))
    settings = market.model_copy(update={"spark_master": "local[2]"})
    wanted = Wanted(5, 300, MARKET.seed, 1, 2, with_report=False)
    DemoHistory(settings, wanted, Progress(), now=NOON).make()
    question = (
        "SELECT day, verdict, value, words FROM {schema}.metrics WHERE metric = 'skew_rows' ORDER BY day"
    )
    before, last = ask(settings, question, "reader")
    assert before[:3] == (NEWEST - timedelta(days=1), "not judged", None)
    assert before[3] == "Not judged: the job has not worked out the day's features again."
    ((decided,),) = ask(
        settings,
        f"SELECT count(*)::int FROM {{schema}}.decisions WHERE decided_at::date = '{NEWEST}'",
        "reader",
    )
    told = f"0 of {decided} decisions rest on other features than the feature job's own."
    assert last == (NEWEST, "pass", 0, told)
    catalog = SnapshotCatalog(Storage(settings.lake_root))
    rested_on = catalog.current(NEWEST - timedelta(days=1))
    assert rested_on is not None
    files = catalog.manifest(rested_on).inputs  # the generated night's own, and not those of the day after
    assert [file.landed for file in files[1:]] == sorted(
        date.fromisoformat(day)
        for day in catalog.lake.folders("raw/loans")
        if day != str(NEWEST) and day <= str(rested_on.as_of)
    )
    remove(settings)
    assert catalog.lake.keys("reports") == []


def test_outcomes_come_weeks_later_for_loans_that_were_granted(told: Teller) -> None:
    settings = told(measured=0)
    lake = Storage(settings.lake_root)
    loans, labels = {}, {}
    for key in lake.keys("raw"):
        if "demo-history" not in key:
            continue
        rows = [line.split(",") for line in lake.read(key).decode().splitlines()[1:]]
        landed = date.fromisoformat(key.split("/")[2])
        if "/loans/" in key:
            loans |= {int(row[0]): (landed, int(row[1]), row[19]) for row in rows}
        else:
            labels |= {int(row[0]): (landed, date.fromisoformat(row[2])) for row in rows}
    assert min(loans) > FIRST_LOAN_ID
    assert {status for _, _, status in loans.values()} == {""}
    assert 0 < len(labels) < len(loans)
    for loan, (landed, known_on) in labels.items():
        assert landed == known_on <= NEWEST
        assert 7 <= (known_on - loans[loan][0]).days <= 21
    granted = set(
        ask(
            settings,
            "SELECT customer, as_of FROM {schema}.decisions WHERE decision = 0 AND loan = 'next'",
            "reader",
        )
    )
    assert {(customer, day) for day, customer, _ in loans.values()} <= granted


@pytest.mark.parametrize(
    ("fault", "rule", "days", "decisions"),
    [
        (Fault.DRIFT, "drift", 14, 700),
        (Fault.LATE_LABELS, "labels_overdue", 30, 700),
        (Fault.LATE_NIGHT, "nightly_late", 8, 700),
        (Fault.NIGHT_NEVER_STARTED, "nightly_never_started", 8, 700),
        (Fault.BAD_OUTCOMES, "realised_quality", 30, 1500),
    ],
)
def test_a_planted_fault_gives_its_alert_and_no_other(
    told: Teller, fault: Fault, rule: str, days: int, decisions: int
) -> None:
    settings = told(fault, days=days, decisions=decisions)
    mornings = [morning_after(NEWEST - timedelta(days=back)) for back in reversed(range(3))]
    assert alerts_of(settings, *mornings) == {rule: 1}


@pytest.mark.parametrize("since_newest", [1, 2], ids=["its snapshot is there", "its snapshot is not there"])
def test_a_history_told_just_after_the_slot_has_the_slots_night_in_its_slot(
    market: Settings, since_newest: int
) -> None:
    slot = datetime(2021, 6, 24, 2, tzinfo=UTC) + timedelta(days=since_newest)
    wanted = Wanted(5, 300, MARKET.seed, 0, 1, with_report=False)
    now = slot + timedelta(minutes=1)
    DemoHistory(market, wanted, Progress(), now=now).make()
    question = "SELECT as_of, started_at, ended_at <= %s FROM {schema}.nights ORDER BY 1 DESC LIMIT 2"
    day, a_day = slot.date() - timedelta(days=1), timedelta(days=1)
    assert ask(market, question.replace("%s", f"'{now}'"), "reader") == [
        (day, slot, True),
        (day - a_day, slot - a_day, True),
    ]
    looks = Watch(market).look(now=slot + timedelta(hours=3), parts=WELL)
    assert "nightly_never_started" not in {one.rule.name for one in looks.started}


def test_is_told_once_and_can_be_removed(told: Teller, market: Settings) -> None:
    lake = Storage(market.lake_root)
    catalog = SnapshotCatalog(lake)
    own = catalog.newest()
    publish_snapshot(market, str(own))
    before = lake.keys("raw")
    told(measured=1, days=5)
    assert OnlineStore(market).served() != own
    assert catalog.manifest(catalog.newest()).code_version == GENERATED
    with pytest.raises(
        demo_history.CreditRiskError, match="there is a generated history already, 6 nights from"
    ):
        told(days=5)
    said = remove(market)
    assert said[-1] == f"Served now: {own}."
    assert lake.keys("raw") == before
    assert (catalog.dates(), catalog.newest(), OnlineStore(market).served()) == ([NEWEST], own, own)
    for table in ("decisions", "traffic", "nights", "metrics", "vintages"):
        assert ask(market, f"SELECT count(*)::int FROM {{schema}}.{table}", "reader") == [(0,)], table
    store = OnlineStore(market)
    assert ({switch.snapshot for switch in store.switches()}, store.kept()) == ({own}, {own})
    assert remove(market) == [f"Market {market.market} has no generated history."]


def test_features_are_the_contracts_definition() -> None:
    def loan(number: int, day: str, amount: int) -> dict[str, str]:
        return {
            "loan_id": str(number), "id": "7", "loan_date": day, "loan_amount": f"{amount}.0", "status": "0",
            "birthday": "1990-01-01", "job_start_date": "3021-09-18", "flag_own_car": "Y", "code_gender": "F",
        }  # fmt: skip

    loans = [
        loan(1, "2021-01-01", 100), loan(3, "2021-02-01", 400), loan(2, "2021-02-01", 200), loan(4, "2021-03-01", 900),
    ]  # fmt: skip
    days = {date.fromisoformat(row["loan_date"]) for row in loans}
    book = LoanBook({day: [row for row in loans if row["loan_date"] == str(day)] for day in days})
    book.take_until(date(2021, 12, 31))
    assert [row[0] for row in book.rows] == [1, 2, 3, 4]
    assert [row[5] for row in book.rows] == [0, 1, 2, 3]
    assert [row[6] for row in book.rows] == [None, 100.0, 100.0, pytest.approx(700 / 3)]
    borrower = book.borrowers[7]
    assert borrower.features_of_application(date(2021, 3, 2)) == (31, None, 4, 400.0, 1)
    assert borrower.features_as_of(date(2021, 3, 2)) == (31, None, 3, pytest.approx(700 / 3), 1)


def test_a_market_that_is_not_the_samples_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDITRISK_MARKET", "mx")
    assert demo_history.main([]) == 1
    assert "market mx: its loans may be real" in capsys.readouterr().err
