"""Following the release records: what serves, what does not, and why."""

import time
from typing import Any

import httpx
import pytest

from creditrisk.reasons import Explainer
from creditrisk.registry import MODEL_FILE, ModelRegistry, version_folder
from creditrisk.release import arm_of
from creditrisk.release_ledger import abort, complete, roll_back
from serving import model_watch
from tests.online_tables import ADA
from tests.serving.conftest import Market, open_client
from tests.serving.service_process import wait_until

ADAS_ROW = (32, 5, 3, 233.5, 1)


@pytest.fixture(autouse=True)
def _retries_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_watch, "FIRST_RETRY_SECONDS", 0.2)


def challenger_of(client: httpx.Client) -> dict[str, Any]:
    return dict(client.get("/model").json().get("challenger") or {})


def receipt(client: httpx.Client) -> dict[str, Any]:
    """The log's record of a decision made now."""
    decision = client.post("/predict", json={"id": ADA}).json()["decision_id"]
    return dict(client.get(f"/decisions/{decision}").json())


def version_of(client: httpx.Client) -> str | None:
    answer = client.get("/model")
    return str(answer.json()["version"]) if answer.status_code == 200 else None


class TestSwap:
    def test_a_new_version_serves_within_five_seconds(self, client: httpx.Client, market: Market) -> None:
        second = market.register(2)
        market.release(second)
        assert wait_until(lambda: version_of(client) == second) < 5
        answer = client.post("/predict", json={"id": ADA}).json()
        assert answer["model_version"] == second
        assert answer["probability"] == market.probability(2, ADAS_ROW) != market.probability(1, ADAS_ROW)
        assert client.get("/model").json()["release"] == 2

    def test_a_rollback_brings_the_old_version_back(self, client: httpx.Client, market: Market) -> None:
        first = version_of(client)
        second = market.register(2)
        market.release(second)
        wait_until(lambda: version_of(client) == second)
        roll_back(market.settings, by="a test", reason="second thoughts")
        assert wait_until(lambda: version_of(client) == first) < 5
        assert client.get("/model").json()["release"] == 3

    def test_several_records_at_once_lead_to_the_newest(self, client: httpx.Client, market: Market) -> None:
        versions = [market.register(seed) for seed in (2, 3, 4)]
        for version in versions:
            market.release(version)
        wait_until(lambda: version_of(client) == versions[-1])
        assert client.get("/model").json()["release"] == 4

    def test_the_same_version_in_a_newer_record_is_not_loaded_again(
        self, client: httpx.Client, market: Market
    ) -> None:
        before = client.get("/model").json()
        market.release(before["version"], unchecked=True)
        wait_until(lambda: client.get("/model").json()["release"] == 2)
        assert client.get("/model").json()["since"] == before["since"]

    def test_the_first_release_serves_without_a_restart(self, empty_market: Market) -> None:
        with open_client(empty_market.settings) as client:
            wait_until(lambda: client.get("/model").json().get("error") == "nothing_released")
            version = empty_market.register(1)
            empty_market.release(version)
            assert wait_until(lambda: version_of(client) == version) < 5


