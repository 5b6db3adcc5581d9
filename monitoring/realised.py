"""How decisions turned out: a vintage of each month, version and arm, held against the limits. Pure.

A month is *matured* when the outcomes of a set share of its decisions are known, of those decisions that are about a
loan. A declined application has none: nobody knows whether the loan would have been paid back, so it
counts neither as good nor as bad, and all figures are of loans that were granted. As in the model gate, a check fails
only where even the favourable end of the interval is beyond the limit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from typing import Any

from creditrisk.metric_store import Measure
from creditrisk.results_limits import ResultsLimits
from creditrisk.settings import ModelGateLimits
from creditrisk.snapshots import Verdict
from creditrisk.vintage_store import Vintage
from monitoring.cohort import NOT_COUNTED, Cohort, arranged
from monitoring.expected import expected_late_share, expected_roc_auc, roc_auc_error
from monitoring.outcome_reads import Counted
from monitoring.score_histogram import (
    Estimated,
    Figure,
    brier,
    brier_of_no_skill,
    calibration_error,
    estimated,
    estimated_difference,
    realised_roc_auc,
    tie_share,
)


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that is said of the decisions' outcomes."""

    vintages: list[Vintage]
    measures: list[Measure]


@dataclass(frozen=True, slots=True)
class _Check:
    """A figure of a matured cohort beside what it is held against."""

    metric: str
    figure: str
    """What it is, in words."""
    found: Estimated | None
    limit: float | None
    is_beyond: bool
    """Whether even the favourable end is."""
    inside: str
    beyond: str
    verdict: Verdict = Verdict.FAIL
    """If it is beyond."""


