import json
from datetime import date

import pytest

from tests.airflow_environment import prepare

prepare()

from plugins.operators_page.plots import Series, bars, lines, spark  # noqa: E402

DAYS = [date(2021, 1, day) for day in (1, 2, 3)]


def test_a_figure_is_json_with_gaps_limits_and_words() -> None:
    figure = lines([Series("age", DAYS, [0.1, None, float("nan")])], limits=[("limit", 0.25)])
    drawn = json.loads(figure.json)
    assert drawn["data"][0]["x"] == ["2021-01-01", "2021-01-02", "2021-01-03"]
    assert drawn["data"][0]["y"] == [0.1, None, None]
    assert drawn["layout"]["shapes"][0]["y0"] == 0.25
    assert drawn["layout"]["annotations"][0]["text"] == "limit 0.25"
    assert figure.words.endswith("limit 0.25")


def test_an_interval_becomes_lengths_above_and_below() -> None:
    drawn = json.loads(lines([Series("a", ["v"], [0.5], low=[0.4], high=[0.7])]).json)
    error = drawn["data"][0]["error_y"]
    assert error["array"] == [pytest.approx(0.2)]
    assert error["arrayminus"] == [pytest.approx(0.1)]


def test_bars_stand_side_by_side() -> None:
    drawn = json.loads(bars(["low", "high"], {"a": [1, 2], "b": [3, 4]}, words="w").json)
    assert [(bar["name"], bar["y"]) for bar in drawn["data"]] == [("a", [1, 2]), ("b", [3, 4])]


def test_a_small_line_breaks_at_gaps_and_knows_its_limit_and_its_last_point() -> None:
    line = spark([0.0, 1.0, None, 0.5], 1.0, words="w")
    assert line.runs == ["0.0,26.0 46.7,2.0", "140.0,14.0"]
    assert line.limit_y == 2.0
    assert line.last == (140.0, 14.0)
    assert spark([None], 1.0, words="w").runs == []
