"""Following the release records: what serves, what does not, and why."""

import time

import httpx
import pytest

from creditrisk.errors import VersionDamaged, VersionUnservable
from creditrisk.registry import MODEL_FILE, REFERENCE_FILE, ModelRegistry, version_folder
from creditrisk.release_ledger import roll_back
from serving import model_watch
from serving.loaded_version import load_version
from tests.online_tables import ADA
from tests.planted_versions import plant, reference_file
from tests.serving.conftest import Market, open_client
from tests.serving.service_process import wait_until

ADAS_ROW = (32, 5, 3, 233.5, 1)


@pytest.fixture(autouse=True)
def _retries_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_watch, "FIRST_RETRY_SECONDS", 0.2)


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


class TestLoadVersion:
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

    def test_refuses_a_model_of_another_kind(self, empty_market: Market) -> None:
        import io

        import joblib

        pickled = io.BytesIO()
        joblib.dump({"not": "a model"}, pickled)
        files = {MODEL_FILE: pickled.getvalue(), REFERENCE_FILE: reference_file([[40, 3, 1, 1.0, 0]], [0.1])}
        plant(empty_market.registry, "2020-12-31-00000000aa", files)
        with pytest.raises(VersionUnservable, match="a dict is not a CalibratedClassifierCV"):
            load_version(ModelRegistry(empty_market.registry), "2020-12-31-00000000aa")

    def test_refuses_a_damaged_version_before_unpickling_it(
        self, empty_market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unpickled: list[object] = []
        monkeypatch.setattr("joblib.load", unpickled.append)
        version = empty_market.register(2, damaged=True)
        with pytest.raises(VersionDamaged, match="SHA-256 differs"):
            load_version(ModelRegistry(empty_market.registry), version)
        assert not unpickled
