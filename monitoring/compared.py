"""What a window's decisions in one arm are compared with, and the index that compares them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from creditrisk.metric_store import Measure
from creditrisk.monitoring_limits import MonitoringLimits
from monitoring.drift_reads import ArmCounts
from monitoring.effects import stability_index
from monitoring.histograms import Expected, Histogram, feature_grid, probability_grid
from monitoring.reference import Reference
from monitoring.verdicts import Limits, held

ALL = "all"

Found = Mapping[str, Reference | str]
"""By version its reference, or in words why there is none."""


@dataclass(frozen=True, slots=True)
class Group:
    """The decisions of a window in one arm, or in all."""

    part: str
    """Window and arm, such as ``day/all``."""
    counts: Sequence[ArmCounts]
    references: Found
    limits: MonitoringLimits

    def unmatched(self, *, scores: bool = False) -> str:
        """Why some of the decisions are compared with nothing; empty where all are compared."""
        return "; ".join(
            dict.fromkeys(
                why
                for each in self.counts
                if (why := _missing_because(self.references[each.version], scores=scores))
            )
        )

    def expected(self, name: str) -> tuple[Histogram, Expected | None]:
        """What was found of a quantity, and what was to be expected, of customers whose version has a reference."""
        grid = probability_grid() if name == "probability" else feature_grid(name)
        found, references = Histogram.empty(grid), []
        for each in self.counts:
            reference = self.references[each.version]
            if isinstance(reference, str):
                continue
            theirs = reference.scores if name == "probability" else reference.features[name]
            if theirs is not None:
                found += each.histograms[name]
                references.append((theirs, each.customers))
        return found, Expected.mixed(references)

    def too_few(self, found_rows: float, expected_rows: float, *, scores: bool = False) -> str:
        """Why this is not enough to judge; empty where it is."""
        least = self.limits.least_rows
        if found_rows >= least and expected_rows >= least:
            return ""
        words = f"{found_rows:,.0f} customers with {expected_rows:,.0f} loans to compare with, and {least:,} are needed of each"
        unmatched = self.unmatched(scores=scores)
        return f"{words} ({unmatched})" if unmatched else words


def index_measure(
    metric: str, part: str, what: str, found: Histogram, expected: Expected, limits: MonitoringLimits
) -> Measure:
    """The population stability index, with what a plot needs in the detail.

    Args:
        metric: the measure's.
        part: the measure's.
        what: words for what is measured.
        found: what was counted.
        expected: what it is compared with.
        limits: of the index.
    """
    effect = stability_index(found, expected, limits.error)
    says = (
        f"The {what} has a population stability index of {effect.value:.3f}, surely at least {effect.low:.3f}, "
        f"by {found.rows:,} rows against {expected.rows:,.0f}."
    )
    bounds = Limits(limits.population_stability_index_warn, limits.population_stability_index_fail)
    detail = _detail(found, expected) | {"low": effect.low}
    return held(metric, part, effect.value, bounds, says, surely=effect.low, detail=detail)


def _detail(found: Histogram, expected: Expected) -> dict[str, object]:
    """Both distributions by the coarser buckets, as shares of all rows."""
    rows = max(1, found.rows)
    return {
        "edges": list(found.grid.plotted_edges),
        "found": [round(share, 6) for share in found.grid.plotted(found.counts / rows)],
        "expected": [round(share, 6) for share in found.grid.plotted(expected.shares)],
        "found_missing": found.missing / rows,
        "expected_missing": expected.missing_share,
        "rows": found.rows,
        "expected_rows": round(expected.rows),
    }


def _missing_because(reference: Reference | str, *, scores: bool) -> str:
    if isinstance(reference, str):
        return reference
    return (reference.unscored_because or "") if scores else ""
