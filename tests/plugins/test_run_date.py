from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from plugins.run_date import run_date

ASKED = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
"""When a run was due; only looked at where there is no logical date."""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "logical_date", "expected"),
    [
        ("UTC", "2026-11-24T02:00+00:00", "2026-11-23"),
        ("UTC", "2026-11-24T00:00+00:00", "2026-11-23"),
        ("UTC", "2026-11-23T23:59+00:00", "2026-11-22"),
        ("America/Mexico_City", "2026-11-24T08:00+00:00", "2026-11-23"),  # 02:00 there
        ("America/Mexico_City", "2026-11-24T05:59+00:00", "2026-11-22"),  # still the 23rd there
        ("Asia/Kolkata", "2026-11-23T20:30+00:00", "2026-11-23"),  # 02:00 on the 24th there
        ("Pacific/Kiritimati", "2026-11-23T12:00+00:00", "2026-11-23"),  # 02:00 on the 24th there, +14
        ("UTC", "2024-03-01T02:00+00:00", "2024-02-29"),
        ("UTC", "2026-01-01T02:00+00:00", "2025-12-31"),
        # Clocks go forward in Berlin at 02:00 on 29 March 2026: the slot is at 03:00 summer time.
        ("Europe/Berlin", "2026-03-29T01:00+00:00", "2026-03-28"),
        ("Europe/Berlin", "2026-03-30T00:00+00:00", "2026-03-29"),
        # And back at 03:00 on 25 October 2026: 02:00 comes twice, both belong to the same day.
        ("Europe/Berlin", "2026-10-25T00:00+00:00", "2026-10-24"),
        ("Europe/Berlin", "2026-10-25T01:00+00:00", "2026-10-24"),
        ("America/New_York", "2026-11-01T05:30+00:00", "2026-10-31"),
        ("America/New_York", "2026-11-01T06:30+00:00", "2026-10-31"),
    ],
)
def test_is_the_day_before_the_logical_date_in_the_zone(zone: str, logical_date: str, expected: str) -> None:
    assert run_date(None, at(logical_date), ASKED, ZoneInfo(zone)) == date.fromisoformat(expected)


def test_the_form_wins_over_the_logical_date() -> None:
    assert run_date("2020-12-31", at("2026-11-24T02:00+00:00"), ASKED, ZoneInfo("UTC")) == date(2020, 12, 31)


def test_without_a_logical_date_the_moment_it_was_asked_for_counts() -> None:
    assert run_date(None, None, ASKED, ZoneInfo("UTC")) == date(2026, 11, 23)
    assert run_date("", None, ASKED, ZoneInfo("Pacific/Honolulu")) == date(
        2026, 11, 22
    )  # 23:00 on the 23rd there


def test_a_logical_date_of_another_zone_is_the_same_moment() -> None:
    moment = at("2026-11-24T02:00-06:00")
    zone = ZoneInfo("America/Mexico_City")
    assert (
        run_date(None, moment, ASKED, zone)
        == run_date(None, moment.astimezone(UTC), ASKED, zone)
        == date(2026, 11, 23)
    )


def test_nights_follow_one_another_without_a_gap_over_a_year_with_summer_time() -> None:
    zone = ZoneInfo("America/Santiago")
    nights = [datetime(2026, month, day, 2, tzinfo=zone) for month in range(1, 13) for day in range(1, 29)]
    dates = [run_date(None, night.astimezone(UTC), ASKED, zone) for night in nights]
    assert [(night.date() - found).days for night, found in zip(nights, dates, strict=True)] == [1] * len(
        nights
    )
