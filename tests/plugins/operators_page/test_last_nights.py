import json
from datetime import UTC, date, datetime

import pytest

from tests.airflow_environment import prepare

prepare()

from creditrisk.nights import Night  # noqa: E402
from monitoring.nightly_probe import Due  # noqa: E402
from plugins.operators_page.last_nights import Row, figures_of, is_daily, newest_of, rows_of  # noqa: E402


def night(
    day: int, rows_in: int | None = 100, quarantined: int | None = 5, run_id: str = "scheduled"
) -> Night:
    at = datetime(2021, 1, day, 2, tzinfo=UTC)
    return Night(
        date(2021, 1, day),
        run_id,
        at,
        None,
        None,
        rows_in,
        None,
        quarantined,
        None,
        60.0,
        "pass",
        "published",
        None,
    )


def test_a_date_that_had_no_run_has_a_row_of_its_own_where_there_should_be_one_a_day() -> None:
    nights = [night(10), night(9), night(9, run_id="again"), night(6)]
    rows = rows_of(nights, every_day=True)
    assert [(row.as_of.day, row.night is not None) for row in rows] == [
        (10, True), (9, True), (9, True), (8, False), (7, False), (6, True),
    ]  # fmt: skip
    assert [row.as_of.day for row in rows_of(nights, every_day=False)] == [10, 9, 9, 6]


def test_the_newest_night_that_never_started_has_a_row() -> None:
    nights = [night(8), night(7)]
    never = rows_of(nights, every_day=True, due=Due(date(2021, 1, 10), has_begun=False))
    assert [(row.as_of.day, row.night is not None) for row in never] == [
        (10, False), (9, False), (8, True), (7, True),
    ]  # fmt: skip
    assert len(rows_of(nights, every_day=True, due=Due(date(2021, 1, 8), has_begun=True))) == 2
    assert len(rows_of(nights, every_day=False, due=Due(date(2021, 1, 10), has_begun=False))) == 2


def test_a_night_that_was_only_run_ahead_of_its_slot_has_a_row_beside_that_run() -> None:
    due = Due(date(2021, 1, 9), has_begun=False)
    ahead = [night(20), night(9, run_id="by hand"), night(9, run_id="by hand too"), night(8)]
    rows = [
        (row.as_of.day, row.night is not None, row.was_early)
        for row in rows_of(ahead, every_day=True, due=due)
    ]
    assert rows == [
        (20, True, False), (9, False, True), (9, True, False), (9, True, False), (8, True, False),
    ]  # fmt: skip


def test_the_first_and_the_last_date_that_there_are_have_rows_like_others() -> None:
    last, first = night(10)._replace(as_of=date.max), night(9)._replace(as_of=date.min)
    nights = [last, last, night(10), first, first]
    for due in (None, Due(date(2021, 1, 10), has_begun=True)):
        rows = rows_of(nights, every_day=True, due=due)
        assert [row.night for row in rows if row.night] == nights
        assert rows[-3:] == [
            Row(date(2021, 1, 9), None, date(1, 1, 2)),
            Row(date.min, first),
            Row(date.min, first),
        ]


def test_all_runs_of_a_date_are_on_one_page() -> None:
    nights = [night(10), night(9), night(9, run_id="again"), night(8)]
    assert newest_of(nights, 2) == nights[:3]
    assert newest_of(nights, 4) == nights
    assert newest_of([], 2) == []


def test_years_without_a_run_are_one_line() -> None:
    long_ago = night(10)._replace(as_of=date(2019, 5, 1))
    assert rows_of([night(10), night(2), long_ago], every_day=True)[-2:] == [
        Row(date(2021, 1, 1), None, date(2019, 5, 2)),
        Row(date(2019, 5, 1), long_ago),
    ]
    assert len(rows_of([night(10), night(2), long_ago], every_day=True)) == 11


@pytest.mark.parametrize(
    ("schedule", "daily"),
    [("0 2 * * *", True), ("30 23 * * *", True), ("0 2 * * 1-5", False), ("0 */6 * * *", False), ("", False), ("@daily", False)],
)  # fmt: skip
def test_only_a_plain_cron_expression_means_one_run_a_day(schedule: str, daily: bool) -> None:
    assert is_daily(schedule) is daily


def test_the_quarantined_share_is_of_the_rows_read() -> None:
    assert Row(date(2021, 1, 1), night(1)).quarantined_share == 0.05
    assert Row(date(2021, 1, 1), night(1, rows_in=0)).quarantined_share is None
    assert Row(date(2021, 1, 1), None).quarantined_share is None


def test_plots_are_drawn_of_the_nights_that_read_rows() -> None:
    assert figures_of([night(2), night(1, rows_in=None)], None) == []
    captions = [caption for caption, _ in figures_of([night(2), night(1)], None)]
    assert captions == ["Rows in, by date", "Quarantined share, by date", "Seconds, by date"]


@pytest.mark.parametrize(
    ("served", "drawn"),
    [
        (None, [100, 300]),  # the newest run of the date
        ("2021-01-01-ffffffffffff", [100, 300]),
        ("2021-01-02-bbbbbbbbbbbb", [100, 200]),
        ("2021-01-02-cccccccccccc", [100, 300]),
    ],
)
def test_of_a_date_with_several_runs_one_is_drawn(served: str | None, drawn: list[int]) -> None:
    def run(rows_in: int | None, snapshot: str | None) -> Night:
        return night(2, rows_in)._replace(snapshot=snapshot)

    nights = [
        run(None, None),
        run(300, "2021-01-02-cccccccccccc"),
        run(200, "2021-01-02-bbbbbbbbbbbb"),
        night(1),
    ]
    for caption, figure in figures_of(nights, served):
        (line,) = json.loads(figure.json)["data"]
        assert line["x"] == ["2021-01-01", "2021-01-02"]
        assert caption != "Rows in, by date" or line["y"] == drawn
