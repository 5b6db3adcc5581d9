"""Which date a run of the nightly is for."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo


def run_date(as_of: str | None, logical_date: datetime | None, run_after: datetime, zone: ZoneInfo) -> date:
    """The date D of a run: what the form says, else the day before the run's logical date in ``zone``.

    A run started by hand may have no logical date; the moment it was asked for stands in. Both are
    fixed for the life of a run, so that a task cleared a week later works on the same date.

    Args:
        as_of: the form's date, ``YYYY-MM-DD``, or None.
        logical_date: an aware moment: the slot of a scheduled or backfilled run.
        run_after: an aware moment: when the run was due.
        zone: the market's time zone.
    """
    if as_of:
        return date.fromisoformat(as_of)
    moment = logical_date or run_after
    return moment.astimezone(zone).date() - timedelta(days=1)
