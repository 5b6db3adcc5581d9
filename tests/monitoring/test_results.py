"""Decisions of November, whose outcomes arrive in December and January: a real Postgres, lake and registry, known truth."""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
import pytest
from psycopg2 import sql
from psycopg2.extras import execute_values
from sklearn.metrics import brier_score_loss, roc_auc_score

from creditrisk.metric_store import Measure, MetricStore
from creditrisk.online_store import OnlineStore
from creditrisk.registry import ModelRegistry
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, Verdict
from creditrisk.storage import Storage
from creditrisk.vintage_store import Vintage
from monitoring.labels import AskedLoans, joined_ids, known_by, made_with
from monitoring.results import METRICS, measure_results
from tests.creditrisk.kept_rows import vintages
from tests.monitoring.outcome_world import Loan, write_snapshot, write_training_set

CHAMPION, CHALLENGER = "2020-10-30-aaaaaaaaaa", "2020-10-31-bbbbbbbbbb"
OCTOBER, NOVEMBER = date(2020, 10, 31), date(2020, 11, 1)
SOME, ALL = date(2020, 12, 10), date(2021, 1, 20)
COUNT, THRESHOLD = 6000, 0.2

_INSERT = sql.SQL("""
    INSERT INTO {} (decision_id, decided_at, customer, loan, as_of, snapshot, age, nb_previous_loans, flag_own_car,
        release, champion, model_version, arm, probability, threshold, decision, challenger, champion_probability,
        challenger_probability, latency_microseconds)
    SELECT gen_random_uuid(), decided_at, customer, loan, as_of, snapshot, 42, 0, 1, 1, champion, champion, 'champion',
        champion_probability, 0.2, (champion_probability >= 0.2)::int, challenger, champion_probability,
        challenger_probability, 900
    FROM (VALUES %s) AS row (decided_at, customer, loan, as_of, snapshot, champion, challenger, champion_probability,
        challenger_probability)
""")


@dataclass
class World:
    """What really happened, an entry a customer: the even ones ask about their newest loan, the odd ones apply."""

    settings: Settings
    mine: Any
    """The champion's scores, which are the truth."""
    theirs: Any
    """The challenger's, which know less and say more."""
    late: Any
    counts: Any
    """Whose outcome is known in the end: all but declined applications, and those the champion was made with."""


def loans_of(late: Any, known: Any) -> list[Loan]:
    """The newest loan of the even customers, and the loan that every odd one then takes, declined or not."""
    return [
        Loan(
            1000 + number,
            number,
            OCTOBER - timedelta(days=number % 9) if number % 2 == 0 else _asked(number) + timedelta(days=2),
            int(late[number]) if known[number] else None,
        )
        for number in range(len(late))
    ]


def _asked(number: int) -> date:
    return NOVEMBER + timedelta(days=number % 25)


@pytest.fixture
def world(market_settings: Settings) -> World:
    chance = np.random.default_rng(11)
    odds = -2.6 + 0.7 * chance.normal(size=COUNT)
    mine = 1 / (1 + np.exp(-odds))
    theirs = 1 / (1 + np.exp(-(-2.6 + 1.5 * (odds + 2.6 + 0.9 * chance.normal(size=COUNT)))))
    late = chance.random(COUNT) < mine
    numbers = np.arange(COUNT)
    is_application, is_made_with = numbers % 2 == 1, (numbers % 2 == 0) & (numbers < 300)
    nothing = np.zeros(COUNT, dtype=bool)
    asked_from = write_snapshot(market_settings, OCTOBER, loans_of(late, nothing))
    write_snapshot(market_settings, SOME, loans_of(late, numbers % 3 == 0))
    write_snapshot(market_settings, ALL - timedelta(days=1), loans_of(~late, ~nothing), verdict=Verdict.FAIL)
    write_snapshot(market_settings, ALL, loans_of(late, numbers % 50 != 1))
    write_training_set(
        market_settings, CHAMPION, [loan for loan in loans_of(late, ~nothing) if is_made_with[loan.customer]]
    )
    write_training_set(market_settings, CHALLENGER, [])
    rows = [
        (
            datetime(_asked(n).year, _asked(n).month, _asked(n).day, 12, tzinfo=UTC),
            *(n, "next" if n % 2 else "newest", _asked(n) if n % 2 else None, asked_from),
            *(CHAMPION, CHALLENGER, float(mine[n]), float(theirs[n])),
        )
        for n in range(COUNT)
    ]
    _insert(market_settings, rows)
    counts = ~is_made_with & ~(is_application & (mine >= THRESHOLD)) & (numbers % 50 != 1)
    return World(market_settings, mine, theirs, late, counts)


