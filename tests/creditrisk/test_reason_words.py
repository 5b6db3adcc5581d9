"""The words of reasons: every feature has its own, on each side of the usual."""

import pytest

from creditrisk.contract import FEATURE_NAMES, FEATURES
from creditrisk.reason_words import WORDS


def test_every_feature_of_the_contract_has_its_words_and_a_code_of_its_own() -> None:
    assert tuple(WORDS) == FEATURE_NAMES
    assert len({words.code for words in WORDS.values()}) == len(FEATURES)


def test_a_feature_has_words_for_missing_values_where_it_may_be_missing() -> None:
    for feature in FEATURES:
        words = WORDS[feature.name]
        assert (words.missing is not None) == (words.present is not None) == feature.nullable


@pytest.mark.parametrize(
    ("feature", "value", "usual", "sentence"),
    [
        ("age", 21, 40, "The applicant is younger than is usual."),
        ("age", 77, 40, "The applicant is older than is usual."),
        ("years_on_the_job", None, 5, "The applicant has no present job."),
        ("years_on_the_job", 2, None, "The applicant has a present job, which is unusual here."),
        ("flag_own_car", 0, 1, "The applicant owns no car."),
        ("flag_own_car", 1, 0, "The applicant owns a car."),
    ],
)
def test_the_sentence_says_on_which_side_of_the_usual_a_value_is(
    feature: str, value: float | None, usual: float | None, sentence: str
) -> None:
    assert WORDS[feature].sentence(value, usual) == sentence


def test_nothing_is_said_of_a_missing_value_that_cannot_be_missing() -> None:
    with pytest.raises(ValueError, match="R01_AGE: nothing is said of the value None where 40 is usual"):
        WORDS["age"].sentence(None, 40)
