"""Drift and results: each feature's line over a month with its limit, how decisions turned out, and the day's report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, pairwise
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse, Response

from creditrisk.contract import FEATURE_NAMES, FEATURES
from creditrisk.storage import Storage
from creditrisk.vintage_store import Vintage
from plugins.operators_page.access import sees
from plugins.operators_page.plots import Figure, Series, Spark, bars, lines, spark
from plugins.operators_page.readings import ReadingsDep
from plugins.operators_page.rendering import PageDep
from plugins.operators_page.store_rows import Metric

router = APIRouter(dependencies=sees("monitor_model"))

DAYS = 30
INDEX = "population_stability_index"
BY_FEATURE = (INDEX, "drift_test", "missing_share", "out_of_bounds_share")
BY_ARM = ("score_population_stability_index", "approval_rate", "unseen_customers_share", "decisions")
BY_THEMSELVES = (
    "incoming_population_stability_index", "skew_rows", "snapshot_age_days", "model_age_days", "volume_ratio",
)  # fmt: skip
WINDOWS = {"week": "the seven days before", "day": "the day alone"}
NAMES = {
    INDEX: "Distribution (population stability index)",
    "drift_test": "Test's effect size",
    "missing_share": "Missing",
    "out_of_bounds_share": "Out of bounds",
    "score_population_stability_index": "Distribution of the probability (population stability index)",
    "approval_rate": "Approval rate",
    "unseen_customers_share": "Customers whom the training set does not know",
    "decisions": "Decisions",
    "incoming_population_stability_index": "Incoming loans (index)",
    "skew_rows": "Decisions on other features than the job's own",
    "snapshot_age_days": "Days since the snapshot's date",
    "model_age_days": "Days since the model's date",
    "volume_ratio": "Decisions against the usual of the weekday",
}
_SHARES = ("missing_share", "out_of_bounds_share", "approval_rate", "unseen_customers_share")
_WORST = ("fail", "warn", "not judged", "pass")


@dataclass(frozen=True, slots=True)
class Line:
    """One measure over the days."""

    metric: str
    part: str
    newest: Metric
    spark: Spark
    is_share: bool

    @property
    def name(self) -> str:
        """What it is called."""
        return NAMES.get(self.metric, self.metric)

    @property
    def of(self) -> str:
        """The last part: the feature, the column or the arm."""
        return self.part.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class VintageRow:
    """A month's decisions by one version and arm, with what follows from the counts."""

    vintage: Vintage

    @property
    def late_share(self) -> float | None:
        """Of the known outcomes, those that were late."""
        return self.vintage.late / self.vintage.labelled if self.vintage.labelled else None

    @property
    def estimate_error(self) -> float | None:
        """How wrong the estimate was: the realised ROC AUC less the expected one."""
        realised, expected = self.vintage.roc_auc, self.vintage.expected_roc_auc
        return None if realised is None or expected is None else realised - expected


def lines_of(metrics: Iterable[Metric], first: date, last: date) -> list[Line]:
    """A line for each metric and part that was measured on one of the days; metrics are by metric, part and day."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    made = []
    for (metric, part), group in groupby(metrics, key=lambda one: (one.metric, one.part)):
        by_day = {one.day: one for one in group}
        newest = by_day[max(by_day)]
        values = [by_day[day].value if day in by_day else None for day in days]
        known = [value for value in values if value is not None]
        words = f"{len(known)} days from {first} to {last}" + (
            f", {min(known):.3g} to {max(known):.3g}" if known else ""
        )
        made.append(Line(metric, part, newest, spark(values, newest.limit, words=words), metric in _SHARES))
    return made


def by_feature(found: Sequence[Line]) -> list[tuple[str, dict[str, Line]]]:
    """A feature's lines by metric, in the order of the contract."""
    table: dict[str, dict[str, Line]] = {name: {} for name in FEATURE_NAMES}
    for line in found:
        if line.metric in BY_FEATURE and line.of in table:
            table[line.of][line.metric] = line
    return [(name, lines) for name, lines in table.items() if lines]


def figure_of(metrics: Sequence[Metric], metric: str) -> Figure | None:
    """Every part of a metric as a line over the days, with the limits that hold for them; None without values."""
    series: list[Series] = []
    limits: set[float] = set()
    for part, group in groupby([one for one in metrics if one.metric == metric], key=lambda one: one.part):
        rows = list(group)
        if any(one.value is not None for one in rows):
            series.append(
                Series(part.rsplit("/", 1)[-1], [one.day for one in rows], [one.value for one in rows])
            )
            limits.update(one.limit for one in rows[-1:] if one.limit is not None)
    return (
        lines(
            series, limits=[("limit", limit) for limit in sorted(limits)], share=metric in _SHARES, height=300
        )
        if series
        else None
    )


