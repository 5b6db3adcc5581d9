"""What the service's tests stand on: a real market, with tables published and real models registered."""

import hashlib
import io
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import httpx
import joblib
import numpy as np
import numpy.typing as npt
import pytest
import uvicorn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from creditrisk import release
from creditrisk.registry import MODEL_FILE, REFERENCE_FILE, version_folder
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger, challenge, promote
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from local import postgres as embedded
from serving.app import create_app
from tests.conftest import free_port
from tests.keys import HEADER, made_key
from tests.online_tables import FIRST, OnlineTables
from tests.planted_versions import plant, reference_file
from tests.serving.service_process import ServiceProcess, wait_until

Rows = npt.NDArray[np.float64]


@cache
def fitted(seed: int) -> tuple[CalibratedClassifierCV, Rows]:
    """A small forest of its own for each seed, and rows that it knows."""
    random = np.random.default_rng(seed)
    rows = np.column_stack(
        [
            random.integers(20, 70, 600),
            random.integers(0, 40, 600),
            random.poisson(5, 600),
            random.gamma(2.0, 100.0, 600),
            random.integers(0, 2, 600),
        ]
    ).astype(np.float64)
    rows[random.random(600) < 0.2, 1] = np.nan
    late = (random.random(600) < rows[:, 0] / 200).astype(np.int64)
    forest = RandomForestClassifier(10, max_depth=5, random_state=seed).fit(rows[:400], late[:400])
    model = CalibratedClassifierCV(FrozenEstimator(forest), method="sigmoid").fit(rows[400:], late[400:])
    return model, rows[:50]


class Market:
    """A market with its tables and its registry."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = Storage(settings.registry_root)
        self.store = OnlineTables(settings)

    def publish(self) -> None:
        """Publish the first snapshot."""
        self.store.prepare()
        self.store.load(FIRST[1], age=32)
        self.store.point(FIRST)

    def register(
        self, seed: int, *, damaged: bool = False, shifted: float = 0.0, threshold: float = 0.2
    ) -> str:
        """Register an accepted version; its id.

        Args:
            seed: of its forest.
            damaged: change the model's file after its hash was taken.
            shifted: what its reference probabilities are off by, all hashes being right.
            threshold: of its decisions.
        """
        model, rows = fitted(seed)
        pickled = io.BytesIO()
        joblib.dump(model, pickled)
        expected = model.predict_proba(rows)[:, 1] + shifted
        files = {MODEL_FILE: pickled.getvalue(), REFERENCE_FILE: reference_file(rows, expected)}
        identity = hashlib.sha256(repr((seed, damaged, shifted, threshold)).encode()).hexdigest()
        version = f"2020-12-31-{identity[:10]}"
        plant(self.registry, version, files, seed=seed, threshold=threshold)
        if damaged:
            assert self.registry.local_root
            path = self.registry.local_root / version_folder(version) / MODEL_FILE
            path.write_bytes(pickled.getvalue()[:-20])
        return version

    def release(self, version: str, *, unchecked: bool = False) -> None:
        """Promote a version; ``unchecked`` as somebody would who writes the record by hand."""
        if not unchecked:
            promote(self.settings, version, by="a test", reason="to serve it")
            return
        ledger = ReleaseLedger(self.registry)
        newest = ledger.newest()
        record = ReleaseRecord(
            number=newest.number + 1 if newest else 1,
            action=ReleaseAction.PROMOTE,
            champion=version,
            by="a test",
            reason="unchecked",
            at=datetime.now(UTC),
        )
        ledger.append(record)

    def challenge(self, version: str, share: float = 0.0, *, unchecked: bool = False) -> None:
        """Let a version challenge the champion, or grow its share; ``unchecked``: whatever its files are."""
        if not unchecked:
            challenge(self.settings, version, share, by="a test", reason="to compare it")
            return
        ledger = ReleaseLedger(self.registry)
        record = release.challenge(
            ledger.newest(), version, share, by="a test", reason="unchecked", at=datetime.now(UTC)
        )
        ledger.append(record)

    def probability(self, seed: int, features: tuple[float | None, ...]) -> float:
        """What scikit-learn says."""
        model, _ = fitted(seed)
        row = np.array([features], dtype=np.float64)
        return float(model.predict_proba(row)[0, 1])


@pytest.fixture
def empty_market(market_settings: Settings) -> Market:
    """Nothing published, nothing released."""
    return Market(market_settings)


@pytest.fixture
def market(empty_market: Market) -> Market:
    """One snapshot published, one version released (seed 1)."""
    empty_market.publish()
    empty_market.release(empty_market.register(1))
    return empty_market


@pytest.fixture
def own_market(tmp_path: Path) -> Iterator[Market]:
    """As ``market``, in a server that the test may freeze, stop and kill."""
    settings = Settings(
        _env_file=None, var_dir=tmp_path / "own var", postgres_port=free_port(), store_timeout_seconds=0.4
    )
    urls = embedded.start(settings)
    named = Settings(_env_file=None, publisher_database_url=urls.publisher, service_database_url=urls.service)
    own = settings.model_copy(
        update={
            "publisher_database_url": named.publisher_database_url,
            "service_database_url": named.service_database_url,
        }
    )
    try:
        market = Market(own)
        market.publish()
        market.release(market.register(1))
        yield market
    finally:
        embedded.stop(settings)


@pytest.fixture
def client(market: Market) -> Iterator[httpx.Client]:
    """The app in this process, ready."""
    with open_client(market.settings) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        yield client


@pytest.fixture(scope="module")
def read_only_market(postgres: embedded.Urls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """As ``market``, shared by the tests of a module that change nothing in it."""
    settings = Settings(
        _env_file=None,
        var_dir=tmp_path_factory.mktemp("shared") / "var",
        market=f"t{uuid.uuid4().hex[:12]}",
        publisher_database_url=postgres.publisher,
        service_database_url=postgres.service,
    )
    market = Market(settings)
    market.publish()
    market.release(market.register(1))
    yield market
    market.store.run("DROP SCHEMA {} CASCADE")


@pytest.fixture(scope="module")
def read_only_client(read_only_market: Market) -> Iterator[httpx.Client]:
    """As ``client``, of the shared market."""
    with open_client(read_only_market.settings) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        yield client


@contextmanager
def open_client(settings: Settings) -> Iterator[httpx.Client]:
    """A client of the app, with a key for everything; a thread of this process serves it."""
    port, key = free_port(), made_key(settings)
    config = uvicorn.Config(create_app(settings), port=port, access_log=False, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={HEADER: key}, timeout=10) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=30)


@pytest.fixture
def service(market: Market, tmp_path: Path) -> Iterator[ServiceProcess]:
    """The service as a process of its own, from its own environment, ready."""
    with ServiceProcess.started(market.settings, tmp_path / "service.log") as process:
        wait_until(lambda: process.get("/health/ready").status_code == 200)
        yield process
