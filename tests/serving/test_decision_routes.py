"""Many customers at once: order, errors in place, the same numbers to the last bit, and nobody kept waiting."""

import asyncio
import threading
import time
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest

from creditrisk.scoring import flatten
from serving.decision_bodies import Decision, Decisions, RefusedId
from tests.online_tables import ADA, FIRST, NEWEST_LOAN
from tests.serving.conftest import Market, fitted, open_client
from tests.serving.service_process import wait_until

OTHER = -7


def many(market: Market, count: int) -> list[int]:
    """Publish more customers; their ids."""
    columns = "id, loan_id, loan_date, age, years_on_the_job, nb_previous_loans, avg_amount_loans_previous, "
    columns += "flag_own_car, birthday, job_start_date, loan_count, amount_sum_micros, "
    columns += "loan_count_before_newest_day, amount_sum_micros_before_newest_day"
    market.store.run(
        f"INSERT INTO {{}}.{FIRST[1]} ({columns}) SELECT n, n, %s, 20 + n %% 50, nullif(n %% 40, 0), n %% 17, "
        "CASE WHEN n %% 17 = 0 THEN NULL ELSE 100 + n * 1.37 END, n %% 2, date '1980-01-01' - (n %% 9000)::int, "
        "date '2015-03-04', 1 + n %% 17, n * 1000003, n %% 17, n * 1000001 FROM generate_series(1, %s) AS n",
        NEWEST_LOAN,
        count,
    )
    return list(range(1, count + 1))


def without_ids(decided: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "decision_id"} for one in decided]


@pytest.mark.parametrize("question", [{}, {"loan": "newest"}, {"loan": "next", "as_of": "2021-01-15"}])
def test_each_is_what_it_is_alone_in_the_order_of_the_ids(
    client: httpx.Client, market: Market, question: dict[str, Any]
) -> None:
    ids = [*reversed(many(market, 60)), OTHER, ADA, ADA]
    answer = client.post("/predict/batch", json={"ids": ids, **question})
    assert answer.status_code == 200
    together = answer.json()["decisions"]
    alone = [client.post("/predict", json={"id": customer, **question}).json() for customer in ids]
    assert without_ids(together) == without_ids(alone)
    assert len({UUID(one["decision_id"]) for one in together}) == len(ids)
    assert all(isinstance(one, Decision) for one in Decisions.model_validate_json(answer.content).decisions)


def test_an_unknown_customer_is_named_in_its_place(read_only_client: httpx.Client) -> None:
    answer = read_only_client.post("/predict/batch", json={"ids": [42, ADA, 43]})
    assert answer.status_code == 200
    first, second, third = answer.json()["decisions"]
    assert first == {
        "id": 42,
        "error": "customer_unknown",
        "message": f"customer 42: not in the published snapshot {FIRST[0]}",
        "problems": [],
    }
    assert (second["id"], second["customer"], third["id"]) == (ADA, "known", 43)
    kinds = [type(one) for one in Decisions.model_validate_json(answer.content).decisions]
    assert kinds == [RefusedId, Decision, RefusedId]


def test_a_customer_too_old_is_named_in_its_place(client: httpx.Client, market: Market) -> None:
    market.store.run(f"UPDATE {{}}.{FIRST[1]} SET birthday = '1970-01-01' WHERE id = %s", OTHER)
    question = {"ids": [ADA, OTHER], "loan": "next", "as_of": "2075-01-01"}
    young, old = client.post("/predict/batch", json=question).json()["decisions"]
    assert young["features"]["age"] == 86
    rule = f"Customer {OTHER} is not between 18 and 100 years old then"
    assert old == {
        "id": OTHER,
        "error": "invalid_request",
        "message": f"as_of: {rule}",
        "problems": [{"field": "as_of", "value": "2075-01-01", "rule": rule}],
    }


def test_nobody_known_is_an_answer_too(read_only_client: httpx.Client) -> None:
    decided = read_only_client.post("/predict/batch", json={"ids": [42], "loan": "next"}).json()["decisions"]
    assert [one["error"] for one in decided] == ["customer_unknown"]


