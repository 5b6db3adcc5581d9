import json
from datetime import date, timedelta

from tests.airflow_environment import prepare

prepare()

from creditrisk.vintage_store import Vintage  # noqa: E402
from plugins.operators_page.drift import (  # noqa: E402
    VintageRow,
    attention_of,
    by_feature,
    distribution_of,
    figure_of,
    lines_of,
    results_figure,
)
from plugins.operators_page.store_rows import Metric  # noqa: E402

LAST = date(2021, 1, 31)
FIRST = LAST - timedelta(days=29)
INDEX = "population_stability_index"


def metric(day: date, part: str, value: float | None, verdict: str = "pass", name: str = INDEX) -> Metric:
    return Metric(day, name, part, value, 0.1, verdict, "words")


def vintage(**changes: object) -> Vintage:
    values: dict[str, object] = {
        "month": date(2021, 1, 1), "version": "v", "arm": "champion", "decisions": 100, "excluded": 20, "labelled": 40,
        "late": 4, "roc_auc": 0.61, "brier": 0.02, "calibration_error": 0.01, "expected_roc_auc": 0.6,
        "expected_late_share": 0.1, "day": date(2021, 2, 1),
    }  # fmt: skip
    return Vintage(**{**values, **changes})  # type: ignore[arg-type]


def test_each_part_is_a_line_over_the_days_with_gaps_where_nothing_was_measured() -> None:
    measured = [
        metric(FIRST, "week/all/age", 0.02),
        metric(LAST, "week/all/age", 0.05, "warn"),
        metric(LAST, "week/all/x", None),
    ]
    age, other = lines_of(measured, FIRST, LAST)
    assert (age.of, age.newest.verdict, len(age.spark.runs)) == ("age", "warn", 2)
    assert age.spark.words == f"2 days from {FIRST} to {LAST}, 0.02 to 0.05"
    assert (other.of, other.spark.runs) == ("x", [])
    assert [(name, list(lines)) for name, lines in by_feature([age, other])] == [("age", [INDEX])]


def test_what_fails_stands_before_what_warns_and_the_rest_is_left_out() -> None:
    found = attention_of(
        [
            metric(LAST, "a", 1, "warn"),
            metric(LAST, "b", 1),
            metric(LAST, "c", 1, "fail"),
            metric(LAST, "d", None, "not judged"),
        ]
    )
    assert [one.part for one in found] == ["c", "a"]


def test_features_are_drawn_together_with_their_limit() -> None:
    figure = figure_of([metric(FIRST, "week/all/age", 0.02), metric(LAST, "week/all/age", 0.05)], INDEX)
    assert figure is not None
    assert figure.words == "age: 2 values, the newest 0.05, the highest 0.05; limit 0.1"
    assert figure_of([metric(LAST, "a", None)], INDEX) is None


def test_a_distribution_has_a_bar_for_each_bucket_and_one_for_what_is_missing() -> None:
    detail = {
        "edges": [20.0, 40.0],
        "found": [0.2, 0.5, 0.2],
        "expected": [0.3, 0.4, 0.3],
        "found_missing": 0.1,
    }
    figure = distribution_of("age", detail)
    assert figure is not None
    found, expected = json.loads(figure.json)["data"]
    assert found["x"] == ["below 20", "20 to 40", "from 40", "missing"]
    assert (found["y"], expected["y"]) == ([0.2, 0.5, 0.2, 0.1], [0.3, 0.4, 0.3, 0.0])
    assert distribution_of("age", None) is None


def test_buckets_that_are_empty_at_the_ends_are_not_drawn() -> None:
    detail = {
        "edges": [1.0, 2.0, 3.0, 4.0, 5.0],
        "found": [0.0, 0.0, 0.4, 0.0, 0.6, 0.0],
        "expected": [0.0, 0.5, 0.5, 0.0, 0.0, 0.0],
    }
    figure = distribution_of("age", detail)
    assert figure is not None
    found, expected = json.loads(figure.json)["data"]
    assert found["x"] == ["1 to 2", "2 to 3", "3 to 4", "4 to 5", "missing"]
    assert (found["y"], expected["y"]) == ([0.0, 0.4, 0.0, 0.6, 0.0], [0.5, 0.5, 0.0, 0.0, 0.0])
    empty = distribution_of("age", {"edges": [1.0], "found": [0.0, 0.0], "expected": [0.0, 0.0]})
    assert empty is not None
    assert len(json.loads(empty.json)["data"][0]["x"]) == 3


def test_a_vintage_s_shares_are_of_the_decisions_that_can_have_an_outcome() -> None:
    row = VintageRow(vintage())
    assert (row.vintage.labelled_share, row.late_share) == (0.5, 0.1)
    assert round(row.estimate_error or 0, 6) == 0.01
    nothing = VintageRow(vintage(decisions=20, labelled=0, roc_auc=None))
    assert (nothing.vintage.labelled_share, nothing.late_share, nothing.estimate_error) == (None, None, None)
    figure = results_figure([vintage(), vintage(month=date(2020, 12, 1), roc_auc=None)])
    assert figure is not None
    assert "champion v, realised: 1 value," in figure.words
    assert "champion v, expected: 2 values" in figure.words
