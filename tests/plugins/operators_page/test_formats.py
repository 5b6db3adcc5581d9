from datetime import UTC, datetime, timedelta

import pytest

from tests.airflow_environment import prepare

prepare()

from plugins.operators_page.formats import ago, days, duration, figure, number, percent  # noqa: E402


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0.25, "0.2 s"), (59, "59 s"), (60, "1 min"), (3725, "1 h 2 min"), (90061, "1 d 1 h"), (86400, "1 d"), (-3, "0.0 s")],
)  # fmt: skip
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (3.0, "3"),
        (12345.0, "12,345"),
        (0.123456, "0.1235"),
        (0.00001, "<0.0001"),
        (12345.6, "12,346"),
    ],
)
def test_figures(value: float | None, said: str) -> None:
    assert figure(value) == said


def test_numbers_shares_ages_and_days() -> None:
    assert (number(1234567), number(None), percent(0.0123, 2), percent(None)) == (
        "1,234,567",
        "–",
        "1.23 %",
        "–",
    )
    now = datetime(2021, 1, 1, tzinfo=UTC)
    assert ago(now - timedelta(minutes=3), now) == "3 min ago"
    assert (days(1), days(2)) == ("1 day", "2 days")
