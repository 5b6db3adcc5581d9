"""What serves, and what served at a moment, as an operator asks the service."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from creditrisk.release_ledger import ReleaseLedger
from serving.bodies import Refusal, ReleaseThen, ServedVersion
from tests.serving.conftest import Market, open_client
from tests.serving.service_process import wait_until


@pytest.fixture(scope="module")
def versions(read_only_market: Market) -> list[str]:
    """A champion that is challenged."""
    first = ReleaseLedger(read_only_market.registry).read(1).champion
    second = read_only_market.register(2, threshold=0.3)
    read_only_market.challenge(second)
    read_only_market.challenge(second, 0.05)
    return [first, second]


@pytest.fixture(scope="module")
def asked(read_only_market: Market, versions: list[str]) -> Iterator[httpx.Client]:
    with open_client(read_only_market.settings) as client:
        wait_until(lambda: (client.get("/model").json().get("challenger") or {}).get("is_scored") is True)
        assert versions
        yield client


def test_the_model_and_its_challenger(asked: httpx.Client, versions: list[str]) -> None:
    answer = asked.get("/model")
    served = ServedVersion.model_validate_json(answer.content)
    assert list(answer.json()) == list(ServedVersion.model_fields)
    assert (served.version, served.release, served.problem) == (versions[0], 3, None)
    assert answer.json()["challenger"] == {
        "version": versions[1],
        "share": 0.05,
        "is_scored": True,
        "threshold": 0.3,
        "problem": None,
    }


def test_what_served_at_a_moment(asked: httpx.Client, read_only_market: Market, versions: list[str]) -> None:
    history = ReleaseLedger(read_only_market.registry).history()
    for record in history:
        answer = asked.get("/model", params={"at": record.at.isoformat()})
        then = ReleaseThen.model_validate_json(answer.content)
        assert list(answer.json()) == list(ReleaseThen.model_fields)
        assert (then.version, then.challenger, then.share) == (versions[0], record.challenger, record.share)
        assert (then.release, then.action, then.released_at) == (record.number, record.action, record.at)
        assert (then.at, then.by, then.reason) == (record.at, "a test", record.reason)


def test_before_the_first_release_it_says_so(asked: httpx.Client, read_only_market: Market) -> None:
    first = ReleaseLedger(read_only_market.registry).read(1).at
    before = first - timedelta(microseconds=1)
    answer = asked.get("/model", params={"at": before.isoformat()})
    assert answer.status_code == 404
    assert Refusal.model_validate_json(answer.content) == Refusal(
        error="nothing_served",
        message=f"no version served at {before.isoformat()}: the first was released at {first.isoformat()}",
        problems=[],
    )


@pytest.mark.parametrize(
    "at", ["2999-01-01", "2999-01-01T10:30", "2999-01-01T10:30:00Z", "2999-01-01T10:30:00+00:00"]
)
def test_a_moment_is_written_in_several_ways(asked: httpx.Client, at: str) -> None:
    answer = asked.get(f"/model?at={at}")  # as people type it: the plus sign is not escaped
    assert (answer.status_code, answer.json()["release"]) == (200, 3)


def test_a_bare_moment_is_in_the_markets_time_zone(read_only_market: Market, versions: list[str]) -> None:
    settings = read_only_market.settings.model_copy(update={"time_zone": "America/Mexico_City"})
    with open_client(settings) as client:
        assert versions
        assert client.get("/model?at=2999-01-01T10:30").json()["at"] == "2999-01-01T10:30:00-06:00"


@pytest.mark.parametrize("at", ["noon", "", "5", "2021-13-01"])
def test_what_is_no_moment_is_told(asked: httpx.Client, at: str) -> None:
    answer = asked.get("/model", params={"at": at})
    assert answer.status_code == 422
    [problem] = answer.json()["problems"]
    assert problem["field"] == "at"
    assert "not an ISO 8601 date or time" in problem["rule"]


def test_records_that_cannot_be_read_are_told(client: httpx.Client, market: Market) -> None:
    assert market.registry.local_root
    (market.registry.local_root / "releases" / "00000001.json").write_text("{half a rec")
    answer = client.get("/model?at=2021-01-01")
    assert (answer.status_code, answer.json()["error"]) == (503, "releases_unreadable")
    assert answer.json()["message"].startswith("release 1: the record cannot be read")
