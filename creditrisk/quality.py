"""The quality gate: what a snapshot's manifest says, held against limits and the snapshot published before.

Pure. Relative checks need a snapshot to compare with; without one they are *not judged*, and a first run
is judged by the absolute ones alone.
"""

from collections.abc import Sequence
from datetime import datetime

from creditrisk.contract import FEATURES, Feature
from creditrisk.population_stability import population_stability_index
from creditrisk.settings import QualityLimits
from creditrisk.snapshots import (
    Check,
    FeatureStatistics,
    QualityReport,
    SnapshotId,
    SnapshotManifest,
    Verdict,
)

_SEVERITY = (Verdict.NOT_JUDGED, Verdict.PASS, Verdict.WARN, Verdict.FAIL)


def judge(
    manifest: SnapshotManifest,
    reference: SnapshotManifest | None,
    limits: QualityLimits,
    *,
    judged_at: datetime,
    lost: Sequence[SnapshotId] = (),
) -> QualityReport:
    """Judge a snapshot.

    Args:
        manifest: of the snapshot to judge.
        reference: of the newest published snapshot of an earlier date; None on a first run.
        limits: a value beyond a limit, not equal to it, warns or fails.
        judged_at: the moment to put on the report.
        lost: newer published snapshots that were to be the reference and are no longer in the lake: a warning.

    Returns:
        Every check; the verdict is that of the worst.
    """
    checks = [
        _quarantined_share(manifest, limits),
        _freshness(manifest, limits),
        _count_change("loans", manifest, reference, limits),
        _count_change("customers", manifest, reference, limits),
    ]
    if lost:
        checks.append(_lost_references(lost, reference))
    for feature in FEATURES:
        checks += _feature_checks(feature, manifest, reference, limits)
    return QualityReport(
        snapshot=manifest.snapshot,
        verdict=max((check.verdict for check in checks), key=_SEVERITY.index),
        compared_with=reference.snapshot if reference else None,
        judged_at=judged_at,
        checks=checks,
    )


def report_text(report: QualityReport) -> str:
    """The report as an operator reads it: the worst first, a line a check."""
    compared = report.compared_with or "nothing (first run)"
    worst_first = sorted(report.checks, key=lambda check: -_SEVERITY.index(check.verdict))
    lines = [f"{check.verdict.upper():10}  {check.name:48}  {check.sentence}" for check in worst_first]
    return "\n".join(
        [f"Snapshot {report.snapshot}: {report.verdict.upper()}", f"compared with {compared}", "", *lines]
    )


def _check(name: str, value: float, warn: float | None, fail: float | None, says: str, rule: str) -> Check:
    """Hold a value against its limits; the sentence ends with the limit it broke."""
    verdict, broken = Verdict.PASS, ""
    if fail is not None and value > fail:
        verdict, broken = Verdict.FAIL, f" The limit is {rule.format(fail)}."
    elif warn is not None and value > warn:
        verdict, broken = Verdict.WARN, f" A warning is given above {rule.format(warn)}."
    return Check(
        name=name, value=value, warn_limit=warn, fail_limit=fail, verdict=verdict, sentence=says + broken
    )


def _not_judged(name: str, warn: float, fail: float, why: str) -> Check:
    return Check(
        name=name,
        value=None,
        warn_limit=warn,
        fail_limit=fail,
        verdict=Verdict.NOT_JUDGED,
        sentence=f"The {name} is not judged: {why}.",
    )


def _quarantined_share(manifest: SnapshotManifest, limits: QualityLimits) -> Check:
    counts = manifest.counts
    judged = counts.kept + counts.quarantined
    share = counts.quarantined / judged if judged else 0.0
    return _check(
        "quarantined share",
        share,
        limits.quarantined_share_warn,
        limits.quarantined_share_fail,
        f"{counts.quarantined:,} of {judged:,} rows were quarantined ({share:.2%}).",
        "{:.2%}",
    )


def _freshness(manifest: SnapshotManifest, limits: QualityLimits) -> Check:
    name, warn, fail = "newest loan age", limits.newest_loan_age_days_warn, limits.newest_loan_age_days_fail
    if manifest.newest_loan_date is None:
        return Check(
            name=name,
            value=None,
            warn_limit=warn,
            fail_limit=fail,
            verdict=Verdict.FAIL,
            sentence="There is no loan in the snapshot.",
        )
    age = (manifest.as_of - manifest.newest_loan_date).days
    says = f"The newest loan is of {manifest.newest_loan_date}, {_days(age)} before the snapshot's date."
    return _check(name, age, warn, fail, says, "{} days")


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count:,} days"


