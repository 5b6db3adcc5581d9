"""The times that a day's measures are taken of, in the market's time zone."""

from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Window(NamedTuple):
    """A time, from its beginning up to its end, both aware."""

    name: str
    """``day`` or ``week``."""
    begin: datetime
    end: datetime


def day_window(day: date, zone: ZoneInfo) -> Window:
    """The day itself; 23 or 25 hours where the clocks change."""
    return Window("day", _midnight(day, zone), _midnight(day + timedelta(days=1), zone))


def week_window(day: date, zone: ZoneInfo) -> Window:
    """The seven days that end with the day."""
    return Window("week", _midnight(day - timedelta(days=6), zone), _midnight(day + timedelta(days=1), zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
