"""The checks of a release step: what is counted, held against a limit. Pure.

Each aborts only where its whole interval lies beyond the limit, and lets the step go on only where it lies wholly
inside; between, more requests will tell.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from creditrisk.population_stability import population_stability_index
from creditrisk.settings import CanarySettings
from monitoring.confidence_sequence import Interval, difference_interval, share_interval
from monitoring.step_evidence import Approvals, Group, StepEvidence, histogram


class Finding(StrEnum):
    """What a check, or the judge as a whole, says of a step."""

    GO_ON = "go on"
    WAIT = "wait"
    ABORT = "abort"
    NOT_JUDGED = "not judged"


class CanaryCheck(BaseModel):
    """One named check: its value with the interval, the limit it was held against, and how it ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    finding: Finding
    sentence: str


def checks_of(evidence: StepEvidence, limits: CanarySettings) -> list[CanaryCheck]:
    """Every check of a step's evidence; the error is shared out evenly over those with an interval."""
    groups = _judged_groups(evidence, limits)
    error = limits.error / (5 + len(groups))
    return [
        _customers(evidence, limits),
        _problems(evidence, limits, error),
        _fallbacks(evidence, limits, error),
        _slow(evidence, limits, error),
        _flips(evidence, limits, error),
        _approvals("approval_shift", "", evidence.approvals, limits.approval_shift_limit, error),
        *(_group(group, evidence.groups[group], limits, error, groups) for group in sorted(evidence.groups)),
        _score_shift(evidence, limits),
    ]


def _customers(evidence: StepEvidence, limits: CanarySettings) -> CanaryCheck:
    customers, least = evidence.approvals.customers, limits.least_customers
    filled = f", {evidence.filled_up:,} of them filled up from the day before" if evidence.filled_up else ""
    return CanaryCheck(
        name="customers",
        value=customers,
        low=None,
        high=None,
        limit=least,
        finding=Finding.GO_ON if customers >= least else Finding.WAIT,
        sentence=f"{customers:,} customers are scored by both{filled}, at least {least:,} are asked for",
    )


def _problems(evidence: StepEvidence, limits: CanarySettings, error: float) -> CanaryCheck:
    count = evidence.problems.total()
    interval = share_interval(count, evidence.decisions, error)
    commonest = evidence.problems.most_common(1)
    words = f"the challenger failed on {count:,} of {evidence.decisions:,} requests"
    return _held(
        "problems",
        words,
        _share(count, evidence.decisions),
        interval,
        limits.problem_share_limit,
        tail=f": {commonest[0][0]}" if commonest else "",
    )


def _fallbacks(evidence: StepEvidence, limits: CanarySettings, error: float) -> CanaryCheck:
    """Of the challenger's customers alone. A small share has few of them, so it never holds a step up."""
    count, total = evidence.fallbacks, evidence.challengers_customers
    words = f"the champion stood in on {count:,} of {total:,} requests of the challenger's customers"
    if not total:
        return _not_judged("fallbacks", words)
    interval = share_interval(count, total, error)
    return _held(
        "fallbacks", words, _share(count, total), interval, limits.problem_share_limit, only_aborts=True
    )


def _slow(evidence: StepEvidence, limits: CanarySettings, error: float) -> CanaryCheck:
    """Paired, so that a busy machine, which slows both alike, is held against neither."""
    faster, alike, slower = evidence.slow(limits.slow_microseconds)
    total = faster + alike + slower
    interval = difference_interval(faster, alike, slower, error)
    words = (
        f"scoring took over {limits.slow_microseconds} µs with the challenger alone on {slower:,},"
        f" with the champion alone on {faster:,} of {total:,} requests"
    )
    if not total and evidence.decisions:  # it failed on every request; that is judged as such
        return _not_judged("slow", words)
    return _held(
        "slow", words, (slower - faster) / total if total else 0.0, interval, limits.slow_share_limit
    )


