"""The gate, held against snapshots that are bad in one way each."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from creditrisk.contract import FEATURE_NAMES, FEATURES
from creditrisk.quality import judge, report_text
from creditrisk.settings import QualityLimits
from creditrisk.snapshots import Check, QualityReport, SnapshotManifest, Verdict
from tests.creditrisk.snapshot_factory import customers_table, manifest_of

YESTERDAY, TODAY = date(2020, 12, 30), date(2020, 12, 31)
NOW = datetime(2021, 1, 1, 3, tzinfo=UTC)
LIMITS = QualityLimits()


@pytest.fixture(scope="module")
def customers() -> pa.Table:
    return customers_table(range(4000), YESTERDAY, seed=3)


@pytest.fixture(scope="module")
def before(customers: pa.Table) -> SnapshotManifest:
    return manifest_of(customers, YESTERDAY, {})


@pytest.fixture(scope="module")
def good(customers: pa.Table) -> SnapshotManifest:
    return manifest_of(customers, TODAY, {})


def judged(manifest: SnapshotManifest, reference: SnapshotManifest | None, **limits: float) -> QualityReport:
    return judge(manifest, reference, LIMITS.model_copy(update=limits), judged_at=NOW)


def check(report: QualityReport, name: str) -> Check:
    (found,) = [check for check in report.checks if check.name == name]
    return found


def not_passed(report: QualityReport) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in report.checks if check.verdict is not Verdict.PASS}


def with_counts(manifest: SnapshotManifest, **counts: int) -> SnapshotManifest:
    return manifest.model_copy(update={"counts": manifest.counts.model_copy(update=counts)})


def with_feature(manifest: SnapshotManifest, name: str, **statistics: Any) -> SnapshotManifest:
    changed = manifest.features[name].model_copy(update=statistics)
    return manifest.model_copy(update={"features": {**manifest.features, name: changed}})


def test_a_good_snapshot_passes_every_check(good: SnapshotManifest, before: SnapshotManifest) -> None:
    report = judged(good, before)
    assert not_passed(report) == {}
    assert (report.verdict, report.snapshot, report.compared_with, report.judged_at) == (
        Verdict.PASS,
        good.snapshot,
        before.snapshot,
        NOW,
    )
    assert {check.name for check in report.checks} == {
        *("quarantined share", "newest loan age", "change in loans", "change in customers"),
        *(f"out of bounds share of {name}" for name in FEATURE_NAMES),
        *(f"{'change in ' * feature.nullable}null share of {feature.name}" for feature in FEATURES),
        *(f"shift of {name}" for name in FEATURE_NAMES),
    }


def test_a_first_run_is_judged_by_the_absolute_checks_alone(good: SnapshotManifest) -> None:
    report = judged(good, None)
    assert report.verdict is Verdict.PASS
    assert report.compared_with is None
    assert set(not_passed(report)) == {
        *("change in loans", "change in customers"),
        *(f"change in null share of {name}" for name in ("years_on_the_job", "avg_amount_loans_previous")),
        *(f"shift of {name}" for name in FEATURE_NAMES),
    }
    assert set(not_passed(report).values()) == {Verdict.NOT_JUDGED}
    assert check(report, "change in loans").sentence == "The change in loans is not judged: first run."
    assert judged(with_counts(good, quarantined=1000), None).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("quarantined", "verdict"),
    [(0, Verdict.PASS), (40, Verdict.PASS), (41, Verdict.WARN), (210, Verdict.WARN), (211, Verdict.FAIL)],
)
def test_too_many_quarantined_rows(
    good: SnapshotManifest, before: SnapshotManifest, quarantined: int, verdict: Verdict
) -> None:
    report = judged(with_counts(good, kept=4000, quarantined=quarantined), before)
    found = check(report, "quarantined share")
    assert found.verdict is verdict
    assert found.value == quarantined / (4000 + quarantined)
    assert report.verdict is verdict


@pytest.mark.parametrize("what", ["loans", "customers"])
@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (1999, Verdict.FAIL),
        (2000, Verdict.WARN),
        (3199, Verdict.WARN),
        (3200, Verdict.PASS),
        (4800, Verdict.PASS),
        (4801, Verdict.WARN),
        (6001, Verdict.FAIL),
    ],
)
def test_counts_that_shrink_or_grow(
    good: SnapshotManifest, before: SnapshotManifest, what: str, now: int, verdict: Verdict
) -> None:
    report = judged(with_counts(good, **{what: now}), before)
    assert check(report, f"change in {what}").verdict is verdict
    assert report.verdict is verdict
    assert check(report, f"change in {what}").value == pytest.approx(abs(now - 4000) / 4000)


def test_a_count_cannot_be_compared_with_none(good: SnapshotManifest, before: SnapshotManifest) -> None:
    report = judged(good, with_counts(before, loans=0))
    assert check(report, "change in loans").sentence == (
        f"The change in loans is not judged: {before.snapshot} has none."
    )


@pytest.mark.parametrize(
    ("days", "verdict"),
    [(0, Verdict.PASS), (3, Verdict.PASS), (4, Verdict.WARN), (30, Verdict.WARN), (31, Verdict.FAIL)],
)
def test_loans_that_stopped_coming(
    good: SnapshotManifest, before: SnapshotManifest, days: int, verdict: Verdict
) -> None:
    stale = good.model_copy(update={"newest_loan_date": TODAY - timedelta(days=days)})
    found = check(judged(stale, before), "newest loan age")
    assert (found.verdict, found.value) == (verdict, days)
    assert found.sentence.startswith(
        f"The newest loan is of {TODAY - timedelta(days=days)}, {days} days before"
    )


def test_a_snapshot_without_a_loan_fails(before: SnapshotManifest) -> None:
    empty = manifest_of(customers_table([], TODAY), TODAY, {}, newest_loan_date=None)
    report = judged(empty, before)
    assert check(report, "newest loan age").verdict is Verdict.FAIL
    assert check(report, "newest loan age").sentence == "There is no loan in the snapshot."
    assert check(report, "change in loans").value == 1.0
    assert report.verdict is Verdict.FAIL


@pytest.mark.parametrize("name", FEATURE_NAMES)
@pytest.mark.parametrize(("count", "verdict"), [(1, Verdict.WARN), (50, Verdict.FAIL)])
def test_values_out_of_bounds(
    good: SnapshotManifest, before: SnapshotManifest, name: str, count: int, verdict: Verdict
) -> None:
    report = judged(with_feature(good, name, out_of_bounds=count), before)
    assert not_passed(report) == {f"out of bounds share of {name}": verdict}
    values = sum(good.features[name].histogram)
    assert check(report, f"out of bounds share of {name}").value == count / values


@pytest.mark.parametrize("name", [feature.name for feature in FEATURES if not feature.nullable])
def test_a_missing_value_where_none_may_be_fails_even_a_first_run(good: SnapshotManifest, name: str) -> None:
    report = judged(with_feature(good, name, nulls=1), None)
    assert check(report, f"null share of {name}").verdict is Verdict.FAIL
    assert f"{name} is missing in 1 rows" in check(report, f"null share of {name}").sentence


@pytest.mark.parametrize("name", [feature.name for feature in FEATURES if feature.nullable])
@pytest.mark.parametrize("more", [True, False])
def test_missing_values_that_came_or_went(good: SnapshotManifest, name: str, more: bool) -> None:
    few = with_feature(good, name, nulls=0)
    many = with_feature(good, name, nulls=sum(good.features[name].histogram))
    report = judged(many, few) if more else judged(few, many)
    assert check(report, f"change in null share of {name}").value == 0.5
    assert check(report, f"change in null share of {name}").verdict is Verdict.FAIL
    slightly = with_feature(good, name, nulls=sum(good.features[name].histogram) // 9)
    assert check(judged(slightly, few), f"change in null share of {name}").verdict is Verdict.WARN


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_a_distribution_that_moved_fails(good: SnapshotManifest, before: SnapshotManifest, name: str) -> None:
    counts = good.features[name].histogram
    if name == "flag_own_car":
        moved = [sum(counts) // 10, sum(counts) - sum(counts) // 10]
    else:
        moved = counts[-3:] + counts[:-3]
    report = judged(with_feature(good, name, histogram=moved), before)
    assert not_passed(report) == {f"shift of {name}": Verdict.FAIL}


def test_another_contracts_distribution_is_not_compared(
    good: SnapshotManifest, before: SnapshotManifest
) -> None:
    other = before.model_copy(update={"contract_fingerprint": "0" * 16})
    report = judged(good, other)
    assert check(report, "shift of age").sentence == (
        f"The shift of age is not judged: {before.snapshot} has other features."
    )
    assert check(report, "change in loans").verdict is Verdict.PASS


def test_limits_are_the_settings(good: SnapshotManifest, before: SnapshotManifest) -> None:
    stale = good.model_copy(update={"newest_loan_date": TODAY - timedelta(days=2)})
    found = check(judged(stale, before, newest_loan_age_days_fail=1), "newest loan age")
    assert found.sentence.endswith("2 days before the snapshot's date. The limit is 1 days.")
    assert (found.warn_limit, found.fail_limit) == (3, 1)


def test_the_report_reads_worst_first(good: SnapshotManifest, before: SnapshotManifest) -> None:
    bad = with_feature(with_counts(good, kept=900, quarantined=100), "age", out_of_bounds=1)
    lines = report_text(judged(bad, before)).splitlines()
    assert lines[0] == f"Snapshot {good.snapshot}: FAIL"
    assert lines[1] == f"compared with {before.snapshot}"
    assert [line.split("  ")[0].strip() for line in lines[3:6]] == ["FAIL", "WARN", "PASS"]
    assert "100 of 1,000 rows were quarantined (10.00%). The limit is 5.00%." in lines[3]
    assert "first run" in report_text(judged(good, None))