@pytest.mark.parametrize(
    ("question", "field", "rule"),
    [
        ({"ids": list(range(1001))}, "ids", "List should have at most 1000 items after validation, not 1001"),
        ({"ids": []}, "ids", "List should have at least 1 item after validation, not 0"),
        ({"ids": [1, "2"]}, "ids.1", "Input should be a valid integer"),
        ({"ids": [1], "explain": True}, "explain", "Extra inputs are not permitted"),
        ({"ids": [1], "as_of": "2021-01-15"}, "as_of", "Input is only for loan `next`"),
        (
            {"ids": [1], "loan": "next", "as_of": "2020-12-30"},
            "as_of",
            f"Input should not be before the date of snapshot {FIRST[0]}",
        ),
        ({"loan": "next"}, "ids", "Field required"),
    ],
)
def test_a_question_that_breaks_a_rule_is_refused_whole(
    read_only_client: httpx.Client, question: dict[str, Any], field: str, rule: str
) -> None:
    answer = read_only_client.post("/predict/batch", json=question)
    assert answer.status_code == 422
    assert [(one["field"], one["rule"]) for one in answer.json()["problems"]] == [(field, rule)]


def test_a_thousand_of_the_longest_ids_fit_and_more_than_the_limit_does_not(
    read_only_client: httpx.Client,
) -> None:
    longest = ",\n    ".join(str(-(2**63) + number) for number in range(1000))
    answer = read_only_client.post("/predict/batch", content=f'{{"ids": [\n    {longest}\n]}}')
    assert len(answer.json()["decisions"]) == 1000
    too_long = b'{"ids": [1]}'.ljust(65_537)
    assert read_only_client.post("/predict/batch", content=too_long).status_code == 413


def test_without_a_model_or_a_snapshot_nothing_is_decided(empty_market: Market) -> None:
    with open_client(empty_market.settings) as client:
        wait_until(lambda: client.post("/predict", json={"id": 1}).json()["error"] == "nothing_released")
        answer = client.post("/predict/batch", json={"ids": [1]})
        assert (answer.status_code, answer.json()["error"]) == (503, "nothing_released")
        empty_market.release(empty_market.register(1))
        wait_until(lambda: client.get("/model").status_code == 200)
        for loan in ("newest", "next"):
            answer = client.post("/predict/batch", json={"ids": [1], "loan": loan})
            assert (answer.status_code, answer.json()["error"]) == (503, "nothing_published")


def test_scoring_together_is_scoring_alone_to_the_last_bit() -> None:
    model, _ = fitted(1)
    flat = flatten(model)
    random = np.random.default_rng(3)
    rows = [
        (int(age), None if job < 0 else int(job), int(number), None if number == 0 else float(mean), int(car))
        for age, job, number, mean, car in zip(
            random.integers(18, 100, 1000),
            random.integers(-5, 60, 1000),
            random.poisson(3, 1000),
            random.gamma(2.0, 100.0, 1000),
            random.integers(0, 2, 1000),
            strict=True,
        )
    ]
    assert flat.probabilities(rows).tolist() == [flat.probability(row) for row in rows]


def test_a_loop_goes_on_while_a_thread_scores_a_thousand() -> None:
    """What a batch asks of the event loop's thread: to wait for a thread that lets go of the interpreter."""
    model, rows = fitted(2)
    flat, thousand = flatten(model), np.tile(rows, (200, 1))
    gaps, done = [], threading.Event()

    async def others() -> None:
        while not done.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0)
            gaps.append(time.perf_counter() - began)

    async def both() -> None:
        watching = asyncio.create_task(others())
        await asyncio.to_thread(flat.probabilities, thousand)
        done.set()
        await watching

    began = time.perf_counter()
    asyncio.run(both())
    assert len(gaps) > 100
    assert sorted(gaps)[len(gaps) // 2] < (time.perf_counter() - began) / 10
