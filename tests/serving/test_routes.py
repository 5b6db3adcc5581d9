"""What clients get: exact answers, and errors of one shape that say what to do."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from creditrisk.settings import Settings
from serving.bodies import CustomerFeatures, Readiness, Refusal, ServedVersion
from serving.decision_bodies import Decision
from tests.online_tables import ADA, FIRST, SECOND
from tests.serving.conftest import Market, open_client
from tests.serving.service_process import wait_until

ADAS_FEATURES = {
    "age": 32,
    "years_on_the_job": 5,
    "nb_previous_loans": 3,
    "avg_amount_loans_previous": 233.5,
    "flag_own_car": 1,
}


class TestPredict:
    def test_answers_the_decision_and_all_that_it_rests_on(
        self, read_only_client: httpx.Client, read_only_market: Market
    ) -> None:
        answer = read_only_client.post("/predict", json={"id": ADA})
        version = read_only_client.get("/model").json()["version"]
        expected = read_only_market.probability(1, tuple(ADAS_FEATURES.values()))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert UUID(answer.json()["decision_id"]).version == 7
        assert answer.json() == {
            "decision_id": answer.json()["decision_id"],
            "id": ADA,
            "customer": "known",
            "loan": "newest",
            "as_of": None,
            "decision": int(expected >= 0.2),
            "probability": expected,
            "threshold": 0.2,
            "features": ADAS_FEATURES,
            "reasons": None,
            "snapshot": FIRST[0],
            "model_version": version,
        }
        assert list(answer.json()) == list(Decision.model_fields)
        assert list(answer.json()["features"]) == list(ADAS_FEATURES)
        Decision.model_validate_json(answer.content)

    def test_scores_a_customer_with_missing_features(
        self, read_only_client: httpx.Client, read_only_market: Market
    ) -> None:
        answer = read_only_client.post("/predict", json={"id": -7}).json()
        assert answer["features"]["years_on_the_job"] is None
        assert answer["features"]["avg_amount_loans_previous"] is None
        assert answer["probability"] == read_only_market.probability(1, (50, None, 0, None, 0))

    def test_declines_from_the_threshold_up(self, client: httpx.Client, market: Market) -> None:
        exactly = market.probability(1, tuple(ADAS_FEATURES.values()))
        market.release(market.register(1, threshold=exactly))
        wait_until(lambda: client.get("/model").json()["threshold"] == exactly)
        assert client.post("/predict", json={"id": ADA}).json()["decision"] == 1
        market.release(market.register(1, threshold=exactly + 1e-9))
        wait_until(lambda: client.get("/model").json()["threshold"] > exactly)
        assert client.post("/predict", json={"id": ADA}).json()["decision"] == 0

    def test_does_not_mind_the_content_type(self, read_only_client: httpx.Client) -> None:
        answer = read_only_client.post(
            "/predict", content=b'{"id": 5008827}', headers={"content-type": "text/plain"}
        )
        assert answer.json()["id"] == ADA

    def test_does_not_know_an_unpublished_customer(self, read_only_client: httpx.Client) -> None:
        answer = read_only_client.post("/predict", json={"id": 42})
        assert answer.status_code == 404
        assert answer.json() == {
            "error": "customer_unknown",
            "message": f"customer 42: not in the published snapshot {FIRST[0]}",
            "problems": [],
        }

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (
                '{"id": "5008827"}',
                {"field": "id", "value": "5008827", "rule": "Input should be a valid integer"},
            ),
            ('{"id": 1.5}', {"field": "id", "value": 1.5, "rule": "Input should be a valid integer"}),
            ('{"id": true}', {"field": "id", "value": True, "rule": "Input should be a valid integer"}),
            ('{"id": null}', {"field": "id", "value": None, "rule": "Input should be a valid integer"}),
            (
                '{"id": 9223372036854775808}',
                {
                    "field": "id",
                    "value": "9223372036854775808",
                    "rule": "Input should be less than or equal to 9223372036854775807",
                },
            ),
            ("{}", {"field": "id", "value": None, "rule": "Field required"}),
            (
                '{"id": 5008827, "ID": 1}',
                {"field": "ID", "value": 1, "rule": "Extra inputs are not permitted"},
            ),
            (
                '{"id": 5008827, "path": 3}',
                {"field": "path", "value": 3, "rule": "Extra inputs are not permitted"},
            ),
            (
                '{"id": 42, "\\u0069d": 5008827}',
                {"field": "id", "value": None, "rule": "Field is there more than once"},
            ),
            (
                "[5008827]",
                {"field": "body", "value": None, "rule": "Input should be an object"},
            ),
            (
                "",
                {
                    "field": "body",
                    "value": None,
                    "rule": "Invalid JSON: EOF while parsing a value at line 1 column 0",
                },
            ),
        ],
    )
    def test_names_the_field_its_value_and_the_rule(
        self, read_only_client: httpx.Client, body: str, problem: dict[str, Any]
    ) -> None:
        answer = read_only_client.post("/predict", content=body)
        assert answer.status_code == 422
        assert answer.json() == {
            "error": "invalid_request",
            "message": f"{problem['field']}: {problem['rule']}",
            "problems": [problem],
        }

    def test_names_every_wrong_field(self, read_only_client: httpx.Client) -> None:
        problems = read_only_client.post("/predict", json={"id": "x", "loan": 1, "when": 2}).json()[
            "problems"
        ]
        assert {problem["field"] for problem in problems} == {"id", "loan", "when"}

    def test_sends_back_no_more_than_the_beginning_of_a_long_value(
        self, read_only_client: httpx.Client
    ) -> None:
        problem = read_only_client.post("/predict", json={"id": "x" * 5000}).json()["problems"][0]
        assert problem["value"] == "x" * 100

    def test_sends_back_no_more_than_the_beginning_of_many_long_names(
        self, read_only_client: httpx.Client
    ) -> None:
        answer = read_only_client.post(
            "/predict", json={f"{number:03d}" + "x" * 200: 1 for number in range(70)}
        )
        problems = answer.json()["problems"]
        assert [problem["field"] for problem in problems[:2]] == ["id", "000" + "x" * 97]
        assert len(problems) == 20
        assert answer.json()["message"].endswith("; and 51 more")


class TestFirstClientsCall:
    @pytest.mark.parametrize("sent", ["5008827", 5008827, "+5008827"])
    def test_answers_zero_or_one_alone(
        self, read_only_client: httpx.Client, read_only_market: Market, sent: object
    ) -> None:
        answer = read_only_client.post("/", json={"id": sent})
        expected = int(read_only_market.probability(1, tuple(ADAS_FEATURES.values())) >= 0.2)
        assert (answer.status_code, answer.content) == (200, str(expected).encode())

    def test_answers_one_for_a_declined_customer(self, client: httpx.Client, market: Market) -> None:
        market.release(market.register(1, threshold=0.0))
        wait_until(lambda: client.get("/model").json()["threshold"] == 0.0)
        assert client.post("/", json={"id": "5008827"}).content == b"1"

    @pytest.mark.parametrize(
        "sent", ["", "five", "5_008_827", " 5008827", "5008827.0", "٣", 1.0, None, ["1"]]
    )
    def test_refuses_what_is_not_an_id(self, read_only_client: httpx.Client, sent: object) -> None:
        answer = read_only_client.post("/", json={"id": sent})
        assert answer.status_code == 422
        assert answer.json()["problems"][0]["field"] == "id"

    def test_does_not_know_an_unpublished_customer(self, read_only_client: httpx.Client) -> None:
        assert read_only_client.post("/", json={"id": "42"}).status_code == 404


class TestFeatures:
    def test_gives_what_is_published(self, read_only_client: httpx.Client) -> None:
        answer = read_only_client.get(f"/features/{ADA}")
        assert answer.json() == {
            "id": ADA,
            "snapshot": FIRST[0],
            "newest_loan": 900,
            "newest_loan_date": "2020-12-01",
            "features": ADAS_FEATURES,
        }
        CustomerFeatures.model_validate_json(answer.content)

    def test_takes_negative_ids(self, read_only_client: httpx.Client) -> None:
        assert read_only_client.get("/features/-7").json()["features"]["age"] == 50

    def test_does_not_know_an_unpublished_customer(self, read_only_client: httpx.Client) -> None:
        answer = read_only_client.get("/features/42")
        assert (answer.status_code, answer.json()["error"]) == (404, "customer_unknown")

    @pytest.mark.parametrize("text", ["five", "1_000", "5.0", "99999999999999999999"])
    def test_refuses_what_is_not_an_id(self, read_only_client: httpx.Client, text: str) -> None:
        answer = read_only_client.get(f"/features/{text}")
        assert answer.status_code == 422
        assert answer.json()["problems"][0]["value"] == text

    @pytest.mark.alone
    def test_follows_the_pointer(self, client: httpx.Client, market: Market) -> None:
        market.store.load(SECOND[1], age=33)
        market.store.point(SECOND)
        waited = wait_until(lambda: client.get(f"/features/{ADA}").json()["snapshot"] == SECOND[0])
        assert waited < 2
        assert client.post("/predict", json={"id": ADA}).json()["features"]["age"] == 33

    def test_survives_its_table_being_dropped(self, client: httpx.Client, market: Market) -> None:
        assert client.get(f"/features/{ADA}").status_code == 200
        market.store.load(SECOND[1], age=33)
        market.store.point(SECOND)
        market.store.run("DROP TABLE {}." + FIRST[1])
        assert client.post("/predict", json={"id": ADA}).json()["snapshot"] == SECOND[0]


class TestModel:
    def test_says_what_serves_and_since_when(self, read_only_client: httpx.Client) -> None:
        answer = read_only_client.get("/model")
        served = ServedVersion.model_validate_json(answer.content)
        assert list(answer.json()) == list(ServedVersion.model_fields)
        assert (served.release, served.threshold, served.problem) == (1, 0.2, None)
        assert served.released_at <= served.since
        assert len(served.openapi_sha256) == 64

    def test_names_the_image_it_runs_from(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CREDITRISK_IMAGE", "registry.example/creditrisk-serving@sha256:0a1b")
        with open_client(market.settings) as client:
            wait_until(lambda: client.get("/model").status_code == 200)
            assert client.get("/model").json()["image"] == "registry.example/creditrisk-serving@sha256:0a1b"


class TestNothingThere:
    @pytest.fixture
    def bare(self, empty_market: Market) -> Iterator[httpx.Client]:
        with open_client(empty_market.settings) as client:
            wait_until(lambda: "no model version" in client.get("/health/ready").json()["model"]["problem"])
            yield client

    def test_is_live_and_not_ready_and_says_what_is_missing(self, bare: httpx.Client) -> None:
        assert (bare.get("/health/live").status_code, bare.get("/health/live").json()) == (
            200,
            {"status": "live"},
        )
        answer = bare.get("/health/ready")
        assert answer.headers["Retry-After"] == "1"
        assert (bare.head("/health/ready").status_code, bare.head("/health/live").status_code) == (503, 200)
        assert answer.status_code == 503
        ready = Readiness.model_validate_json(answer.content)
        assert (ready.status, ready.missing) == ("not ready", ["model", "store"])
        assert ready.model.problem == "no model version has been released yet: promote one first"
        assert ready.store.problem == "no feature snapshot has been published yet: run refresh_features first"

    def test_decides_nothing_without_a_model(self, bare: httpx.Client) -> None:
        answer = bare.post("/predict", json={"id": ADA})
        assert (answer.status_code, answer.json()["error"]) == (503, "nothing_released")
        assert answer.headers["retry-after"] == "1"
        assert bare.get("/model").json()["error"] == "nothing_released"

    def test_decides_nothing_without_a_snapshot(self, empty_market: Market) -> None:
        empty_market.release(empty_market.register(1))
        with open_client(empty_market.settings) as client:
            wait_until(lambda: client.get("/model").status_code == 200)
            answer = client.post("/", json={"id": "5008827"})
            assert (answer.status_code, answer.json()["error"]) == (503, "nothing_published")
            assert client.get("/health/ready").json()["missing"] == ["store"]
            empty_market.publish()
            assert client.post("/", json={"id": "5008827"}).content in (b"0", b"1")
            assert client.get("/health/ready").json()["status"] == "ready"

    def test_starts_without_a_store(self, market: Market) -> None:
        down = "postgresql://creditrisk_service:secret-word@127.0.0.1:1/creditrisk"
        with open_client(_with_store(market.settings, down)) as client:
            wait_until(lambda: client.get("/health/ready").json()["model"]["ok"])
            answer = client.post("/predict", json={"id": ADA})  # whose key, nobody can tell
            assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
            assert answer.headers["retry-after"] == "1"
            assert "secret-word" not in answer.text + client.get("/health/ready").text
            assert client.get("/health/ready").json()["missing"] == ["store", "keys"]
            assert client.get("/health/live").status_code == 200


class TestFrame:
    @pytest.mark.parametrize("path", ["/predict", "/"])
    def test_refuses_a_body_over_the_limit(self, read_only_client: httpx.Client, path: str) -> None:
        answer = read_only_client.post(path, content=b'{"id": 1, "x": "' + b"y" * 16_384 + b'"}')
        assert answer.status_code == 413
        assert answer.json() == {
            "error": "body_too_large",
            "message": "body: more than 16384 bytes",
            "problems": [],
        }

    def test_takes_a_body_of_just_the_limit(self, read_only_client: httpx.Client) -> None:
        body = b'{"id": 5008827}'.ljust(16_384)
        assert read_only_client.post("/predict", content=body).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path", "status", "word"),
        [("GET", "/nowhere", 404, "not_found"), ("GET", "/predict", 405, "method_not_allowed")],
    )
    def test_refuses_other_paths_and_methods_in_the_same_shape(
        self, read_only_client: httpx.Client, method: str, path: str, status: int, word: str
    ) -> None:
        answer = read_only_client.request(method, path)
        assert (answer.status_code, answer.json()["error"]) == (status, word)
        Refusal.model_validate_json(answer.content)

    def test_shows_no_stack_trace_and_no_reason_when_it_fails(
        self, read_only_client: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> float:
            raise ZeroDivisionError("customer 5008827 divided by zero")

        monkeypatch.setattr("creditrisk.scoring.FlatModel.probability", fail)
        answer = read_only_client.post("/predict", json={"id": ADA})
        assert answer.status_code == 500
        assert answer.json() == {
            "error": "internal_error",
            "message": "the service failed; the log says why",
            "problems": [],
        }

    def test_serves_its_documentation_without_a_content_network(self, read_only_client: httpx.Client) -> None:
        page = read_only_client.get("/docs")
        assert page.status_code == 200
        files = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        assert len(files) == 3
        for file in files:
            assert file.startswith("/")
            assert read_only_client.get(file).status_code == 200

    def test_documents_every_route_with_its_bodies(self, read_only_client: httpx.Client) -> None:
        interface = read_only_client.get("/openapi.json").json()
        assert set(interface["paths"]) == {
            "/predict",
            "/predict/batch",
            "/",
            "/decisions/{decision_id}",
            "/decisions/{decision_id}/replay",
            "/features/{customer}",
            "/model",
            "/metrics",
            "/health/live",
            "/health/ready",
        }
        predict = interface["paths"]["/predict"]["post"]
        sent = predict["requestBody"]["content"]["application/json"]["schema"]
        assert sent["properties"]["id"]["type"] == "integer"
        assert sent["additionalProperties"] is False
        assert set(predict["responses"]) == {"200", "401", "403", "404", "408", "413", "422", "429", "503"}
        features = interface["components"]["schemas"]["Features"]["properties"]
        assert list(features) == list(ADAS_FEATURES)


def _with_store(settings: Settings, url: str) -> Settings:
    other = Settings(_env_file=None, service_database_url=url)
    return settings.model_copy(update={"service_database_url": other.service_database_url})
