"""The judge of a release step: from counts to go on, wait or abort, with every number, limit and reason. Pure.

The intervals of its checks hold at every look together, so looking often makes no wrong verdict likelier, and a
small sample decides nothing by chance.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from creditrisk.settings import CanarySettings
from monitoring.canary_checks import CanaryCheck, Finding, checks_of
from monitoring.step_evidence import StepEvidence, quantile


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Record):
    """A step of a release: the release record that began it, and how old it is now."""

    release: int
    champion: str
    challenger: str
    share: float
    since: datetime
    judged_at: datetime

    @property
    def seconds(self) -> float:
        """Since it began."""
        return (self.judged_at - self.since).total_seconds()


class CanaryVerdict(_Record):
    """The judge's verdict on a step. ``reasons`` are the sentences of the checks that led to it."""

    step: Step
    finding: Finding
    reasons: list[str]
    decisions: int
    loading: int
    """Requests that came while a process was still loading the challenger, beyond the decisions."""
    customers: int
    filled_up: int
    """Customers among them whose request is of the day before, scored again with both versions."""
    microseconds: dict[str, dict[str, int | None]]
    """Median and 99th percentile of the scoring time, of champion and challenger."""
    checks: list[CanaryCheck]


def judge(step: Step, evidence: StepEvidence, limits: CanarySettings) -> CanaryVerdict:
    """Hold what is known of a step against the limits.

    Returns:
        ``abort`` where a check says so, or where the step is not decided in its longest time; ``go on`` where
        every check that is judged says so; else ``wait``.
    """
    checks = [_duration(step, limits), *checks_of(evidence, limits)]
    finding, reasons = _verdict(step, checks, limits)
    champion = [(timing[0], count) for timing, count in evidence.timings.items()]
    challenger = [(timing[1], count) for timing, count in evidence.timings.items()]
    return CanaryVerdict(
        step=step,
        finding=finding,
        reasons=reasons,
        decisions=evidence.decisions,
        loading=evidence.loading,
        customers=evidence.approvals.customers,
        filled_up=evidence.filled_up,
        microseconds={
            name: {"median": quantile(values, 0.5), "p99": quantile(values, 0.99)}
            for name, values in (("champion", champion), ("challenger", challenger))
        },
        checks=checks,
    )


def _verdict(step: Step, checks: list[CanaryCheck], limits: CanarySettings) -> tuple[Finding, list[str]]:
    found = {finding: [check.sentence for check in checks if check.finding is finding] for finding in Finding}
    if found[Finding.ABORT]:
        return Finding.ABORT, found[Finding.ABORT]
    waiting = found[Finding.WAIT]
    if waiting and step.seconds >= limits.step_longest_seconds:
        return Finding.ABORT, [f"not decided in {step.seconds:.0f} s, the longest time of a step", *waiting]
    return (
        (Finding.WAIT, waiting)
        if waiting
        else (Finding.GO_ON, ["every check that is judged is inside its limit"])
    )


def _duration(step: Step, limits: CanarySettings) -> CanaryCheck:
    least = limits.step_least_seconds
    is_over = step.seconds >= least
    return CanaryCheck(
        name="duration",
        value=step.seconds,
        low=None,
        high=None,
        limit=least,
        finding=Finding.GO_ON if is_over else Finding.WAIT,
        sentence=f"the step has taken {step.seconds:.0f} s, at least {least:g} s are asked for",
    )