def _lost_references(lost: Sequence[SnapshotId], reference: SnapshotManifest | None) -> Check:
    compared = f"compared with {reference.snapshot} instead" if reference else "compared with nothing"
    return Check(
        name="references lost",
        value=len(lost),
        warn_limit=0,
        fail_limit=None,
        verdict=Verdict.WARN,
        sentence=(
            f"Published before and no longer in the lake: {', '.join(map(str, lost))}; {compared}. "
            "Restore the folder, or build the date again."
        ),
    )


def _count_change(
    what: str, manifest: SnapshotManifest, reference: SnapshotManifest | None, limits: QualityLimits
) -> Check:
    name, warn, fail = f"change in {what}", limits.row_count_change_warn, limits.row_count_change_fail
    if reference is None:
        return _not_judged(name, warn, fail, "first run")
    before, now = getattr(reference.counts, what), getattr(manifest.counts, what)
    if not before:
        return _not_judged(name, warn, fail, f"{reference.snapshot} has none")
    change = (now - before) / before
    says = f"There are {now:,} {what}, {before:,} before ({change:+.2%})."
    return _check(name, abs(change), warn, fail, says, "a change of {:.2%}")


def _feature_checks(
    feature: Feature, manifest: SnapshotManifest, reference: SnapshotManifest | None, limits: QualityLimits
) -> list[Check]:
    statistics = manifest.features[feature.name]
    checks = [_out_of_bounds(feature, statistics, limits)]
    if not feature.nullable:
        checks.append(_nulls_where_none_may_be(feature, statistics))
    comparable = reference is not None and reference.contract_fingerprint == manifest.contract_fingerprint
    if reference is None or not comparable:
        why = "first run" if reference is None else f"{reference.snapshot} has other features"
        if feature.nullable:
            checks.append(
                _not_judged(
                    f"change in null share of {feature.name}",
                    limits.null_share_change_warn,
                    limits.null_share_change_fail,
                    why,
                )
            )
        checks.append(
            _not_judged(
                f"shift of {feature.name}",
                limits.population_stability_index_warn,
                limits.population_stability_index_fail,
                why,
            )
        )
        return checks
    before = reference.features[feature.name]
    if feature.nullable:
        checks.append(_null_share_change(feature, statistics, before, limits))
    checks.append(_shift(feature, statistics, before, limits))
    return checks


def _null_share(statistics: FeatureStatistics) -> float:
    rows = sum(statistics.histogram) + statistics.nulls
    return statistics.nulls / rows if rows else 0.0


def _out_of_bounds(feature: Feature, statistics: FeatureStatistics, limits: QualityLimits) -> Check:
    values = sum(statistics.histogram)
    share = statistics.out_of_bounds / values if values else 0.0
    return _check(
        f"out of bounds share of {feature.name}",
        share,
        limits.out_of_bounds_share_warn,
        limits.out_of_bounds_share_fail,
        f"{statistics.out_of_bounds:,} of {values:,} values of {feature.name} are not between "
        f"{feature.lower:,.12g} and {feature.upper:,.12g} ({share:.3%}); found {_range(statistics)}.",
        "{:.3%}",
    )


def _range(statistics: FeatureStatistics) -> str:
    if statistics.min is None or statistics.max is None:
        return "none"
    return f"{statistics.min:,g} to {statistics.max:,g}"


def _nulls_where_none_may_be(feature: Feature, statistics: FeatureStatistics) -> Check:
    says = f"{feature.name} is missing in {statistics.nulls:,} rows."
    return _check(f"null share of {feature.name}", _null_share(statistics), None, 0.0, says, "none")


def _null_share_change(
    feature: Feature, statistics: FeatureStatistics, before: FeatureStatistics, limits: QualityLimits
) -> Check:
    now, then = _null_share(statistics), _null_share(before)
    return _check(
        f"change in null share of {feature.name}",
        abs(now - then),
        limits.null_share_change_warn,
        limits.null_share_change_fail,
        f"{feature.name} is missing in {now:.2%} of the rows, {then:.2%} before.",
        "a change of {:.2%}",
    )


def _shift(
    feature: Feature, statistics: FeatureStatistics, before: FeatureStatistics, limits: QualityLimits
) -> Check:
    index = population_stability_index(before.histogram, statistics.histogram, before.nulls, statistics.nulls)
    return _check(
        f"shift of {feature.name}",
        index,
        limits.population_stability_index_warn,
        limits.population_stability_index_fail,
        f"The distribution of {feature.name} has a population stability index of {index:.3f}.",
        "{:.3f}",
    )
