"""Who may ask: every route but those for health needs a good key that allows it, before anything else."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import APIRoute

from creditrisk.api_keys import Scope
from creditrisk.errors import SettingsError
from creditrisk.key_store import revoke_key
from creditrisk.settings import Settings
from serving.app import create_app
from serving.http import GuardedRoute
from tests.keys import HEADER, made_key
from tests.online_tables import ADA
from tests.serving.conftest import Market, open_client
from tests.serving.service_process import wait_until

OPEN = {("get", "/health/live"), ("get", "/health/ready")}


@pytest.fixture(scope="module")
def keys(read_only_market: Market) -> dict[Scope, str]:
    """A key of each scope, made before the service of these tests starts."""
    return {scope: made_key(read_only_market.settings, scope) for scope in Scope}


@pytest.fixture(scope="module")
def keyless(keys: dict[Scope, str], read_only_market: Market) -> Iterator[httpx.Client]:
    """A client that shows no key of its own accord; the service knows the keys of each scope."""
    assert len(keys) == len(Scope)
    with open_client(read_only_market.settings) as client:
        del client.headers[HEADER]
        yield client


def routes(client: httpx.Client) -> dict[tuple[str, str], dict[str, object]]:
    """Every documented route by method and path, its parameters filled in."""
    paths = client.get("/openapi.json").json()["paths"]
    return {
        (method, re.sub(r"\{.*?\}", "42", path)): route
        for path, methods in paths.items()
        for method, route in methods.items()
    }


def needed(route: dict[str, object]) -> Scope:
    (security,) = route["security"]  # type: ignore[misc,unused-ignore]
    return Scope(security["API key"][0])


class TestKeys:
    @pytest.mark.parametrize("key", [None, "", "x", "cr_00000000_" + "A" * 43])
    def test_without_a_good_one_every_route_refuses_alike(
        self, keyless: httpx.Client, key: str | None
    ) -> None:
        asked = set(routes(keyless)) - OPEN
        assert len(asked) >= 8
        for method, path in asked:
            answer = keyless.request(method, path, headers={HEADER: key} if key is not None else {})
            assert (answer.status_code, answer.json()["error"]) == (401, "key_refused"), path
            assert answer.headers["www-authenticate"] == "ApiKey"
            assert "42" not in answer.text

    def test_of_another_scope_is_refused_before_the_body_and_the_id_are_looked_at(
        self, keyless: httpx.Client, keys: dict[Scope, str]
    ) -> None:
        for (method, path), route in routes(keyless).items():
            if (method, path) in OPEN:
                assert "security" not in route or route["security"] == []
                continue
            lacking = keys[Scope.METRICS] if needed(route) is not Scope.METRICS else keys[Scope.PREDICT]
            answer = keyless.request(method, path, headers={HEADER: lacking}, content=b"not JSON" * 10_000)
            assert (answer.status_code, answer.json()["error"]) == (403, "scope_missing"), path

    @pytest.mark.parametrize("scope", [Scope.PREDICT, Scope.READ, Scope.METRICS])
    def test_lets_through_what_it_allows_and_admin_lets_through_all(
        self, keyless: httpx.Client, keys: dict[Scope, str], scope: Scope
    ) -> None:
        asked = [
            asked for asked, route in routes(keyless).items() if asked not in OPEN and needed(route) is scope
        ]
        assert asked
        for method, path in asked:
            for key in (keys[scope], keys[Scope.ADMIN]):
                answer = keyless.request(method, path, headers={HEADER: key})
                assert answer.status_code not in (401, 403, 500), path

    def test_health_and_documentation_need_none(self, keyless: httpx.Client) -> None:
        for path in ("/health/live", "/health/ready", "/docs", "/openapi.json"):
            assert keyless.get(path).status_code == 200

    def test_every_route_of_ours_looks_at_the_key(self, read_only_market: Market) -> None:
        ours = [
            route
            for route in create_app(read_only_market.settings).routes
            if isinstance(route, APIRoute) and route.include_in_schema
        ]
        assert len(ours) >= 10
        assert all(isinstance(route, GuardedRoute) for route in ours)

    def test_the_documentation_offers_to_set_it(self, keyless: httpx.Client) -> None:
        schemes = keyless.get("/openapi.json").json()["components"]["securitySchemes"]
        assert schemes["API key"]["type"] == "apiKey"
        assert (schemes["API key"]["in"], schemes["API key"]["name"]) == ("header", HEADER)


class TestChanges:
    def test_a_new_key_works_and_a_revoked_one_stops_within_seconds(
        self, client: httpx.Client, market: Market
    ) -> None:
        key = made_key(market.settings, Scope.READ, name="shop")
        ask = lambda: client.get(f"/features/{ADA}", headers={HEADER: key}).status_code  # noqa: E731
        assert wait_until(lambda: ask() == 200) < 5
        revoke_key(market.settings, "shop", by="a test")
        assert wait_until(lambda: ask() == 401) < 5

    def test_the_decision_names_the_key(self, client: httpx.Client, market: Market) -> None:
        key = made_key(market.settings, name="shop")
        wait_until(lambda: client.get("/model", headers={HEADER: key}).status_code == 200)
        decision = client.post("/predict", json={"id": ADA}, headers={HEADER: key}).json()["decision_id"]
        assert client.get(f"/decisions/{decision}").json()["key_name"] == "shop"


class TestKeyless:
    def test_the_first_clients_call_needs_none_where_that_is_asked_for(self, market: Market) -> None:
        with open_client(market.settings.model_copy(update={"legacy_keyless": True})) as client:
            good = client.headers.pop(HEADER)
            wait_until(lambda: client.get("/health/ready").status_code == 200)
            answer = client.post("/", json={"id": ADA})
            assert answer.content in (b"0", b"1")
            receipt = client.get(f"/decisions/{answer.headers['X-Decision-Id']}", headers={HEADER: good})
            assert receipt.json()["key_name"] is None
            assert client.post("/", json={"id": ADA}, headers={HEADER: "wrong"}).status_code == 401
            assert client.post("/predict", json={"id": ADA}).status_code == 401

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "db.example"])  # noqa: S104
    def test_is_refused_where_other_machines_reach_it(self, market_settings: Settings, host: str) -> None:
        open_to_all = market_settings.model_copy(update={"legacy_keyless": True, "bind_host": host})
        with pytest.raises(SettingsError, match=f"CREDITRISK_BIND_HOST is {re.escape(host)}"):
            create_app(open_to_all)


class TestLimit:
    def test_says_when_to_ask_again_and_counts_a_batch_by_its_ids(self, market: Market) -> None:
        limited = market.settings.model_copy(update={"rate_limit_per_second": 20.0, "rate_limit_burst": 10})
        with open_client(limited) as client:
            wait_until(lambda: client.get("/health/ready").status_code == 200)
            assert client.post("/predict/batch", json={"ids": [ADA] * 50}).status_code == 200
            answer = client.post("/predict", json={"id": ADA})
            assert (answer.status_code, answer.json()["error"]) == (429, "too_many_requests")
            assert answer.json()["message"].startswith(
                "X-API-Key: more than 20 requests a second: ask again in "
            )
            assert answer.headers["retry-after"] in ("2", "3")
            began = time.monotonic()
            wait_until(lambda: client.post("/predict", json={"id": ADA}).status_code == 200)
            assert 1 < time.monotonic() - began < 4
