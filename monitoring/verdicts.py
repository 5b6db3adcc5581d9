"""From a number and its limits to a measure with a verdict and a sentence."""

from dataclasses import dataclass
from typing import Any

from creditrisk.metric_store import Measure
from creditrisk.snapshots import Verdict


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond ``warn`` a value warns, beyond ``fail`` it fails; ``shown`` writes one in a sentence."""

    warn: float
    fail: float
    shown: str = "{:g}"


def held(
    metric: str,
    part: str,
    value: float,
    limits: Limits,
    says: str,
    *,
    surely: float | None = None,
    offset: float = 0.0,
    detail: dict[str, Any] | None = None,
) -> Measure:
    """A value held against its limits.

    Args:
        metric: the measure's.
        part: the measure's.
        value: to keep and show.
        limits: what it may be.
        says: the sentence without the limit.
        surely: what is held against the limits instead of the value, such as its lower bound, or a change.
        offset: what the limits are counted from, where they limit a change: the kept limit is beyond it.
        detail: what else to keep.
    """
    judged = value if surely is None else surely
    verdict, broken = Verdict.PASS, ""
    if judged > limits.fail:
        verdict, broken = Verdict.FAIL, f" The limit is {limits.shown.format(limits.fail)}."
    elif judged > limits.warn:
        verdict, broken = Verdict.WARN, f" A warning is given above {limits.shown.format(limits.warn)}."
    kept = {"warn": limits.warn, "fail": limits.fail, **(detail or {})}
    return Measure(metric, part, value, offset + limits.warn, verdict, says + broken, kept)


def not_judged(
    metric: str, part: str, why: str, limit: float | None = None, detail: dict[str, Any] | None = None
) -> Measure:
    """A measure without a number, and why there is none."""
    return Measure(metric, part, None, limit, Verdict.NOT_JUDGED, f"Not judged: {why}.", detail or {})


def only_shown(metric: str, part: str, value: float, says: str) -> Measure:
    """A number that nothing is held against."""
    return Measure(metric, part, value, None, Verdict.PASS, says)
