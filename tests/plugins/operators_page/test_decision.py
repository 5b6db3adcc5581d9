from datetime import date
from uuid import UUID

import pytest

from creditrisk.decisions import Arm, LoanAsked
from tests.airflow_environment import prepare
from tests.decision_records import decision_record

prepare()

from plugins.operators_page.decision import Asked, asked_of, features_of, question_of, verdict_of  # noqa: E402

ID = "019c0b5e-7e64-7cc1-9c4b-1d2a3b4c5d6e"


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("", Asked()),
        (f" {ID.upper()} ", Asked(decision_id=UUID(ID))),
        ("5008827", Asked(customer=5008827)),
        (str(2**63 - 1), Asked(customer=2**63 - 1)),
    ],
)
def test_what_was_typed_is_a_decision_a_customer_or_nothing(typed: str, asked: Asked) -> None:
    assert asked_of(typed) == asked


@pytest.mark.parametrize("typed", [str(2**63), "9" * 500, "-5", "٣", "x", "1 OR 1=1", ID[:-1]])
def test_anything_else_is_refused_in_words(typed: str) -> None:
    asked = asked_of(typed)
    assert asked.problem
    assert (asked.customer, asked.decision_id) == (None, None)


def test_a_decision_is_told_in_a_sentence() -> None:
    declined = decision_record(probability=0.6, decision=1, arm=Arm.FALLBACK)
    assert verdict_of(declined) == (
        "Declined: the probability of being late, 0.600000, is at or above the threshold 0.500000 of version"
        " 2020-12-31-aaaaaaaaaa; the champion decided because the challenger failed."
    )
    assert verdict_of(decision_record()).startswith(
        "Approved: the probability of being late, 0.250000, is below"
    )


def test_the_question_and_the_features_are_told() -> None:
    assert question_of(decision_record()) == "the customer's newest loan, as published"
    asked = decision_record(loan=LoanAsked.NEXT, as_of=date(2021, 1, 2))
    assert question_of(asked) == "the loan being applied for on 2021-01-02, from the customer's history"
    assert [(one.name, one.value) for one in features_of(decision_record())][:2] == [
        ("age", 32),
        ("years_on_the_job", 5),
    ]
