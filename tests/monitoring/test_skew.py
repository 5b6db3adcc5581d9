"""Logged features held against rows worked out again: equal ones pass, any other is an error with its row."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decisions import DecisionRecord, GivenAttributes, LoanAsked
from creditrisk.features import CustomerHistory, features_of_application
from creditrisk.metric_store import Measure
from creditrisk.recomputation import Recomputation, RecomputedRows, answer, sample_of
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId, SnapshotManifest, Verdict
from creditrisk.storage import Storage
from monitoring.skew import skew_measures, take_sample
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


Rows = dict[int, dict[str, Any]]


def job_rows() -> Rows:
    """What the job makes of each customer."""
    return {row["id"]: row for row in customers_table(list(IDS), AS_OF).to_pylist()}


def work_out_again(settings: Settings, rows: Rows | None = None, **changes: object) -> None:
    """Sample the day, and put what the job would have made of it where it puts it."""
    lake = Storage(settings.lake_root)
    key = take_sample(settings, DAY)
    assert key is not None
    sample, there = sample_of(lake, key), job_rows() if rows is None else rows
    catalog = SnapshotCatalog(lake)
    snapshots = []
    for snapshot, customers in sample.customers.items():
        is_there = catalog.exists(SnapshotId.parse(snapshot))
        made = RecomputedRows(
            snapshot=snapshot,
            code_version="tests",
            rows=[there[each] for each in customers if each in there] if is_there else [],
            problem=None if is_there else f"snapshot {snapshot}: not in the lake",
        )
        snapshots.append(made.model_copy(update=changes))
    answer(lake, key, Recomputation(sample=sample, code_version="tests", snapshots=snapshots))


def measured(
    settings: Settings, records: Sequence[DecisionRecord], rows: Rows | None = None, **changes: object
) -> Measure:
    log(settings, records)
    work_out_again(settings, rows, **changes)
    (measure,) = skew_measures(settings, DAY)
    return measure


def test_what_was_decided_on_is_what_the_job_makes(
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
    assert found.words == "0 of 81 decisions rest on other features than the feature job's own."


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
    assert (
        "Of 1 the job makes the same row again that stands in the snapshot: the published table or"
        in found.words
    )
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


@pytest.mark.parametrize(
    ("column", "again"),
    [
        ("amount_sum_micros", 1),  # of which the next loan's mean is made
        ("age", 90),  # the newest loan's own
        ("job_start_date", date(2020, 12, 31)),
    ],
)
def test_another_row_than_the_snapshots_is_an_error_before_the_snapshot(
    market_settings: Settings, snapshot: SnapshotManifest, column: str, again: Any
) -> None:
    rows = job_rows()
    chosen = next(
        who for who, row in rows.items() if row["job_start_date"] is not None and row["loan_count"] > 1
    )
    kept = rows[chosen][column]
    rows[chosen] = rows[chosen] | {column: again}
    found = measured(market_settings, right(snapshot), rows, code_version="older")
    assert (found.verdict, found.value) == (Verdict.FAIL, 2)  # both on a row that is another
    assert found.words.startswith(
        "2 of 81 decisions differ from what the feature job makes: 1 in their features, 1 only in their customer's row"
    )
    assert "Of 1 customer the job makes another row than stands in the snapshot" in found.words
    assert "whose code was older then and is tests now" in found.words
    assert "published table" not in found.words
    (told,) = found.detail["snapshot_rows"]
    assert (told["customer"], told["snapshot"], told["column"]) == (chosen, snapshot.snapshot, column)
    assert (told["in_snapshot"], told["computed"]) == (
        (str(kept), str(again)) if isinstance(again, date) else (kept, again)
    )


def test_rows_that_no_decision_shows_in_its_features_are_counted_by_the_words_too(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    records = [each for each in right(snapshot) if each.loan is not LoanAsked.NEXT]  # rest on no sum
    rows = job_rows()
    for customer in (3, 7):
        rows[customer] = rows[customer] | {"amount_sum_micros": 1}
    found = measured(market_settings, records, rows)
    assert (found.verdict, found.value) == (Verdict.FAIL, 2)
    assert found.words.startswith(
        "2 of 40 decisions differ from what the feature job makes: 0 in their features, 2 only"
    )
    assert "Of 2 customers the job makes another row" in found.words


def test_a_customer_whom_the_job_no_longer_makes_a_row_of_is_an_error(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    rows = job_rows()
    del rows[7]
    found = measured(market_settings, right(snapshot), rows)
    assert (found.verdict, found.value) == (Verdict.FAIL, 2)
    (told,) = found.detail["snapshot_rows"]
    assert (told["column"], told["in_snapshot"], told["computed"]) == ("id", 7, None)


def test_a_landed_file_that_changed_is_a_warning_until_a_row_differs(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    told = ["own.csv is not the file that was read: it has 1 rows, and had 2."]
    found = measured(market_settings, right(snapshot), changed_files=told)
    assert (found.verdict, found.value, found.detail["changed_files"]) == (Verdict.WARN, 0, told)
    assert found.words.endswith(told[0])


def test_a_snapshot_whose_own_rows_cannot_be_read_is_a_warning_until_a_decision_differs(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    log(market_settings, right(snapshot))
    work_out_again(market_settings)
    lake = Storage(market_settings.lake_root)
    lake.remove(f"{SnapshotId.parse(snapshot.snapshot).folder}/customers/part-00001.parquet")
    (found,) = skew_measures(market_settings, DAY)
    assert (found.verdict, found.value) == (Verdict.WARN, 0)
    assert "own rows cannot be read" in found.words
    assert "customers/part-00001.parquet is missing" in found.words
    rows = job_rows()
    rows[7] = rows[7] | {"age": 90}
    work_out_again(market_settings, rows)
    (differs,) = skew_measures(market_settings, DAY)
    assert (differs.verdict, differs.value) == (Verdict.FAIL, 1)
    assert "own rows cannot be read" in differs.words


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
    assert both.words.endswith(f"Left out: snapshot {gone}: not in the lake.")


def test_the_decisions_compared_are_those_that_were_sampled(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    limits = market_settings.monitoring.model_copy(update={"skew_sample": 10})
    settings = market_settings.model_copy(update={"monitoring": limits})
    found = measured(settings, right(snapshot))
    assert found.detail["compared"] == 10
    log(settings, [decision(1, decided_at=NOON, snapshot=snapshot.snapshot) for _ in range(200)])
    assert skew_measures(settings, DAY) == [found]  # though others would be drawn now
    assert take_sample(settings, DAY) != take_sample(settings, DAY)  # nothing is overwritten
    assert skew_measures(settings, DAY) == [found]  # until the job has answered


def test_without_decisions_there_is_no_sample_and_without_an_answer_no_verdict(
    market_settings: Settings, snapshot: SnapshotManifest
) -> None:
    log(market_settings, right(snapshot))
    take_sample(market_settings, DAY)
    (unanswered,) = skew_measures(market_settings, DAY)
    assert (unanswered.verdict, unanswered.value) == (Verdict.NOT_JUDGED, None)
    assert unanswered.words == "Not judged: the job has not worked out the day's features again."
    later = DAY + timedelta(days=3)
    assert take_sample(market_settings, later) is None
    (nothing,) = skew_measures(market_settings, later)
    assert (nothing.verdict, nothing.words) == (Verdict.NOT_JUDGED, "Not judged: no decisions.")