class TestVersionThatCannotServe:
    def test_a_damaged_one_leaves_the_old_one_serving_and_shows(
        self, client: httpx.Client, market: Market
    ) -> None:
        first = version_of(client)
        damaged = market.register(2, damaged=True)
        market.release(damaged, unchecked=True)
        wait_until(lambda: client.get("/model").json()["problem"] is not None)
        ready = client.get("/health/ready")
        assert ready.status_code == 200
        assert (ready.json()["model"]["serving"], ready.json()["model"]["ok"]) == (first, False)
        assert f"model {damaged}: not served" in ready.json()["model"]["problem"]
        assert "SHA-256" in ready.json()["model"]["problem"]
        assert client.post("/predict", json={"id": ADA}).json()["model_version"] == first

    def test_one_that_scores_differently_than_it_was_recorded_is_not_served(
        self, client: httpx.Client, market: Market
    ) -> None:
        first = version_of(client)
        market.release(market.register(2, shifted=1e-6))
        wait_until(lambda: client.get("/model").json()["problem"] is not None)
        assert "the model itself says" in client.get("/model").json()["problem"]
        assert version_of(client) == first

    def test_a_missing_one_serves_once_it_arrives(self, client: httpx.Client, market: Market) -> None:
        late = market.register(2)
        folder = market.registry.local_root / version_folder(late)  # type: ignore[operator]
        aside = folder.with_name("aside")
        folder.rename(aside)
        market.release(late, unchecked=True)
        wait_until(lambda: client.get("/model").json()["problem"] is not None)
        assert "not in the registry" in client.get("/model").json()["problem"]
        aside.rename(folder)
        wait_until(lambda: version_of(client) == late)
        assert client.get("/model").json()["problem"] is None

    def test_a_good_one_after_it_clears_the_problem(self, client: httpx.Client, market: Market) -> None:
        market.release(market.register(2, damaged=True), unchecked=True)
        wait_until(lambda: client.get("/model").json()["problem"] is not None)
        third = market.register(3)
        market.release(third)
        wait_until(lambda: version_of(client) == third)
        assert client.get("/health/ready").json()["model"] == {"ok": True, "serving": third, "problem": None}

    def test_a_rollback_after_it_clears_the_problem(self, client: httpx.Client, market: Market) -> None:
        first = version_of(client)
        market.release(market.register(2, damaged=True), unchecked=True)
        wait_until(lambda: client.get("/model").json()["problem"] is not None)
        roll_back(market.settings, by="a test", reason="it does not load")
        wait_until(lambda: client.get("/model").json()["release"] == 3)
        assert (version_of(client), client.get("/model").json()["problem"]) == (first, None)

    def test_with_no_other_the_service_is_not_ready_and_says_why(self, empty_market: Market) -> None:
        empty_market.publish()
        empty_market.release(empty_market.register(1, damaged=True), unchecked=True)
        with open_client(empty_market.settings) as client:
            wait_until(lambda: "SHA-256" in str(client.get("/health/ready").json()["model"]["problem"]))
            assert client.get("/health/ready").json()["missing"] == ["model"]
            answer = client.post("/predict", json={"id": ADA})
            assert (answer.status_code, answer.json()["error"]) == (503, "model_unavailable")
            assert answer.headers["retry-after"] == "1"


class TestRecordsThatCannotBeRead:
    def test_leave_the_model_serving_and_show(self, client: httpx.Client, market: Market) -> None:
        first = version_of(client)
        assert market.registry.local_root
        record = market.registry.local_root / "releases" / "00000002.json"
        record.write_text("{half a rec")
        wait_until(lambda: client.get("/model").json()["problem"] is not None)
        assert "release records: cannot be read" in client.get("/model").json()["problem"]
        assert client.post("/predict", json={"id": ADA}).json()["model_version"] == first
        record.unlink()
        wait_until(lambda: client.get("/model").json()["problem"] is None)