def _flips(evidence: StepEvidence, limits: CanarySettings, error: float) -> CanaryCheck:
    approvals = evidence.approvals
    interval = share_interval(approvals.flips, approvals.customers, error)
    words = f"the two decide differently on {approvals.flips:,} of {approvals.customers:,} customers"
    return _held(
        "flips", words, _share(approvals.flips, approvals.customers), interval, limits.flip_share_limit
    )


def _approvals(
    name: str, of: str, approvals: Approvals, limit: float, error: float, *, only_aborts: bool = False
) -> CanaryCheck:
    same = approvals.both + approvals.neither
    low, high = difference_interval(approvals.only_champion, same, approvals.only_challenger, error)
    shown = f"{approvals.shift:+.4f} ({low:+.4f} to {high:+.4f})"
    if low > limit or high < -limit:
        finding, words = Finding.ABORT, "beyond"
    elif -limit <= low and high <= limit:
        finding, words = Finding.GO_ON, "inside"
    else:
        finding, words = Finding.GO_ON if only_aborts else Finding.WAIT, "not yet wholly inside or beyond"
    return CanaryCheck(
        name=name,
        value=approvals.shift,
        low=low,
        high=high,
        limit=limit,
        finding=finding,
        sentence=f"approval rate{of}, challenger's less champion's: {shown} is {words} ±{limit:g}",
    )


def _judged_groups(evidence: StepEvidence, limits: CanarySettings) -> list[Group]:
    least = limits.group_least_customers
    return [group for group, approvals in evidence.groups.items() if approvals.customers >= least]


def _group(
    group: Group, approvals: Approvals, limits: CanarySettings, error: float, judged: list[Group]
) -> CanaryCheck:
    """A group is smaller than the whole, so it may abort a step and never holds it up."""
    kind, value = group
    name, of = f"approval_shift:{kind}={value}", f" of {kind} {value}"
    if group not in judged:
        fewer = f"{approvals.customers:,} customers, fewer than {limits.group_least_customers:,}"
        return _not_judged(name, f"approval rate{of}: {fewer}")
    return _approvals(name, of, approvals, limits.group_approval_shift_limit, error, only_aborts=True)


def _score_shift(evidence: StepEvidence, limits: CanarySettings) -> CanaryCheck:
    customers, least = evidence.approvals.customers, limits.least_customers
    if customers < least:  # the index has no interval, and is large by chance in a small sample
        return _not_judged("score_shift", f"scores of {customers:,} customers, fewer than {least:,}")
    index = population_stability_index(
        histogram(evidence.champion_scores), histogram(evidence.challenger_scores)
    )
    is_inside = index <= limits.score_shift_limit
    return CanaryCheck(
        name="score_shift",
        value=index,
        low=None,
        high=None,
        limit=limits.score_shift_limit,
        finding=Finding.GO_ON if is_inside else Finding.ABORT,
        sentence=f"score distribution: population stability index {index:.3f} is"
        f" {'at most' if is_inside else 'above'} {limits.score_shift_limit:g}",
    )


def _held(
    name: str,
    words: str,
    value: float,
    interval: Interval,
    limit: float,
    *,
    tail: str = "",
    only_aborts: bool = False,
) -> CanaryCheck:
    """A figure of which less is better."""
    if interval.low > limit:
        finding, position = Finding.ABORT, "above"
    elif interval.high <= limit:
        finding, position = Finding.GO_ON, "at most"
    else:
        finding, position = Finding.GO_ON if only_aborts else Finding.WAIT, "not yet wholly below or above"
    shown = f"{value:.4f} ({interval.low:.4f} to {interval.high:.4f})"
    return CanaryCheck(
        name=name,
        value=value,
        low=interval.low,
        high=interval.high,
        limit=limit,
        finding=finding,
        sentence=f"{words}: {shown} is {position} {limit:g}{tail}",
    )


def _not_judged(name: str, words: str) -> CanaryCheck:
    return CanaryCheck(
        name=name,
        value=None,
        low=None,
        high=None,
        limit=None,
        finding=Finding.NOT_JUDGED,
        sentence=words,
    )


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0
