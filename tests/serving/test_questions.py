"""The loan being applied for, new customers, and what is refused of either; asked by HTTP."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from creditrisk.features import full_years
from creditrisk.reason_words import WORDS
from serving.decision_bodies import Decision
from tests.online_tables import ADA, BIRTHDAY, FIRST, JOB_START
from tests.serving.conftest import Market

NEXT = {"id": ADA, "loan": "next", "as_of": "2021-01-15"}
NEW: dict[str, Any] = {
    "id": 42,
    "loan": "next",
    "as_of": "2021-01-15",
    "birthday": "1990-05-17",
    "job_start_date": "2015-03-01",
    "flag_own_car": 0,
}


def without(question: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name not in names}


class TestNextLoan:
    def test_all_earlier_loans_count_and_the_moment_is_the_day_asked_about(
        self, read_only_client: httpx.Client, read_only_market: Market
    ) -> None:
        answer = read_only_client.post("/predict", json=NEXT)
        assert answer.status_code == 200
        decided = answer.json()
        assert list(decided["features"].values()) == [32, 5, 4, 233.5, 1]
        assert decided["probability"] == read_only_market.probability(1, (32, 5, 4, 233.5, 1))
        said = {name: decided[name] for name in ("id", "customer", "loan", "as_of", "snapshot", "reasons")}
        assert said == {
            "id": ADA,
            "customer": "known",
            "loan": "next",
            "as_of": "2021-01-15",
            "snapshot": FIRST[0],
            "reasons": None,
        }
        Decision.model_validate_json(answer.content)

    def test_the_snapshots_own_day_may_be_asked_about_and_the_day_before_may_not(
        self, read_only_client: httpx.Client
    ) -> None:
        on_the_day = read_only_client.post("/predict", json=NEXT | {"as_of": "2020-12-31"})
        assert on_the_day.json()["as_of"] == "2020-12-31"
        before = read_only_client.post("/predict", json=NEXT | {"as_of": "2020-12-30"})
        assert before.status_code == 422
        rule = f"Input should not be before the date of snapshot {FIRST[0]}"
        assert before.json() == {
            "error": "invalid_request",
            "message": f"as_of: {rule}",
            "problems": [{"field": "as_of", "value": "2020-12-30", "rule": rule}],
        }

    def test_it_is_the_day_of_the_question_where_none_is_named(self, read_only_client: httpx.Client) -> None:
        before = datetime.now(UTC).date()
        decided = read_only_client.post("/predict", json={"id": ADA, "loan": "next"}).json()
        assert decided["as_of"] in {str(before), str(datetime.now(UTC).date())}
        day = datetime.fromisoformat(decided["as_of"]).date()
        assert decided["features"]["age"] == full_years(BIRTHDAY, day)
        assert decided["features"]["years_on_the_job"] == full_years(JOB_START, day)

    def test_a_customer_too_old_by_then_is_refused(self, read_only_client: httpx.Client) -> None:
        answer = read_only_client.post("/predict", json=NEXT | {"as_of": "2099-01-01"})
        assert answer.status_code == 422
        assert answer.json()["problems"] == [
            {
                "field": "as_of",
                "value": "2099-01-01",
                "rule": f"Customer {ADA} is not between 18 and 100 years old then",
            }
        ]

    def test_an_unknown_customer_of_whom_nothing_is_said_is_not_known(
        self, read_only_client: httpx.Client
    ) -> None:
        answer = read_only_client.post("/predict", json={"id": 42, "loan": "next"})
        assert (answer.status_code, answer.json()["error"]) == (404, "customer_unknown")

    def test_the_newest_loan_may_be_asked_for_by_name(self, read_only_client: httpx.Client) -> None:
        named = read_only_client.post("/predict", json={"id": ADA, "loan": "newest", "explain": False}).json()
        unnamed = read_only_client.post("/predict", json={"id": ADA}).json()
        assert without(named, "decision_id") == without(unnamed, "decision_id")


class TestNewCustomer:
    @pytest.mark.parametrize(
        ("changes", "features"),
        [
            ({}, (30, 5, 0, None, 0)),
            ({"job_start_date": None, "flag_own_car": 1}, (30, None, 0, None, 1)),
            ({"job_start_date": "3021-09-18"}, (30, None, 0, None, 0)),
        ],
    )
    def test_is_scored_by_what_the_client_says(
        self,
        read_only_client: httpx.Client,
        read_only_market: Market,
        changes: dict[str, Any],
        features: tuple[float | None, ...],
    ) -> None:
        answer = read_only_client.post("/predict", json=NEW | changes)
        assert answer.status_code == 200
        decided = answer.json()
        assert (decided["customer"], decided["id"], decided["snapshot"]) == ("new", 42, FIRST[0])
        assert tuple(decided["features"].values()) == features
        assert decided["probability"] == read_only_market.probability(1, features)

    def test_a_known_customer_is_not_described_anew(self, read_only_client: httpx.Client) -> None:
        answer = read_only_client.post("/predict", json=NEW | {"id": ADA})
        assert answer.status_code == 422
        rule = f"Input is for new customers only, and snapshot {FIRST[0]} knows customer {ADA}"
        assert answer.json()["problems"] == [
            {"field": "birthday", "value": "1990-05-17", "rule": rule},
            {"field": "job_start_date", "value": "2015-03-01", "rule": rule},
            {"field": "flag_own_car", "value": 0, "rule": rule},
        ]

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            (
                {"birthday": "2003-01-21", "job_start_date": "2017-01-21"},
                ("birthday", "2003-01-21", "The customer's age on the loan date is not between 18 and 100."),
            ),
            (
                {"birthday": "2999-01-01", "job_start_date": None},
                ("birthday", "2999-01-01", "The birthday is after today."),
            ),
            (
                {"job_start_date": "2004-05-16"},
                ("job_start_date", "2004-05-16", "The job started before the customer's 14th birthday."),
            ),
            ({"birthday": None}, ("birthday", None, "Input should not be null")),
            ({"flag_own_car": None}, ("flag_own_car", None, "Input should not be null")),
            ({"flag_own_car": 2}, ("flag_own_car", 2, "Input should be less than or equal to 1")),
            ({"flag_own_car": True}, ("flag_own_car", True, "Input should be a valid integer")),
            (
                {"as_of": "2020-12-30"},
                ("as_of", "2020-12-30", f"Input should not be before the date of snapshot {FIRST[0]}"),
            ),
        ],
    )
    def test_the_row_rules_hold(
        self, read_only_client: httpx.Client, changes: dict[str, Any], problem: tuple[str, object, str]
    ) -> None:
        answer = read_only_client.post("/predict", json=NEW | changes)
        assert answer.status_code == 422
        assert answer.json()["problems"] == [dict(zip(("field", "value", "rule"), problem, strict=True))]

    def test_everything_or_nothing_is_said_of_a_customer(self, read_only_client: httpx.Client) -> None:
        answer = read_only_client.post("/predict", json=without(NEW, "job_start_date", "flag_own_car"))
        assert answer.status_code == 422
        assert answer.json()["problems"] == [
            {"field": name, "value": None, "rule": "Field required with birthday"}
            for name in ("job_start_date", "flag_own_car")
        ]


class TestRefused:
    @pytest.mark.parametrize("name", ["as_of", "birthday", "job_start_date", "flag_own_car"])
    def test_what_goes_with_the_next_loan_only(self, read_only_client: httpx.Client, name: str) -> None:
        answer = read_only_client.post("/predict", json={"id": ADA, name: NEW[name]})
        assert answer.status_code == 422
        assert answer.json()["problems"] == [
            {"field": name, "value": NEW[name], "rule": "Input is only for loan `next`"}
        ]

    @pytest.mark.parametrize(
        "day",
        [
            "2021-1-5",
            "2021-02-29",
            "20210115",
            "2021-01-15T00:00:00",
            " 2021-01-15",
            "1610668800",
            18_642,
            "",
        ],
    )
    def test_what_is_not_a_day(self, read_only_client: httpx.Client, day: object) -> None:
        answer = read_only_client.post("/predict", json=NEXT | {"as_of": day})
        assert answer.status_code == 422
        assert answer.json()["problems"] == [
            {
                "field": "as_of",
                "value": day,
                "rule": "Input should be a day that exists in the form YYYY-MM-DD",
            }
        ]

    @pytest.mark.parametrize(("name", "value"), [("loan", "NEXT"), ("loan", None), ("explain", 1)])
    def test_what_is_no_such_word(self, read_only_client: httpx.Client, name: str, value: object) -> None:
        answer = read_only_client.post("/predict", json=NEXT | {name: value})
        assert answer.status_code == 422
        assert answer.json()["problems"][0]["field"] == name

    @pytest.mark.parametrize("question", [{"loan": "next"}, {"explain": True}])
    def test_the_first_clients_call_has_no_such_questions(
        self, read_only_client: httpx.Client, question: dict[str, Any]
    ) -> None:
        assert read_only_client.post("/", json={"id": ADA, **question}).status_code == 422


class TestReasons:
    def test_are_given_where_they_are_asked_for(
        self, read_only_client: httpx.Client, read_only_market: Market
    ) -> None:
        answer = read_only_client.post("/predict", json={"id": -7, "explain": True})
        decided = Decision.model_validate_json(answer.content)
        assert decided.reasons
        for reason in decided.reasons:
            with_usual = decided.features.model_dump() | {reason.feature: reason.usual.value}
            expected = read_only_market.probability(1, tuple(with_usual.values()))
            assert reason.probability_with_usual_value == pytest.approx(expected, abs=1e-12)
            assert expected < decided.probability
            assert reason.contribution > 0
            assert reason.value == decided.features.model_dump()[reason.feature]
            words = WORDS[reason.feature]
            said = (words.code, words.sentence(reason.value, reason.usual.value))
            assert (reason.code, reason.sentence) == said
        plainly = read_only_client.post("/predict", json={"id": -7}).json()
        assert (plainly["probability"], plainly["reasons"]) == (decided.probability, None)

    def test_are_given_for_the_next_loan_and_a_new_customer(self, read_only_client: httpx.Client) -> None:
        for question in (NEXT, NEW):
            decided = read_only_client.post("/predict", json=question | {"explain": True}).json()
            assert isinstance(decided["reasons"], list)


def test_every_example_of_the_documentation_is_answered(read_only_client: httpx.Client) -> None:
    paths = read_only_client.get("/openapi.json").json()["paths"]
    asked = 0
    for path in ("/predict", "/predict/batch"):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert "$ref" not in str(content["schema"])  # nothing in a request's own schema is defined elsewhere
        for example in content["examples"].values():
            answer = read_only_client.post(path, json=example["value"])
            assert answer.status_code == 200, answer.text
            asked += 1
    assert asked == 6