class TestLoad:
    @pytest.mark.alone
    def test_a_load_that_takes_long_delays_no_request(
        self, client: httpx.Client, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = version_of(client)
        slowly_loaded = ModelRegistry.load

        def load(registry: ModelRegistry, version: str) -> object:
            time.sleep(1.5)
            return slowly_loaded(registry, version)

        monkeypatch.setattr(ModelRegistry, "load", load)
        second = market.register(2)
        market.release(second)
        waits = []
        while version_of(client) == first:
            began = time.monotonic()
            assert client.post("/predict", json={"id": ADA}).status_code == 200
            waits.append(time.monotonic() - began)
        assert len(waits) > 20
        assert max(waits) < 0.5


class TestChallenge:
    def test_a_shadow_scores_beside_within_five_seconds(self, client: httpx.Client, market: Market) -> None:
        first = version_of(client)
        second = market.register(2, threshold=0.3)
        assert client.get("/model").json()["challenger"] is None
        assert receipt(client)["paired"] is None
        market.challenge(second)
        assert wait_until(lambda: challenger_of(client).get("is_scored") is True) < 5
        assert challenger_of(client) == {
            "version": second,
            "share": 0.0,
            "is_scored": True,
            "threshold": 0.3,
            "problem": None,
        }
        kept = receipt(client)
        assert (kept["release"], kept["arm"], kept["model_version"]) == (2, "champion", first)
        paired = kept["paired"]
        assert paired["champion_probability"] == kept["probability"] == market.probability(1, ADAS_ROW)
        assert paired["challenger_probability"] == market.probability(2, ADAS_ROW)
        assert (paired["challenger"], paired["challenger_problem"]) == (second, None)
        assert client.get("/health/ready").json()["model"]["ok"] is True

    def test_from_shadow_to_champion_it_is_loaded_once(
        self, client: httpx.Client, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loads = counted_loads(monkeypatch)
        first, second = version_of(client), market.register(2)
        for share in (0.0, 0.05, 1.0):
            market.challenge(second, share)
            wait_until(lambda share=share: challenger_of(client).get("share") == share)
            wait_until(lambda: challenger_of(client)["is_scored"])
            kept = receipt(client)
            is_theirs = arm_of(ADA, second, share)
            assert kept["arm"] == ("challenger" if is_theirs else "champion")
            assert (kept["model_version"], kept["champion"]) == (second if is_theirs else first, first)
            assert kept["probability"] == market.probability(2 if is_theirs else 1, ADAS_ROW)
        complete(market.settings, second, by="a test", reason="approved")
        assert wait_until(lambda: version_of(client) == second) < 5
        assert loads == [second]
        assert client.get("/model").json()["challenger"] is None
        assert receipt(client)["paired"] is None

    def test_an_abort_ends_it_and_a_new_one_begins_anew(self, client: httpx.Client, market: Market) -> None:
        second = market.register(2)
        market.challenge(second)
        wait_until(lambda: challenger_of(client).get("is_scored") is True)
        abort(market.settings, second, by="a test", reason="flips")
        wait_until(lambda: client.get("/model").json()["release"] == 3)
        assert (client.get("/model").json()["challenger"], receipt(client)["paired"]) == (None, None)
        market.challenge(second)
        wait_until(lambda: challenger_of(client).get("is_scored") is True)

    def test_a_service_that_starts_during_one_has_both(self, market: Market) -> None:
        market.challenge(market.register(2))
        with open_client(market.settings) as client:
            wait_until(lambda: challenger_of(client).get("is_scored") is True)
            assert client.get("/model").json()["release"] == 2


class TestChallengerThatCannotScore:
    @pytest.mark.parametrize("flaw", ["damaged", "shifted"])
    def test_leaves_the_champion_deciding_and_shows(
        self, client: httpx.Client, market: Market, flaw: str
    ) -> None:
        first = version_of(client)
        second = market.register(2, shifted=1e-6 if flaw == "shifted" else 0.0)
        market.challenge(second)
        if flaw == "damaged":
            wait_until(lambda: challenger_of(client).get("is_scored") is True)
            abort(market.settings, second, by="a test", reason="to load it again")
            wait_until(lambda: client.get("/model").json()["challenger"] is None)
            market.challenge(second)
            folder = market.registry.local_root / version_folder(second)  # type: ignore[operator]
            (folder / MODEL_FILE).write_bytes(b"something else")
        market.challenge(second, 1.0, unchecked=True)
        wait_until(lambda: challenger_of(client).get("problem") is not None)
        problem = str(challenger_of(client)["problem"])
        assert problem.startswith(f"challenger {second}: not scored: ")
        assert {"damaged": "SHA-256 differs", "shifted": "the model itself says"}[flaw] in problem
        assert challenger_of(client)["is_scored"] is False
        ready = client.get("/health/ready")
        assert ready.status_code == 200
        assert ready.json()["model"] == {"ok": False, "serving": first, "problem": problem}
        wait_until(lambda: challenger_of(client)["share"] == 1.0)
        kept = receipt(client)
        assert (kept["arm"], kept["model_version"]) == ("fallback", first)
        assert kept["probability"] == market.probability(1, ADAS_ROW)
        assert kept["paired"]["challenger_problem"] == problem[:200]
        assert kept["paired"]["challenger_probability"] is None

    def test_one_over_the_time_limit_is_refused_once_and_says_so(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loads = counted_loads(monkeypatch)
        second = market.register(2)
        market.challenge(second)
        settings = market.settings.model_copy(update={"challenger_microseconds_limit": 0.5})
        with open_client(settings) as client:
            wait_until(lambda: challenger_of(client).get("problem") is not None)
            assert "over the limit of 0.5 µs" in challenger_of(client)["problem"]
            assert client.get("/health/ready").status_code == 200
            assert "over the limit of 0.5 µs" in receipt(client)["paired"]["challenger_problem"]
            time.sleep(3 * model_watch.FIRST_RETRY_SECONDS)
            assert loads.count(second) == 1

    def test_a_promoted_one_that_was_refused_is_loaded_as_champion(self, market: Market) -> None:
        second = market.register(2)
        market.challenge(second)
        settings = market.settings.model_copy(update={"challenger_microseconds_limit": 0.5})
        with open_client(settings) as client:
            wait_until(lambda: challenger_of(client).get("problem") is not None)
            market.release(second)
            wait_until(lambda: version_of(client) == second)
            assert client.get("/model").json()["problem"] is None

    def test_a_missing_one_is_scored_once_it_arrives(self, client: httpx.Client, market: Market) -> None:
        second = market.register(2)
        folder = market.registry.local_root / version_folder(second)  # type: ignore[operator]
        aside = folder.with_name("aside")
        folder.rename(aside)
        market.challenge(second, unchecked=True)
        wait_until(lambda: challenger_of(client).get("problem") is not None)
        aside.rename(folder)
        wait_until(lambda: challenger_of(client)["is_scored"])
        assert client.get("/model").json()["problem"] is None

    @pytest.mark.alone
    def test_its_load_delays_no_request_and_disturbs_no_champion(
        self, client: httpx.Client, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = version_of(client)
        quickly_loaded = ModelRegistry.load

        def load(registry: ModelRegistry, version: str) -> object:
            time.sleep(1.0)
            return quickly_loaded(registry, version)

        monkeypatch.setattr(ModelRegistry, "load", load)
        second = market.register(2)
        market.challenge(second)
        wait_until(lambda: challenger_of(client).get("version") == second)
        assert receipt(client)["paired"]["challenger_problem"] == f"challenger {second}: still being loaded"
        assert client.get("/health/ready").json()["model"]["ok"] is True
        waits = []
        while not challenger_of(client)["is_scored"]:
            began = time.monotonic()
            assert client.post("/predict", json={"id": ADA}).json()["model_version"] == first
            waits.append(time.monotonic() - began)
        assert len(waits) > 10
        assert max(waits) < 0.5

    def test_a_rollback_to_what_cannot_be_loaded_ends_the_challenge_all_the_same(
        self, client: httpx.Client, market: Market
    ) -> None:
        first, second = version_of(client), market.register(2)
        market.challenge(second)
        market.challenge(second, 1.0)
        wait_until(lambda: challenger_of(client).get("is_scored") is True)
        assert receipt(client)["arm"] == "challenger"
        market.release(market.register(3, damaged=True), unchecked=True)
        wait_until(lambda: "SHA-256 differs" in str(client.get("/model").json()["problem"]))
        kept = receipt(client)
        assert (kept["release"], kept["arm"], kept["model_version"]) == (3, "fallback", first)
        assert kept["paired"]["challenger_problem"] == (
            f"challenger {second}: not scored: release 4 has ended its challenge"
        )
        market.release(first, unchecked=True)
        market.challenge(second)
        wait_until(lambda: client.get("/model").json()["release"] == 6)
        wait_until(lambda: challenger_of(client)["is_scored"])
        assert client.get("/model").json()["problem"] is None


class TestReasons:
    def test_of_a_challenger_that_fails_at_them_are_the_champions(
        self, client: httpx.Client, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = version_of(client), market.register(2)
        market.challenge(second)
        market.challenge(second, 1.0)
        wait_until(lambda: challenger_of(client).get("is_scored") is True)
        reasons = Explainer.reasons

        def failing(explainer: Explainer, features: Any, probability: float) -> Any:
            if probability == market.probability(2, ADAS_ROW):
                raise IndexError("index 9 is out of bounds")
            return reasons(explainer, features, probability)

        monkeypatch.setattr(Explainer, "reasons", failing)
        answer = client.post("/predict", json={"id": ADA, "explain": True})
        assert answer.status_code == 200
        kept = client.get(f"/decisions/{answer.json()['decision_id']}").json()
        assert (kept["arm"], kept["model_version"]) == ("fallback", first)
        assert kept["probability"] == answer.json()["probability"] == market.probability(1, ADAS_ROW)
        assert kept["paired"]["challenger_problem"] == (
            "its reasons cannot be given: IndexError: index 9 is out of bounds"
        )


def counted_loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Versions in the order in which they are loaded from now on."""
    loads: list[str] = []
    load = ModelRegistry.load

    def counted(registry: ModelRegistry, version: str) -> Any:
        loads.append(version)
        return load(registry, version)

    monkeypatch.setattr(ModelRegistry, "load", counted)
    return loads
