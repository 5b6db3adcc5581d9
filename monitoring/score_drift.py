"""Score drift: the probability, the approval rate, and how many customers the model never saw. Pure."""

from collections.abc import Sequence

import numpy as np

from creditrisk.metric_store import Measure
from monitoring.compared import Group, index_measure
from monitoring.drift_reads import SampledCustomer
from monitoring.effects import share_at_least, share_shift
from monitoring.reference import Reference
from monitoring.verdicts import Limits, held, not_judged

SCORES, APPROVALS, UNSEEN = (
    "score_population_stability_index",
    "approval_rate",
    "unseen_customers_share",
)
METRICS = (SCORES, APPROVALS, UNSEEN)


def score_measures(group: Group, sample: Sequence[SampledCustomer]) -> list[Measure]:
    """The three of them.

    Args:
        group: the decisions.
        sample: of their customers.
    """
    return [_scores(group), _approval_rate(group), _unseen(group, sample)]


def _scores(group: Group) -> Measure:
    found, expected = group.expected("probability")
    why = group.too_few(found.rows, expected.rows if expected else 0, scores=True)
    if why or expected is None:
        return not_judged(SCORES, group.part, why)
    return index_measure(SCORES, group.part, "distribution of the probability", found, expected, group.limits)


def _approval_rate(group: Group) -> Measure:
    compared = [
        (each, reference)
        for each in group.counts
        if isinstance(reference := group.references[each.version], Reference)
        and reference.approval_rate is not None
    ]
    customers = sum(each.customers for each, _ in compared)
    rows = sum(each.customers**2 / len(reference.rows) for each, reference in compared)
    expected_rows = customers**2 / rows if rows else 0.0
    why = group.too_few(customers, expected_rows, scores=True)
    if why:
        return not_judged(APPROVALS, group.part, why)
    rate = sum(each.approved for each, _ in compared) / customers
    expected = (
        sum((reference.approval_rate or 0.0) * each.customers for each, reference in compared) / customers
    )
    limits = group.limits
    effect = share_shift(rate, customers, expected, expected_rows, limits.error)
    says = f"{rate:.2%} of {customers:,} customers are approved, {expected:.2%} were to be expected."
    bounds = Limits(limits.approval_rate_change_warn, limits.approval_rate_change_fail, "a change of {:.2%}")
    return held(
        APPROVALS,
        group.part,
        rate,
        bounds,
        says,
        surely=effect.low,
        # The limit on the side that the rate is on.
        offset=expected if rate >= expected else expected - 2 * limits.approval_rate_change_warn,
        detail={"expected": expected, "customers": customers, "low": effect.low},
    )


def _unseen(group: Group, sample: Sequence[SampledCustomer]) -> Measure:
    asked = seen = 0
    for version in sorted({each.version for each in sample}):
        reference = group.references.get(version)
        if isinstance(reference, Reference):
            theirs = np.array([each.customer for each in sample if each.version == version])
            asked += len(theirs)
            seen += int(np.isin(theirs, reference.customers).sum())
    limits = group.limits
    if asked < limits.least_rows:
        unmatched = group.unmatched()
        why = f"{asked:,} customers, and {limits.least_rows:,} are needed" + (
            f" ({unmatched})" if unmatched else ""
        )
        return not_judged(UNSEEN, group.part, why, limits.unseen_customers_share_warn)
    share = (asked - seen) / asked
    says = f"{asked - seen:,} of {asked:,} customers are not in the training set of the model that decided ({share:.2%})."
    bounds = Limits(limits.unseen_customers_share_warn, limits.unseen_customers_share_fail, "{:.2%}")
    low = share_at_least(share, asked, limits.error)
    return held(UNSEEN, group.part, share, bounds, says, surely=low, detail={"customers": asked, "low": low})