def distribution_of(feature: str, detail: dict[str, Any] | None) -> Figure | None:
    """A feature's distribution among decisions beside that of the training reference, without empty buckets at its ends."""
    if not detail or "found" not in detail:
        return None
    edges = [f"{edge:g}" for edge in detail["edges"]]
    names = [
        f"below {edges[0]}",
        *(f"{low} to {high}" for low, high in pairwise(edges)),
        f"from {edges[-1]}",
    ]
    found = [*detail["found"], detail.get("found_missing", 0.0)]
    expected = [*detail["expected"], detail.get("expected_missing", 0.0)]
    names.append("missing")
    if len(found) != len(names):
        names = [str(number + 1) for number in range(len(found))]
    filled = [place for place, both in enumerate(zip(found[:-1], expected[:-1], strict=True)) if any(both)]
    shown = [*range(filled[0], filled[-1] + 1), len(names) - 1] if filled else range(len(names))
    names, found, expected = ([each[place] for place in shown] for each in (names, found, expected))
    words = f"{feature}: {detail.get('rows', 0):,} decisions' customers against {detail.get('expected_rows', 0):,} reference rows, by buckets"
    return bars(names, {"decisions": found, "training reference": expected}, share=True, words=words)


def attention_of(found: Sequence[Metric]) -> list[Metric]:
    """Those measures that warn or fail, the worst first."""
    return sorted(
        (one for one in found if one.verdict in ("fail", "warn")),
        key=lambda one: (_WORST.index(one.verdict), one.metric, one.part),
    )


def results_figure(vintages: Sequence[Vintage]) -> Figure | None:
    """Realised and expected ROC AUC by month, a line for each version and arm; None where none is known."""
    series = []
    ordered = sorted(vintages, key=lambda one: (one.arm, one.version, one.month))
    for (arm, version), group in groupby(ordered, key=lambda one: (one.arm, one.version)):
        rows = list(group)
        for name, values in (
            ("realised", [one.roc_auc for one in rows]),
            ("expected", [one.expected_roc_auc for one in rows]),
        ):
            if any(value is not None for value in values):
                series.append(Series(f"{arm} {version}, {name}", [one.month for one in rows], values))
    return lines(series, height=300, from_zero=False) if series else None


@router.get("/drift")
def show(
    page: PageDep,
    readings: ReadingsDep,
    window: str = "week",
    arm: Annotated[str, Query(pattern=r"^\w{1,40}$")] = "all",
    feature: str | None = None,
    day: Annotated[date | None, Query(ge=date(1900, 1, 1))] = None,
) -> HTMLResponse:
    """The view of the newest measured day, or of another, with one feature's distribution where it is asked for."""
    if window not in WINDOWS or (feature is not None and feature not in FEATURE_NAMES):
        raise HTTPException(404, "There is no such window or feature.")
    last = day or readings.newest_measured_day()
    measured: list[Metric] = []
    of_day: list[Metric] = []
    judged: list[Metric] = []
    arms: list[str] = []
    if last:
        first = last - timedelta(days=DAYS - 1)
        measured = readings.metrics_of(first, last, BY_FEATURE + BY_ARM, f"{window}/{arm}")
        measured += readings.metrics(first, last, BY_THEMSELVES)
        of_day = readings.metrics(last, last)
        judged = attention_of(of_day)
        arms = readings.arms(last)
    found = lines_of(measured, first, last) if last else []
    vintages = readings.vintages()
    detail = readings.detail(last, INDEX, f"{window}/{arm}/{feature}") if last and feature else None
    return page.render(
        "drift.html",
        view="drift",
        day=last,
        window=window,
        windows=WINDOWS,
        arm=arm,
        arms=sorted({"all", arm, *arms}),
        judged=judged,
        is_measured=bool(of_day),
        features=by_feature(found),
        scores=[line for line in found if line.metric in BY_ARM],
        others=[line for line in found if line.metric in BY_THEMSELVES],
        metric_names=NAMES,
        by_feature_metrics=BY_FEATURE,
        figure_of_features=figure_of(measured, INDEX),
        figure_of_approvals=figure_of(measured, "approval_rate"),
        feature=next((one for one in FEATURES if one.name == feature), None),
        distribution=distribution_of(feature, detail) if feature else None,
        vintages=[VintageRow(vintage) for vintage in vintages],
        figure_of_results=results_figure(vintages),
        report=_report_key(page, last) if last else None,
    )


@router.get("/drift/report")
def report(page: PageDep, day: date) -> Response:
    """The day's drift report as the library made it, in a sandbox: its scripts act for nobody."""
    key = _report_key(page, day)
    if key is None:
        raise HTTPException(404, f"There is no report of {day}.")
    policy = (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; frame-ancestors 'self'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(
        Storage(page.settings.lake_root).read(key), media_type="text/html; charset=utf-8", headers=headers
    )


def _report_key(page: PageDep, day: date) -> str | None:
    """The report of a day that was written last."""
    folder = f"reports/{day}"
    names = [
        name
        for name in Storage(page.settings.lake_root).names(folder)
        if name.startswith("drift-") and name.endswith(".html")
    ]
    return f"{folder}/{max(names)}" if names else None