def _insert(settings: Settings, rows: list[tuple[Any, ...]]) -> None:
    OnlineStore(settings).migrate()
    assert settings.publisher_database_url
    with (
        closing(psycopg2.connect(settings.publisher_database_url.get_secret_value())) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        for day in {row[0].date() for row in rows}:
            add = sql.SQL("SELECT {}(%s)").format(
                sql.Identifier(settings.database_schema, "add_decision_day")
            )
            cursor.execute(add, (day,))
        table = sql.Identifier(settings.database_schema, "decisions")
        execute_values(
            cursor, _INSERT.format(table), rows, page_size=2000, template="(%s,%s,%s,%s::date,%s,%s,%s,%s,%s)"
        )


def measured(settings: Settings, day: date) -> tuple[dict[str, Vintage], dict[tuple[str, str], Measure]]:
    """What is kept after a day was measured: vintages by arm, measures by metric and arm."""
    measure_results(settings, day)
    kept = MetricStore(settings).between(day, day, metrics=METRICS)
    return (
        {each.arm: each for each in vintages(settings) if each.month == NOVEMBER},
        {(each.measure.metric, each.measure.part.split("/")[2]): each.measure for each in kept},
    )


def test_matured_decisions_have_the_figures_of_the_truth(world: World) -> None:
    vintages, measures = measured(world.settings, ALL + timedelta(days=3))
    late, mine, theirs = (each[world.counts] for each in (world.late, world.mine, world.theirs))
    champion, challenger = vintages["champion"], vintages["challenger"]
    declined = int(((np.arange(COUNT) % 2 == 1) & (world.mine >= THRESHOLD)).sum())
    assert declined > 100
    assert champion.decisions == challenger.decisions == COUNT
    assert champion.excluded == declined + 150
    assert champion.labelled == challenger.labelled == world.counts.sum()
    assert champion.late == late.sum()
    for vintage, scores in ((champion, mine), (challenger, theirs)):
        assert vintage.roc_auc == pytest.approx(roc_auc_score(late, scores), abs=1e-3)
        assert vintage.brier == pytest.approx(brier_score_loss(late, scores), abs=1e-9)
    assert champion.calibration_error == pytest.approx(0.0, abs=0.02)
    difference = measures["realised_roc_auc_difference", "challenger"]
    expected = roc_auc_score(late, theirs) - roc_auc_score(late, mine)
    assert difference.value == pytest.approx(expected, abs=1e-3)
    assert difference.detail["low"] < expected < difference.detail["high"]
    verdicts = {name: measures[name, "champion"].verdict for name in ("realised_roc_auc", "realised_brier")}
    assert verdicts == dict.fromkeys(verdicts, Verdict.PASS)
    assert f"{declined:,} declined, 150 about loans" in measures["labelled_share", "champion"].words


def test_the_estimate_is_right_of_the_calibrated_version_and_its_error_is_told_of_the_other(
    world: World,
) -> None:
    before, _ = measured(world.settings, date(2020, 12, 1))
    assert (before["champion"].labelled, before["champion"].roc_auc) == (0, None)
    after, measures = measured(world.settings, ALL)
    realised = after["champion"].roc_auc
    assert realised
    assert before["champion"].expected_roc_auc == pytest.approx(realised, abs=0.02)
    assert before["champion"].expected_late_share == pytest.approx(
        after["champion"].late / after["champion"].labelled, abs=0.01
    )
    assert measures["expected_roc_auc_error", "champion"].verdict is Verdict.PASS
    error = measures["expected_roc_auc_error", "challenger"]
    assert error.verdict is Verdict.WARN
    assert error.detail["low"] > 0.05
    assert after["challenger"].expected_roc_auc > realised > (after["challenger"].roc_auc or 1)


def test_a_day_sees_the_outcomes_known_by_it_and_measuring_it_again_undoes_nothing(world: World) -> None:
    some, early = measured(world.settings, SOME)
    assert 0 < some["champion"].labelled < some["champion"].decisions / 2
    assert early["realised_roc_auc", "champion"].verdict is Verdict.NOT_JUDGED
    newest, _ = measured(world.settings, ALL)
    again, early_again = measured(world.settings, SOME)
    assert again == newest
    assert early_again == early
    half, _ = measured(world.settings, date(2020, 11, 15))
    assert half == newest


def test_the_days_of_a_month_that_is_not_over_count_as_far_as_they_have_come(world: World) -> None:
    half, _ = measured(world.settings, date(2020, 11, 15))
    days_over = np.arange(COUNT) % 25 <= 14
    assert half["champion"].decisions == days_over.sum()


def test_a_version_that_was_replaced_warns_where_it_would_fail(world: World) -> None:
    strict = world.settings.model_copy(
        update={"model_gate": world.settings.model_gate.model_copy(update={"roc_auc_floor": 0.9})}
    )
    _, measures = measured(strict, ALL)
    assert measures["realised_roc_auc", "champion"].verdict is Verdict.FAIL
    release = ReleaseRecord(
        number=1,
        action=ReleaseAction.PROMOTE,
        champion=CHALLENGER,
        challenger=None,
        share=0.0,
        by="somebody",
        reason="better",
        at=datetime(2020, 12, 1, tzinfo=UTC),
    )
    ReleaseLedger(Storage(world.settings.registry_root)).append(release)
    _, measures = measured(strict, ALL)
    assert measures["realised_roc_auc", "champion"].verdict is Verdict.WARN
    assert measures["realised_roc_auc", "challenger"].verdict is Verdict.FAIL


def test_what_cannot_be_read_counts_for_nothing_and_the_rest_is_measured(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    lake, registry = (Storage(url) for url in (world.settings.lake_root, world.settings.registry_root))
    registry.remove(f"models/2020-10-31/{CHALLENGER}/training_set.parquet")
    vintages, measures = measured(world.settings, ALL)
    assert vintages["challenger"].labelled == 0
    assert vintages["champion"].roc_auc
    assert f"Nothing counts for or against version {CHALLENGER}" in caplog.text
    asked_from = SnapshotCatalog(lake).current(OCTOBER)
    assert asked_from
    lake.remove(f"{asked_from.folder}/manifest.json")
    vintages, measures = measured(world.settings, ALL)
    assert vintages["champion"].labelled < world.counts.sum() - 2000
    assert "about loans that no snapshot names" in measures["labelled_share", "champion"].words
    assert f"Decisions by snapshot {asked_from} are not joined" in caplog.text


def test_without_decisions_there_is_nothing_and_without_a_passed_snapshot_no_outcome(
    market_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    OnlineStore(market_settings).migrate()
    assert measured(market_settings, ALL) == ({}, {})
    assert "no outcome is known" in caplog.text


def test_outcomes_as_of_a_day_are_of_the_newest_snapshot_up_to_it_that_passed(
    market_settings: Settings,
) -> None:
    loans = [Loan(1, 1, date(2020, 10, 1), 0)]
    days = dict.fromkeys((date(2020, 11, 1), date(2020, 11, 5)), Verdict.PASS)
    days |= {date(2020, 11, 3): Verdict.WARN, date(2020, 11, 4): Verdict.FAIL}
    names = {
        day: write_snapshot(market_settings, day, [*loans, Loan(number, 2, day)], verdict=verdict)
        for number, (day, verdict) in enumerate(days.items(), start=2)
    }
    catalog = SnapshotCatalog(Storage(market_settings.lake_root))
    found = {day: known_by(catalog, date(2020, 11, day)) for day in (4, 5, 30)}
    assert {day: manifest and manifest.snapshot for day, manifest in found.items()} == {
        4: names[date(2020, 11, 3)],
        5: names[date(2020, 11, 5)],
        30: names[date(2020, 11, 5)],
    }
    assert known_by(catalog, date(2020, 10, 31)) is None
    assert SnapshotId.parse(names[date(2020, 11, 5)]).as_of == date(2020, 11, 5)


def test_only_loans_that_are_asked_about_or_since_a_day_are_taken(market_settings: Settings) -> None:
    loans = [Loan(number, number, date(2020, 10, number), 0) for number in range(1, 10)]
    write_training_set(market_settings, CHAMPION, loans)
    registry = ModelRegistry(Storage(market_settings.registry_root))
    asked = AskedLoans(joined_ids([pa.array([3, 1]), pa.array([1, 77])]), since=date(2020, 10, 8))
    (batch,) = made_with(registry, CHAMPION, asked)
    assert batch.column("loan_id").to_pylist() == [1, 3, 8, 9]
    assert asked.ids.to_pylist() == [1, 3, 77]
