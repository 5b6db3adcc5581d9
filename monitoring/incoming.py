"""Incoming loans: the raw columns that features come from, of the day's and the week's loans against the 30 days before."""

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np

from creditrisk.metric_store import Measure
from creditrisk.monitoring_limits import MonitoringLimits
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from monitoring.compared import index_measure
from monitoring.histograms import Expected, Histogram
from monitoring.landed_columns import GRIDS, landed_loans
from monitoring.verdicts import not_judged

INCOMING = "incoming_population_stability_index"
METRICS = (INCOMING,)

_MONTH = timedelta(days=30)
_DAYS = {"day": timedelta(days=1), "week": timedelta(days=7)}


def incoming_measures(settings: Settings, day: date) -> list[Measure]:
    """How far the day's and the week's loans have moved from those of the 30 days before each.

    Raises:
        StorageError: the lake cannot be read.
    """
    by_day = loans_by_day(Storage(settings.lake_root), day - _DAYS["week"] - _MONTH, day)
    return [
        measure
        for window, length in _DAYS.items()
        for measure in window_measures(by_day, window, day - length, day, settings.monitoring)
    ]


def loans_by_day(lake: Storage, after: date, last: date) -> dict[date, dict[str, Histogram]]:
    """Each column's distribution by loan date, of the days after ``after`` up to ``last``; days without loans are left out."""
    found: dict[date, dict[str, Histogram]] = {}
    for loans in landed_loans(lake, after + timedelta(days=1), last):
        for day in np.unique(loans.days):
            of_day = loans.days == day
            counted = found.setdefault(day.astype(object), {})
            for column, grid in GRIDS.items():
                histogram = Histogram.of(grid, loans.values[column][of_day])
                counted[column] = counted.get(column, Histogram.empty(grid)) + histogram
    return found


def window_measures(
    by_day: Mapping[date, Mapping[str, Histogram]],
    window: str,
    after: date,
    last: date,
    limits: MonitoringLimits,
) -> list[Measure]:
    """The measures of the loans after a day up to ``last``, against the 30 days up to that day."""
    measures = []
    for column, grid in GRIDS.items():
        part = f"{window}/{column}"
        found, before = (
            sum((each[column] for day, each in by_day.items() if first < day <= until), Histogram.empty(grid))
            for first, until in ((after, last), (after - _MONTH, after))
        )
        expected = Expected.mixed([(before, found.rows)])
        if expected is None or min(found.rows, before.rows) < limits.least_rows:
            why = f"{found.rows:,} loans with {before.rows:,} to compare with, and {limits.least_rows:,} are needed of each"
            measures.append(not_judged(INCOMING, part, why, limits.population_stability_index_warn))
        else:
            measures.append(
                index_measure(INCOMING, part, f"{column} of incoming loans", found, expected, limits)
            )
    return measures
