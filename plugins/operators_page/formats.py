"""How numbers, times and ages are written for people."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

NOTHING = "–"
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def number(value: float | None, digits: int = 0) -> str:
    """With separated thousands; ``digits`` after the point."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def figure(value: float | None) -> str:
    """A measured number: whole ones whole, others to four significant digits."""
    if value is None:
        return NOTHING
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{'-' if value < 0 else ''}<0.0001"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as per cents."""
    return NOTHING if value is None else f"{value * 100:.{digits}f} %"


def duration(seconds: float | None) -> str:
    """The two largest units of a length of time, such as ``3 d 4 h``."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    left = round(seconds)
    said: list[str] = []
    for unit, size in _UNITS:
        if left >= size or said:
            said.append(f"{left // size} {unit}")
            left %= size
    return " ".join([part for part in said[:2] if not part.startswith("0 ")])


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was."""
    return NOTHING if moment is None else f"{duration((now - moment).total_seconds())} ago"


def days(count: int) -> str:
    """A number of days in words."""
    return "1 day" if count == 1 else f"{count} days"


def formats(zone: tzinfo) -> dict[str, Callable[..., Any]]:
    """The filters of the templates; moments are shown in the market's time zone."""

    def moment(value: datetime | None, form: str = "%Y-%m-%d %H:%M") -> str:
        return NOTHING if value is None else value.astimezone(zone).strftime(form)

    return {
        "number": number,
        "figure": figure,
        "percent": percent,
        "duration": duration,
        "moment": moment,
        "days": days,
    }
