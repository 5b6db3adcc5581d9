"""Evidently's standard drift report of a day, as one HTML file in the lake.

The numbers that alerts and pages rest on are our own; this is the picture that data scientists know, drawn of seeded
samples. Evidently takes seconds to import and some 300 MB, so only what makes a report imports it.
"""

import logging
import re
import warnings
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from creditrisk.contract import FEATURE_NAMES, FEATURES
from creditrisk.decisions import DecisionRecord
from creditrisk.errors import ObjectExists
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from monitoring.drift_reads import SEED, DriftReads
from monitoring.histograms import FloatArray
from monitoring.reference import Reference, References
from monitoring.windows import day_window

logger = logging.getLogger(__name__)

_NAME = re.compile(r"drift-(\d{4})\.html")
_FLAGS = tuple(feature.name for feature in FEATURES if feature.upper == 1)
_COLUMNS = (*FEATURE_NAMES, "probability")


def write_report(settings: Settings, day: date) -> str | None:
    """Write the day's report, numbered, as nothing is overwritten; its key in the lake, or None without decisions.

    The decisions are those of the version that decided most of the sample, against the loans that it was judged on.

    Raises:
        StoreUnavailable: Postgres is down.
        StorageError: the lake or the registry cannot be read or written.
    """
    most = settings.monitoring.report_sample
    sample = DriftReads(settings).sample(day_window(day, settings.zone), most)
    if not sample:
        logger.info("No decisions on %s: there is nothing to report.", day)
        return None
    versions = [record.model_version for record in sample]
    version = max(sorted(set(versions)), key=versions.count)
    reference = References(settings).of(version)
    if isinstance(reference, str):
        logger.warning("No report of %s: %s", day, reference)
        return None
    decided = [record for record in sample if record.model_version == version]
    html = report_html(_of_reference(reference, most), _of_decisions(decided))
    return _create(Storage(settings.lake_root), day, html.encode())


def newest_report(lake: Storage, day: date) -> str | None:
    """The key of a day's report with the highest number, or None."""
    numbered = [name for name in lake.names(f"reports/{day}") if _NAME.fullmatch(name)]
    return f"reports/{day}/{max(numbered)}" if numbered else None


def report_html(reference: FloatArray, found: FloatArray) -> str:
    """The report as a page that needs nothing else.

    Args:
        reference: shape (n, 6): the features, then the probability; NaN where a value is missing.
        found: the same of decisions.
    """
    with warnings.catch_warnings():
        # Evidently uses what numpy and others have renamed, and says so on import and in every test.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(
            numerical_columns=[name for name in _COLUMNS if name not in _FLAGS],
            categorical_columns=list(_FLAGS),
        )
        sides = [Dataset.from_pandas(_frame(rows), data_definition=definition) for rows in (found, reference)]
        return str(Report([DataDriftPreset()]).run(*sides).get_html_str(as_iframe=False))


def _frame(rows: FloatArray) -> Any:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return frame.dropna(axis="columns", how="all").astype(
        {name: "int64" for name in _FLAGS if frame[name].notna().all()}
    )


def _of_reference(reference: Reference, most: int) -> FloatArray:
    """The reference's rows with their scores, at most so many, drawn with the seed."""
    rows = reference.rows
    scores = np.full(len(rows), np.nan) if reference.probabilities is None else reference.probabilities
    joined = np.column_stack([rows, scores])
    if len(joined) <= most:
        return joined
    return joined[np.random.default_rng(SEED).choice(len(joined), most, replace=False)]


def _of_decisions(records: Sequence[DecisionRecord]) -> FloatArray:
    return np.array([(*record.features, record.probability) for record in records], dtype=float)


def _create(lake: Storage, day: date, content: bytes) -> str:
    while True:
        newest = newest_report(lake, day)
        number = int(newest[-9:-5]) + 1 if newest else 1
        key = f"reports/{day}/drift-{number:04d}.html"
        try:
            lake.create(key, content)
        except ObjectExists:
            continue  # somebody else's report took the number
        return key
