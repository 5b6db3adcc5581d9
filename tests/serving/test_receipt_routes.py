"""The receipt: every word of a decision's record, from the spool or from Postgres."""

import time
from uuid import uuid4

import httpx
import pytest

from creditrisk.api_keys import Scope
from creditrisk.decisions import DecisionRecord
from serving.bodies import Refusal
from serving.receipt_routes import Receipt, receipt_body
from serving.segments import segment_files
from tests.creditrisk.published_market import ask
from tests.creditrisk.test_decisions import RECORDS
from tests.keys import HEADER, made_key
from tests.online_tables import ADA
from tests.serving.conftest import Market
from tests.serving.service_process import wait_until


def test_says_what_was_answered_and_more(read_only_client: httpx.Client) -> None:
    asked_at = time.time()
    answered = read_only_client.post("/predict", json={"id": ADA, "explain": True}).json()
    receipt = read_only_client.get(f"/decisions/{answered['decision_id']}")
    assert receipt.status_code == 200
    body = receipt.json()
    assert answered.items() <= body.items()
    assert {name: body[name] for name in ("given", "release", "champion", "arm", "paired")} == {
        "given": None,
        "release": 1,
        "champion": answered["model_version"],
        "arm": "champion",
        "paired": None,
    }
    decided_at = Receipt.model_validate_json(receipt.content).decided_at.timestamp()
    assert asked_at - 0.001 <= decided_at <= time.time()
    assert 0 < body["latency_microseconds"] < 5_000_000
    assert body["key_name"].startswith("test-")
    assert list(body) == list(Receipt.model_fields)


def test_is_the_same_before_and_after_it_was_shipped(
    read_only_client: httpx.Client, read_only_market: Market
) -> None:
    question = {"id": 1, "loan": "next", "as_of": "2021-01-15", "birthday": "1990-05-17"}
    question |= {"job_start_date": None, "flag_own_car": 0, "explain": True}
    answered = read_only_client.post("/predict", json=question)
    assert answered.status_code == 200, answered.text
    decision_id = answered.json()["decision_id"]

    def is_in_a_file() -> bool:
        files = segment_files(read_only_market.settings.spool_folder)
        return any(decision_id.encode() in path.read_bytes() for path in files)

    assert is_in_a_file()
    before = read_only_client.get(f"/decisions/{decision_id}").json()
    assert before["given"] == {"birthday": "1990-05-17", "job_start_date": None, "flag_own_car": 0}
    assert (before["customer"], before["as_of"]) == ("new", "2021-01-15")
    wait_until(lambda: _is_in_postgres(read_only_market, decision_id))
    for path in segment_files(read_only_market.settings.spool_folder):
        path.rename(path.with_suffix(".elsewhere"))
    try:
        assert read_only_client.get(f"/decisions/{decision_id.upper()}").json() == before
    finally:
        for path in read_only_market.settings.spool_folder.glob("*.elsewhere"):
            path.rename(path.with_suffix(".segment"))


def _is_in_postgres(market: Market, decision_id: str) -> bool:
    question = f"SELECT count(*) FROM {{schema}}.decisions WHERE decision_id = '{decision_id}'"
    return ask(market.settings, question) == [(1,)]


def test_of_an_unknown_decision_is_a_404(read_only_client: httpx.Client) -> None:
    unknown = str(uuid4())
    answer = read_only_client.get(f"/decisions/{unknown}")
    assert (answer.status_code, answer.json()["error"]) == (404, "decision_unknown")
    assert unknown in Refusal.model_validate_json(answer.content).message


@pytest.mark.parametrize("bad", ["five", "019c0b5e-7e64-7cc1-9c4b", "%00"])
def test_of_no_id_is_a_422(read_only_client: httpx.Client, bad: str) -> None:
    answer = read_only_client.get(f"/decisions/{bad}")
    assert answer.status_code == 422
    assert Refusal.model_validate_json(answer.content).problems[0].field == "decision_id"


def test_needs_a_key_that_may_read(read_only_client: httpx.Client, read_only_market: Market) -> None:
    path = f"/decisions/{uuid4()}"
    assert read_only_client.get(path, headers={HEADER: "wrong"}).status_code == 401
    key = made_key(read_only_market.settings, Scope.PREDICT)
    wait_until(lambda: read_only_client.get(path, headers={HEADER: key}).status_code == 403)


@pytest.mark.parametrize("record", RECORDS)
def test_shows_every_field_of_a_record(record: DecisionRecord) -> None:
    body = receipt_body(record)
    assert list(body) == list(Receipt.model_fields)
    assert set(DecisionRecord._fields) <= set(body)
    assert body["id"] == record.customer
    if record.paired:
        assert body["paired"] == record.paired._asdict()
    Receipt.model_validate(body | {"reasons": None})
