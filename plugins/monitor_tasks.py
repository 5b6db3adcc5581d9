"""What the tasks of ``monitor_model`` do: one call each, and a log that ends in words."""

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from creditrisk.settings import load_settings
from plugins.failures import told_plainly
from plugins.run_date import run_date

if TYPE_CHECKING:
    from creditrisk.metric_store import Measure

logger = logging.getLogger(__name__)


def day_of(params: Mapping[str, Any], dag_run: Any) -> date:
    """The day that a run measures: the form's, else the day before its logical date in the market's time zone."""
    return run_date(params["day"], dag_run.logical_date, dag_run.run_after, load_settings().zone)


def measure(name: str, params: Mapping[str, Any], dag_run: Any) -> int:
    """Measure one subject of the run's day; how many numbers that gave.

    Raises:
        AirflowFailException: another try cannot help, such as where a setting is missing.
    """
    from monitoring.monitor import monitor_part

    day = day_of(params, dag_run)
    with told_plainly():
        measures = monitor_part(load_settings(), day, name)
    tell(measures)
    logger.info("%s of %s: %s numbers.", name, day, f"{len(measures):,}")
    return len(measures)


def sample_decisions(params: Mapping[str, Any], dag_run: Any) -> str:
    """Name some of the day's decisions, whose features the job is to work out again; the sample's key in the lake.

    Raises:
        AirflowSkipException: nothing was decided on the day, which is what is then kept of it.
        AirflowFailException: another try cannot help, such as where a setting is missing.
    """
    from monitoring.skew import take_sample

    day = day_of(params, dag_run)
    with told_plainly():
        key = take_sample(load_settings(), day)
    if key is None:
        measure("skew", params, dag_run)
        raise AirflowSkipException(f"no decisions on {day}: there is nothing to work out again")
    logger.info("Written: %s", key)
    return key


def measure_results(params: Mapping[str, Any], dag_run: Any) -> int:
    """Measure how loans turned out, as far as is known by the run's day; how many numbers that gave.

    Raises:
        AirflowFailException: another try cannot help, such as where the snapshot with the outcomes is damaged.
    """
    from monitoring.results import measure_results

    day = day_of(params, dag_run)
    with told_plainly():
        measures = measure_results(load_settings(), day).measures
    tell(measures)
    logger.info("results of %s: %s numbers.", day, f"{len(measures):,}")
    return len(measures)


def report(params: Mapping[str, Any], dag_run: Any) -> str:
    """Write the day's drift report; its key in the lake.

    Raises:
        AirflowSkipException: there is nothing to draw.
    """
    from monitoring.evidently_report import write_report

    day = day_of(params, dag_run)
    with told_plainly():
        key = write_report(load_settings(), day)
    if key is None:
        raise AirflowSkipException(f"no report of {day}: there is nothing to compare")
    logger.info("Written: %s", key)
    return key


def tell(measures: "Sequence[Measure]") -> None:
    """Log each number's sentence, those that passed first, so that what is wrong stands last."""
    order = ("pass", "not judged", "warn", "fail")
    for each in sorted(measures, key=lambda measure: order.index(measure.verdict)):
        logger.info("%-10s  %s of %s: %s", each.verdict, each.metric, each.part, each.words)
