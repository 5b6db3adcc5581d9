"""Reasons: what is shown, what is not, and that both of a reason's numbers are true."""

import time

import numpy as np
import pytest

from creditrisk.contract import FEATURE_NAMES
from creditrisk.features import FeatureRow
from creditrisk.reasons import BACKGROUND_ROWS, Explainer, Usual
from tests.creditrisk.small_models import Rows, flat_model, rows

YOUNG: FeatureRow = (21, None, 1, None, 1)


def reference_rows(kind: str) -> Rows:
    """As training writes them: from the lowest probability to the highest."""
    some = rows()[1500:1756]
    return some[np.argsort(flat_model(kind).probabilities(some), kind="stable")]


def explainer(kind: str) -> Explainer:
    return Explainer(flat_model(kind), reference_rows(kind))


def plain(row: Rows) -> FeatureRow:
    age, years, number, mean, car = (None if np.isnan(value) else value for value in row.tolist())
    assert age is not None
    assert number is not None
    assert car is not None
    return int(age), None if years is None else int(years), int(number), mean, int(car)


@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_the_reasons_are_the_four_weightiest_whose_usual_value_lowers_the_probability(kind: str) -> None:
    flat, explaining = flat_model(kind), explainer(kind)
    adverse_counts = set()
    for row in (plain(each) for each in rows()[:150]):
        probability = flat.probability(row)
        values, _ = explaining.weigh(row, probability)
        reasons = explaining.reasons(row, probability)
        with_usual = [
            flat.probability([*row[:place], explaining.usual[place].value, *row[place + 1 :]])
            for place in range(5)
        ]
        adverse = [place for place in range(5) if values[place] > 0 and with_usual[place] < probability]
        adverse.sort(key=lambda place: -values[place])
        adverse_counts.add(len(adverse))
        numbers = ("feature", "value", "contribution", "probability_with_usual_value")
        assert [tuple(reason[number] for number in numbers) for reason in reasons] == [
            (FEATURE_NAMES[place], row[place], values[place], with_usual[place]) for place in adverse[:4]
        ]
    assert adverse_counts == {0, 1, 2, 3, 4, 5}  # so that there were rows with more than are shown


def test_a_reason_in_full() -> None:
    flat, explaining = flat_model("forest"), explainer("forest")
    probability = flat.probability(YOUNG)
    first = explaining.reasons(YOUNG, probability)[0]
    ages = np.sort(reference_rows("forest")[:, 0])
    low, median, high = int(ages[25]), int(ages[127]), int(ages[230])
    assert first == {
        "code": "R01_AGE",
        "feature": "age",
        "sentence": "The applicant is younger than is usual.",
        "value": 21,
        "usual": {"value": median, "low": low, "high": high},
        "contribution": explaining.weigh(YOUNG, probability)[0][0],
        "probability_with_usual_value": flat.probability((median, *YOUNG[1:])),
    }
    assert isinstance(first["usual"]["value"], int)


def test_the_same_row_has_the_same_reasons_again() -> None:
    probability = flat_model("forest").probability(YOUNG)
    again = [explainer("forest").reasons(YOUNG, probability) for _ in range(2)]
    assert again[0] == again[1] != []


def test_the_background_is_spread_over_the_reference_rows() -> None:
    references = reference_rows("forest")
    background = explainer("forest").background
    assert len(background.rows) == BACKGROUND_ROWS
    np.testing.assert_array_equal(background.rows[[0, -1]], references[[0, -1]])
    assert np.all(np.diff(background.probabilities) >= 0)


def test_a_feature_that_is_usually_missing_has_no_usual_value_but_a_range() -> None:
    few = np.array([[30, np.nan, 0, np.nan, 0], [40, np.nan, 1, 50.5, 0], [50, 7, 2, 70.5, 1]])
    explaining = Explainer(flat_model("forest"), few)
    assert explaining.usual == (
        Usual(40, 30, 50),
        Usual(None, 7, 7),
        Usual(1, 0, 2),
        Usual(50.5, 50.5, 70.5),
        Usual(0, 0, 1),
    )
    assert len(explaining.background.rows) == 3
    nobody = Explainer(flat_model("forest"), few[:1])
    assert nobody.usual[1] == Usual(None, None, None)


@pytest.mark.alone
def test_reasons_take_less_processor_time_than_a_client_would_notice() -> None:
    flat, explaining, took = flat_model("forest"), explainer("forest"), []
    for row in (plain(each) for each in rows()[:40]):
        probability = flat.probability(row)
        began = time.thread_time()
        explaining.reasons(row, probability)
        took.append(time.thread_time() - began)
    assert sorted(took)[20] < 0.02
