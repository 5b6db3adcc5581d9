"""Data drift of a window's decisions, against the references of the versions that decided. Pure."""

from collections.abc import Iterable, Sequence

from creditrisk.contract import FEATURES, Feature
from creditrisk.metric_store import Measure
from creditrisk.monitoring_limits import MonitoringLimits
from monitoring import score_drift
from monitoring.compared import ALL, Found, Group, index_measure
from monitoring.drift_reads import ArmCounts, SampledCustomer
from monitoring.effects import Effect, cramers_v, kolmogorov_smirnov, share_shift
from monitoring.histograms import Expected, Histogram
from monitoring.verdicts import Limits, held, not_judged, only_shown

INDEX, TEST, MISSING, BEYOND, DECISIONS = (
    "population_stability_index",
    "drift_test",
    "missing_share",
    "out_of_bounds_share",
    "decisions",
)
METRICS = (INDEX, TEST, MISSING, BEYOND, DECISIONS, *score_drift.METRICS)


def drift_measures(
    window: str,
    counts: Sequence[ArmCounts],
    sample: Iterable[SampledCustomer],
    references: Found,
    limits: MonitoringLimits,
) -> list[Measure]:
    """All measures of a window, of features and scores, over all arms and by arm.

    Args:
        window: its name.
        counts: by version and arm.
        sample: of customers, for the share of unseen ones.
        references: of every version among them.
        limits: what the numbers are held against.
    """
    customers = list(sample)
    measures = []
    for arm in (ALL, *sorted({each.arm for each in counts})):
        own = [each for each in counts if arm in (ALL, each.arm)]
        group = Group(f"{window}/{arm}", own, references, limits)
        decisions = sum(each.decisions for each in own)
        asked = sum(each.customers for each in own)
        says = f"{decisions:,} decisions on {asked:,} customers."
        measures.append(only_shown(DECISIONS, group.part, decisions, says))
        for feature in FEATURES:
            measures += _of_feature(group, feature)
        own_customers = [each for each in customers if arm in (ALL, each.arm)]
        measures += score_drift.score_measures(group, own_customers)
    return measures


def _of_feature(group: Group, feature: Feature) -> list[Measure]:
    part = f"{group.part}/{feature.name}"
    found, expected = group.expected(feature.name)
    why = group.too_few(found.rows, expected.rows if expected else 0)
    if why or expected is None:
        return [not_judged(metric, part, why) for metric in (INDEX, TEST, MISSING, BEYOND)]
    return [
        index_measure(INDEX, part, f"distribution of {feature.name}", found, expected, group.limits),
        _test(part, feature, found, expected, group.limits),
        _missing(part, feature, found, expected, group.limits),
        _beyond(part, feature, found, group.limits),
    ]


def _test(
    part: str, feature: Feature, found: Histogram, expected: Expected, limits: MonitoringLimits
) -> Measure:
    is_flag = len(found.grid.edges) == 1
    name, test = (
        ("Cramér's V", cramers_v) if is_flag else ("Kolmogorov-Smirnov statistic", kolmogorov_smirnov)
    )
    effect: Effect = test(found, expected, limits.error)
    says = (
        f"The {name} of {feature.name} is {effect.value:.3f}, surely at least {effect.low:.3f} "
        f"(p = {effect.p_value:.2g}, which decides nothing)."
    )
    bounds = Limits(limits.effect_size_warn, limits.effect_size_fail)
    detail = {"statistic": name, "p_value": effect.p_value, "low": effect.low, "rows": found.values}
    return held(TEST, part, effect.value, bounds, says, surely=effect.low, detail=detail)


def _missing(
    part: str, feature: Feature, found: Histogram, expected: Expected, limits: MonitoringLimits
) -> Measure:
    share = found.missing / found.rows
    effect = share_shift(share, found.rows, expected.missing_share, expected.rows, limits.error)
    says = f"{feature.name} is missing of {share:.2%} of the customers, {expected.missing_share:.2%} were to be expected."
    bounds = Limits(limits.missing_share_change_warn, limits.missing_share_change_fail, "a change of {:.2%}")
    return held(
        MISSING,
        part,
        share,
        bounds,
        says,
        surely=effect.low,
        offset=expected.missing_share,
        detail={"expected": expected.missing_share, "rows": found.rows, "low": effect.low},
    )


def _beyond(part: str, feature: Feature, found: Histogram, limits: MonitoringLimits) -> Measure:
    share = found.out_of_bounds / found.values if found.values else 0.0
    says = (
        f"{found.out_of_bounds:,} of {found.values:,} values of {feature.name} are not between "
        f"{feature.lower:,g} and {feature.upper:,g}."
    )
    bounds = Limits(limits.out_of_bounds_share_warn, limits.out_of_bounds_share_fail, "{:.2%}")
    return held(
        BEYOND,
        part,
        share,
        bounds,
        says,
        detail={"out_of_bounds": found.out_of_bounds, "values": found.values},
    )
