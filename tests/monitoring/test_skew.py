"""Logged features held against a real snapshot's rows: equal ones pass, any other is an error with its row."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decisions import DecisionRecord, GivenAttributes, LoanAsked
from creditrisk.features import CustomerHistory, features_of_application
from creditrisk.metric_store import Measure
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotManifest, Verdict
from monitoring.skew import skew_measures
from tests.creditrisk.snapshot_factory import SnapshotFactory, customers_table
from tests.logged_decisions import decision, log

AS_OF, DAY = date(2021, 1, 9), date(2021, 1, 10)
NOON = datetime(2021, 1, 10, 12, tzinfo=UTC)
IDS = range(1, 41)
STRANGER = GivenAttributes(date(1990, 5, 1), date(2019, 1, 7), 1)


@pytest.fixture
def snapshot(market_settings: Settings) -> SnapshotManifest:
    return SnapshotFactory(market_settings).write(AS_OF, IDS)


def right(snapshot: SnapshotManifest) -> list[DecisionRecord]:
    """Decisions on the newest loan, the next one, and that of a customer whom the snapshot does not know."""
    rows = customers_table(list(IDS), AS_OF).to_pylist()
    values = {"snapshot": snapshot.snapshot, "decided_at": NOON}
    records = [
        decision(row["id"], features=tuple(row[name] for name in FEATURE_NAMES), **values) for row in rows
    ]
    records += [
        decision(
            row["id"],
            loan=LoanAsked.NEXT,
            as_of=DAY,
            features=features_of_application(CustomerHistory.of_row(row), DAY),
            **values,
        )
        for row in rows
    ]
    first = decision(
        999, loan=LoanAsked.NEXT, as_of=DAY, given=STRANGER, features=(30, 2, 0, None, 1), **values
    )
    return [*records, first]


def measured(settings: Settings, records: Sequence[DecisionRecord]) -> Measure:
    log(settings, records)
    (measure,) = skew_measures(settings, DAY)
    return measure


def test_what_was_decided_on_is_what_the_job_wrote(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    found = measured(market_settings, right(snapshot))
    assert (found.metric, found.part, found.verdict, found.value) == (
        "skew_rows",
        "day/all",
        Verdict.PASS,
        0,
    )
    assert found.detail["compared"] == 81


def test_any_other_value_fails_and_the_row_says_which(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    records = right(snapshot)
    chosen = next(number for number, record in enumerate(records) if record.features[3] is not None)
    age, years, loans, mean, car = records[chosen].features
    assert mean is not None
    records[chosen] = records[chosen]._replace(features=(age, years, loans, mean * (1 + 1e-15) + 1e-9, car))
    found = measured(market_settings, records)
    assert (found.verdict, found.value) == (Verdict.FAIL, 1)
    assert "1 of 81 decisions" in found.words
    (row,) = found.detail["rows"]
    assert row["decision_id"] == records[chosen].decision_id
    assert (row["customer"], row["feature"]) == (records[chosen].customer, "avg_amount_loans_previous")
    assert row["computed"] == mean


@pytest.mark.parametrize(
    "change",
    [
        {"customer": 12345},  # whom the snapshot does not know, and nobody described
        {
            "given": STRANGER,
            "loan": LoanAsked.NEXT,
            "as_of": DAY,
        },  # described, though the snapshot knows them
        {"loan": LoanAsked.NEXT, "as_of": date(2001, 1, 1)},  # before what the snapshot knows
    ],
)
def test_a_decision_that_the_job_gives_no_features_for_is_an_error(
    market_settings: Settings, snapshot: SnapshotManifest, change: dict[str, object]
) -> None:
    found = measured(market_settings, [right(snapshot)[0]._replace(**change)])
    assert (found.verdict, found.value) == (Verdict.FAIL, 1)
    assert {row["computed"] for row in found.detail["rows"]} == {None}


def test_decisions_on_a_snapshot_that_is_gone_are_left_out_and_named(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    gone = "2021-01-08-aaaaaaaaaaaa"
    lost = decision(1, snapshot=gone, decided_at=NOON)
    only = measured(market_settings, [lost])
    assert only.verdict is Verdict.NOT_JUDGED
    assert gone in only.words
    both = measured(market_settings, right(snapshot))
    assert (both.verdict, both.detail["compared"]) == (Verdict.PASS, 81)
    assert list(both.detail["left_out"]) == [gone]


def test_no_more_than_the_sample_is_looked_at_and_no_decisions_are_not_judged(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    limits = market_settings.monitoring.model_copy(update={"skew_sample": 10})
    settings = market_settings.model_copy(update={"monitoring": limits})
    assert measured(settings, right(snapshot)).detail["compared"] == 10
    (nothing,) = skew_measures(settings, DAY + timedelta(days=3))
    assert (nothing.verdict, nothing.value) == (Verdict.NOT_JUDGED, None)
