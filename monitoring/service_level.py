"""How old what serves is, and whether as many ask as usual."""

from datetime import date, timedelta
from statistics import median

from psycopg2 import sql

from creditrisk.errors import NothingServed
from creditrisk.metric_store import Measure
from creditrisk.monitoring_limits import MonitoringLimits
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from creditrisk.store_reader import StoreReader
from monitoring.drift_reads import DriftReads
from monitoring.verdicts import Limits, held, not_judged
from monitoring.windows import Window, day_window

SNAPSHOT_AGE, MODEL_AGE, VOLUME = "snapshot_age_days", "model_age_days", "volume_ratio"
METRICS = (SNAPSHOT_AGE, MODEL_AGE, VOLUME)

_WEEKS, _FEWEST_WEEKS = 8, 3


def service_level_measures(settings: Settings, day: date) -> list[Measure]:
    """Ages at the end of a day, and its volume.

    Raises:
        StoreUnavailable: Postgres is down.
        StorageError: the registry cannot be read.
    """
    window = day_window(day, settings.zone)
    reads = DriftReads(settings)
    weekdays = [day_window(day - timedelta(weeks=weeks), settings.zone) for weeks in range(1, _WEEKS + 1)]
    number, *earlier = reads.numbers([window, *weekdays])
    return [
        _snapshot_age(settings, day, window),
        *_model_ages(settings, day, window),
        volume_measure(number, earlier, f"{day:%A}", settings.monitoring),
    ]


def age_measure(metric: str, part: str, what: str, as_of: date, day: date, warn: int, fail: int) -> Measure:
    """Days from the date of data to a day."""
    days = (day - as_of).days
    says = f"{what} is of {as_of}, {days:,} {'day' if days == 1 else 'days'} before {day}."
    return held(metric, part, days, Limits(warn, fail, "{:g} days"), says)


def volume_measure(number: int, earlier: list[int], weekday: str, limits: MonitoringLimits) -> Measure:
    """A day's decisions by the usual number of its weekday.

    Args:
        number: of the day.
        earlier: of the same weekday, the weeks before; those without any say nothing of what is usual.
        weekday: its name.
        limits: of the ratio.
    """
    known = [each for each in earlier if each]
    if len(known) < _FEWEST_WEEKS:
        why = f"{len(known)} earlier {weekday}s with decisions, and {_FEWEST_WEEKS} are needed"
        return not_judged(VOLUME, "all", why, limits.volume_low_warn)
    usual = median(known)
    if usual < limits.volume_least:
        why = f"a {weekday} usually has {usual:,g} decisions, and {limits.volume_least:,} are needed"
        return not_judged(VOLUME, "all", why, limits.volume_low_warn)
    ratio = number / usual
    verdict, limit = Verdict.PASS, limits.volume_low_warn if ratio <= 1 else limits.volume_high_warn
    if ratio < limits.volume_low_fail or ratio > limits.volume_high_fail:
        verdict = Verdict.FAIL
    elif ratio < limits.volume_low_warn or ratio > limits.volume_high_warn:
        verdict = Verdict.WARN
    words = f"{number:,} decisions; a {weekday} usually has {usual:,g}."
    if verdict is not Verdict.PASS:
        words += (
            f" Between {limits.volume_low_warn:g} and {limits.volume_high_warn:g} times as many are usual."
        )
    return Measure(VOLUME, "all", ratio, limit, verdict, words, {"decisions": number, "earlier": earlier})


def _snapshot_age(settings: Settings, day: date, window: Window) -> Measure:
    warn, fail = settings.snapshot_age_warn_days, settings.monitoring.snapshot_age_days_fail
    reader = StoreReader.of(settings)
    with reader.reading() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT snapshot, as_of FROM {} WHERE published_at < %s ORDER BY number DESC LIMIT 1"
            ).format(reader.table("publications")),
            (window.end,),
        )
        found = cursor.fetchone()
    if found is None:
        return not_judged(SNAPSHOT_AGE, "all", f"nothing had been published by the end of {day}", warn)
    snapshot, as_of = found
    return age_measure(SNAPSHOT_AGE, "all", f"The snapshot {snapshot}", as_of, day, warn, fail)


def _model_ages(settings: Settings, day: date, window: Window) -> list[Measure]:
    """Of the versions in force at the end of the day; what a version has learnt ends with its snapshot's date."""
    limits = settings.monitoring
    warn, fail = limits.model_age_days_warn, limits.model_age_days_fail
    try:
        release = ReleaseLedger(Storage(settings.registry_root)).served_at(window.end)
    except NothingServed:
        return [not_judged(MODEL_AGE, "champion", f"nothing had been released by the end of {day}", warn)]
    measures = []
    for part, version in (("champion", release.champion), ("challenger", release.challenger)):
        if version is not None:
            as_of = date.fromisoformat(version[:10])
            what = f"What {version} was trained on"
            measures.append(age_measure(MODEL_AGE, part, what, as_of, day, warn, fail))
    return measures