@dataclass(frozen=True, slots=True)
class ResultsJudge:
    """Judges what is known on a day."""

    day: date
    limits: ResultsLimits
    gate: ModelGateLimits
    serving: frozenset[str] | None
    """The versions in force then; None: nobody knows, and each counts as one."""

    def results(self, counted: Iterable[Counted]) -> Results:
        """Vintages and measures of counts in the order of months."""
        vintages, measures = list[Vintage](), list[Measure]()
        for _, of_month in groupby(counted, key=lambda each: each.scorer.month):
            cohorts, pairs = arranged(of_month)
            for cohort in cohorts:
                vintages.append(self._vintage(cohort))
                measures += self._measures(cohort)
            measures += [self._difference(challenger, champion) for challenger, champion in pairs]
        return Results(vintages, measures)

    def _vintage(self, cohort: Cohort) -> Vintage:
        auc, error, calibration = (
            self._matured(each, cohort) for each in (realised_roc_auc, brier, calibration_error)
        )
        return Vintage(
            month=cohort.month,
            version=cohort.version,
            arm=cohort.arm,
            decisions=cohort.possible + sum(cohort.left_out.values()),
            excluded=sum(cohort.left_out.values()),
            labelled=cohort.labelled,
            late=cohort.late,
            roc_auc=auc and auc.value,
            brier=error and error.value,
            calibration_error=calibration and calibration.value,
            expected_roc_auc=expected_roc_auc(cohort.scores),
            expected_late_share=expected_late_share(cohort.scores),
            day=self.day,
        )

    def _measures(self, cohort: Cohort) -> list[Measure]:
        checks = (self._roc_auc, self._brier, self._calibration_error, self._expected_roc_auc_error)
        return [
            self._labelled_share(cohort),
            _expected_roc_auc(cohort),
            *(self._judged(cohort, check(cohort)) for check in checks),
        ]

    def _labelled_share(self, cohort: Cohort) -> Measure:
        limit, share = self.limits.matured_share, cohort.labelled_share
        left_out = ", ".join(f"{count:,} {NOT_COUNTED[state]}" for state, count in cohort.left_out.items())
        words = (
            f"the outcome is known of {cohort.labelled:,} of {cohort.possible:,} decisions about a granted loan"
            f" ({share:.1%}){f'; left out: {left_out}' if left_out else ''}"
        )
        verdict = Verdict.PASS if self._is_matured(cohort) else Verdict.NOT_JUDGED
        is_overdue = (self.day - cohort.last_day).days > self.limits.overdue_days
        if cohort.possible and verdict is not Verdict.PASS and is_overdue:
            verdict = Verdict.WARN
            words += f"; {limit:.0%} are due {self.limits.overdue_days} days after the month's end"
        found = Estimated(share, None, None) if cohort.possible else None
        return _measure("labelled_share", cohort, found, limit, verdict, words)

    def _roc_auc(self, cohort: Cohort) -> _Check:
        limit, found = self.gate.roc_auc_floor, self._matured(realised_roc_auc, cohort)
        inside, beyond = f"at least {limit:g}", f"below {limit:g}"
        return _Check("realised_roc_auc", "ROC AUC", found, limit, _is_below(found, limit), inside, beyond)

    def _brier(self, cohort: Cohort) -> _Check:
        """Held against that of who gives everybody the share that turned out late; the gate has no limit for it."""
        found = self._matured(brier, cohort)
        worse = self._matured(lambda each: brier(each) - brier_of_no_skill(each), cohort)
        limit = found and float(brier_of_no_skill(cohort.outcomes.whole())[0])
        inside, beyond = (
            f"{words} {limit or 0:.4f}, which takes no skill" for words in ("not above", "above")
        )
        return _Check(
            "realised_brier", "Brier score", found, limit, _is_above(worse, 0), inside, beyond, Verdict.WARN
        )

    def _calibration_error(self, cohort: Cohort) -> _Check:
        limit, found = self.gate.calibration_error_ceiling, self._matured(calibration_error, cohort)
        inside, beyond = f"at most {limit:g}", f"above {limit:g}"
        is_above = _is_above(found, limit)
        return _Check(
            "realised_calibration_error", "calibration error", found, limit, is_above, inside, beyond
        )

    def _expected_roc_auc_error(self, cohort: Cohort) -> _Check:
        limit = self.limits.expected_roc_auc_error
        found = roc_auc_error(cohort.outcomes) if self._is_matured(cohort) else None
        is_off = _is_above(found, limit) or _is_below(found, -limit)
        figure = "the ROC AUC expected from the scores, less the one that came of it,"
        inside, beyond = f"within ±{limit:g}", f"beyond ±{limit:g}"
        return _Check("expected_roc_auc_error", figure, found, limit, is_off, inside, beyond, Verdict.WARN)

    def _difference(self, challenger: Cohort, champion: Cohort) -> Measure:
        """A challenger's against the champion's on the same loans."""
        limit, found = -self.gate.champion_margin, None
        if self._is_matured(challenger):
            found = estimated_difference(realised_roc_auc, challenger.outcomes, champion.outcomes)
        figure = f"ROC AUC less that of {champion.version} on the same loans"
        check = _Check(
            *("realised_roc_auc_difference", figure, found, limit, _is_below(found, limit)),
            *(f"at least {limit:g}", f"below {limit:g}", Verdict.WARN),
        )
        measure = self._judged(challenger, check)
        return replace(measure, part=f"{measure.part}/{champion.version}")

    def _judged(self, cohort: Cohort, check: _Check) -> Measure:
        """What a check comes to: it is judged where the month has matured and enough is known of it."""
        found, late, in_time = check.found, cohort.late, cohort.labelled - cohort.late
        least, verdict = self.limits.least_late, Verdict.NOT_JUDGED
        if found is None:
            words = f"{check.figure.removesuffix(',')}: not judged: {self._why_not(cohort)}"
        else:
            on = f"on {cohort.labelled:,} loans of known outcome, {late:,} of them late"
            if min(late, in_time) < least or found.low is None:
                words = f"{check.figure} is {found.shown} {on}: not judged: {least:,} of either kind are asked for"
            else:
                verdict = check.verdict if check.is_beyond else Verdict.PASS
                words = f"{check.figure} {found.shown} is {check.beyond if check.is_beyond else check.inside}, {on}"
        if verdict is Verdict.FAIL and self.serving is not None and cohort.version not in self.serving:
            verdict, words = Verdict.WARN, f"{words}; the version no longer serves"
        return _measure(check.metric, cohort, found, check.limit, verdict, words)

    def _matured(self, figure: Figure, cohort: Cohort) -> Estimated | None:
        """A figure of a cohort that has matured, else None."""
        return estimated(figure, cohort.outcomes) if self._is_matured(cohort) else None

    def _is_matured(self, cohort: Cohort) -> bool:
        return cohort.possible > 0 and cohort.labelled_share >= self.limits.matured_share

    def _why_not(self, cohort: Cohort) -> str:
        if not cohort.possible:
            return "no decision is about a loan that counts"
        if self._is_matured(cohort):
            return "all outcomes are alike"
        share, asked = f"{cohort.labelled_share:.1%}", f"{self.limits.matured_share:.0%}"
        return f"the outcome is known of {share} of the decisions, {asked} are asked for"


def _is_above(found: Estimated | None, limit: float) -> bool:
    return found is not None and found.low is not None and found.low > limit


def _is_below(found: Estimated | None, limit: float) -> bool:
    return found is not None and found.high is not None and found.high < limit


def _expected_roc_auc(cohort: Cohort) -> Measure:
    """Never judged: it is what the model says of itself."""
    value, share = expected_roc_auc(cohort.scores), expected_late_share(cohort.scores)
    found = None if value is None else Estimated(value, None, None)
    words = (
        "nothing is expected: no decision is about a loan that counts"
        if value is None or share is None
        else f"by the calibrated scores of {cohort.possible:,} decisions a ROC AUC of {value:.4f} and"
        f" {share:.2%} late loans are expected (confidence-based performance estimation)"
    )
    return _measure("expected_roc_auc", cohort, found, None, Verdict.NOT_JUDGED, words)


def _measure(
    metric: str, cohort: Cohort, found: Estimated | None, limit: float | None, verdict: Verdict, words: str
) -> Measure:
    detail: dict[str, Any] = {
        "month": str(cohort.month),
        "version": cohort.version,
        "arm": cohort.arm,
        "labelled": cohort.labelled,
        "late": cohort.late,
        "possible": cohort.possible,
        "left_out": cohort.left_out,
    }
    if found and found.low is not None:
        detail |= {"low": found.low, "high": found.high, "tie_share": tie_share(cohort.outcomes)}
    value = found and found.value
    return Measure(metric, cohort.part, value, limit, verdict, f"{cohort.name}: {words}.", detail)
