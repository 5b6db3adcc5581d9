"""Last nights: a row a night, and of one night its checks, its quarantined rows and its times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from creditrisk.contract import ROW_RULES
from creditrisk.nights import Night
from creditrisk.snapshots import QualityReport, SnapshotManifest
from monitoring.nightly_probe import Due, NightlyPlan, due_night
from plugins.operators_page.access import NIGHTLY
from plugins.operators_page.airflow_runs import run_of
from plugins.operators_page.plots import Figure, Series, lines
from plugins.operators_page.quarantine import Example, examples_of
from plugins.operators_page.readings import ReadingsDep
from plugins.operators_page.registry_reads import quality_of, snapshot_of
from plugins.operators_page.rendering import PageDep

router = APIRouter()

SHOWN = 31
DRAWN = 366
_LISTED = 7
"""Dates without a run that each have a line; of more at a stretch, one line tells."""

_SENTENCES = {rule.name: rule.sentence for rule in ROW_RULES}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a run, or a date that had none, or a stretch of such dates."""

    as_of: date
    """Of a stretch the newest date."""
    night: Night | None
    first: date | None = None
    """Of a stretch the oldest date."""
    was_early: bool = False
    """It was run, and only ahead of its slot."""

    @property
    def quarantined_share(self) -> float | None:
        """Of the rows that were read."""
        if self.night is None or not self.night.rows_in or self.night.quarantined is None:
            return None
        return self.night.quarantined / self.night.rows_in


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule, how many rows broke it, and some of them."""

    name: str
    sentence: str
    rows: int
    examples: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Shown:
    """A check of the quality gate as the table shows it."""

    name: str
    value: float | None
    warn_limit: float | None
    fail_limit: float | None
    verdict: str
    sentence: str


def is_daily(schedule: str) -> bool:
    """Whether a cron expression means one run every day."""
    fields = schedule.split()
    return len(fields) == 5 and fields[2:] == ["*", "*", "*"] and all(field.isdigit() for field in fields[:2])


def rows_of(nights: Sequence[Night], *, every_day: bool, due: Due | None = None) -> list[Row]:
    """The table's lines: the nights, newest first, and between them the dates that had no run, up to the one that is due.

    Long ago is a date that anybody may run, and years without a run are one line.

    Args:
        nights: newest first.
        every_day: whether there should be one a day.
        due: the newest night that is due; None: dates after the newest run are left out.
    """
    rows: list[Row] = []
    for night in nights:
        if every_day and (rows or due):
            after = rows[-1].as_of if rows else date.max
            if night.as_of < after:  # and the day between is one that there is
                last = after - timedelta(days=1)
                rows += _without(night.as_of + timedelta(days=1), min(last, due.as_of) if due else last)
            if due and not due.has_begun and night.as_of == due.as_of != (rows[-1].as_of if rows else None):
                rows.append(Row(night.as_of, None, was_early=True))
        rows.append(Row(night.as_of, night))
    return rows


def newest_of(nights: Sequence[Night], count: int) -> list[Night]:
    """About so many of the newest nights: all runs of the last date among them, for the next page is of dates before it."""
    return [night for night in nights if night.as_of >= nights[:count][-1].as_of]


def _without(first: date, last: date) -> list[Row]:
    """Lines for the dates from one to another, none of which had a run; newest first."""
    count = (last - first).days + 1
    if count > _LISTED:
        return [Row(last, None, first)]
    return [Row(last - timedelta(days=number), None) for number in range(count)]


def figures_of(nights: Sequence[Night], served: str | None) -> list[tuple[str, Figure]]:
    """Captions and plots over the dates of which rows were read; none where there are fewer than two.

    Args:
        nights: newest first.
        served: the snapshot that is being served. Of a date's runs the one that built it is drawn, else the newest.
    """
    by_date: dict[date, Night] = {}
    for night in reversed(nights):
        drawn = by_date.get(night.as_of)
        if night.rows_in and (drawn is None or night.snapshot == served or drawn.snapshot != served):
            by_date[night.as_of] = night
    counted = list(by_date.values())
    if len(counted) < 2:
        return []
    day = [night.as_of for night in counted]
    share = [(night.quarantined or 0) / night.rows_in for night in counted if night.rows_in]
    return [
        (
            "Rows in, by date",
            lines([Series("rows in", day, [night.rows_in for night in counted])], height=220),
        ),
        ("Quarantined share, by date", lines([Series("quarantined", day, share)], height=220, share=True)),
        (
            "Seconds, by date",
            lines([Series("seconds", day, [night.seconds for night in counted])], height=220),
        ),
    ]


def broken_rules(
    manifest: SnapshotManifest | None, examples: Mapping[str, Sequence[Example]]
) -> list[BrokenRule]:
    """The rules that rows broke, the commonest first."""
    counts = manifest.quarantined_by_rule if manifest else {}
    found = [
        BrokenRule(
            name,
            _SENTENCES.get(name, "A rule that this code does not know any more."),
            rows,
            examples.get(name, ()),
        )
        for name, rows in counts.items()
        if rows
    ]
    return sorted(found, key=lambda rule: (-rule.rows, rule.name))


def checks_of(report: QualityReport | None) -> list[Shown]:
    """The gate's checks, the worst first."""
    order = ("fail", "warn", "not judged", "pass")
    shown = [
        Shown(check.name, check.value, check.warn_limit, check.fail_limit, str(check.verdict), check.sentence)
        for check in (report.checks if report else ())
    ]
    return sorted(shown, key=lambda check: order.index(check.verdict))


def timings_of(manifest: SnapshotManifest | None) -> list[tuple[str, float]]:
    """The job's steps by their seconds, the longest first."""
    return sorted(manifest.timings_seconds.items(), key=lambda pair: -pair[1]) if manifest else []


@router.get("/nights")
def show(
    page: PageDep,
    readings: ReadingsDep,
    session: SessionDep,
    as_of: date | None = None,
    run_id: str | None = None,
    before: date | None = None,
) -> HTMLResponse:
    """The view, or one night of it."""
    if as_of is not None and run_id is not None:
        return _one(page, readings, session, as_of, run_id)
    nights = readings.nights(DRAWN, before)
    shown, served = newest_of(nights, SHOWN), readings.served()
    return page.render(
        "nights.html",
        view="nights",
        rows=rows_of(
            shown,
            every_day=is_daily(page.settings.nightly_schedule),
            due=None if before else due_night(NightlyPlan.of(page.settings), nights, datetime.now(UTC)),
        ),
        figures=figures_of(nights, served.snapshot if served else None),
        before=before,
        older=shown[-1].as_of if len(nights) > len(shown) else None,
        schedule=page.settings.nightly_schedule,
    )


def _one(page: PageDep, readings: ReadingsDep, session: SessionDep, as_of: date, run_id: str) -> HTMLResponse:
    night = readings.night(as_of, run_id)
    if night is None:
        raise HTTPException(404, f"night {as_of}, run {run_id}: no such night")
    manifest = snapshot_of(page.settings, night.snapshot) if night.snapshot else None
    report = quality_of(page.settings, night.snapshot) if night.snapshot else None
    examples = examples_of(page.settings, night.snapshot) if night.snapshot and night.quarantined else {}
    return page.render(
        "night.html",
        view="nights",
        night=night,
        row=Row(night.as_of, night),
        manifest=manifest,
        report=report,
        checks=checks_of(report),
        rules=broken_rules(manifest, examples),
        timings=timings_of(manifest),
        is_known_to_airflow=run_of(session, NIGHTLY, run_id) is not None,
    )
