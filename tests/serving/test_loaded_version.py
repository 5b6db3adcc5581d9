"""What must be true of a version before it scores: it is whole, scores as its own model does, and fast enough."""

import io
from dataclasses import replace
from typing import Any

import joblib
import pytest

from creditrisk.errors import VersionDamaged, VersionUnservable
from creditrisk.registry import MODEL_FILE, REFERENCE_FILE, ModelRegistry
from creditrisk.scoring import flatten
from serving.loaded_version import load_version, require_fast
from tests.planted_versions import plant, reference_file
from tests.serving.conftest import Market, fitted


def test_a_version_scores_and_explains_once_it_is_loaded(empty_market: Market) -> None:
    version = empty_market.register(1, threshold=0.25)
    loaded = load_version(ModelRegistry(empty_market.registry), version, microseconds_limit=1e6)
    row = (32, 5, 3, 233.5, 1)
    assert loaded.manifest.version == version
    assert loaded.manifest.threshold == 0.25
    assert loaded.flat.probability(row) == empty_market.probability(1, row)
    assert len(loaded.explainer.weigh(row, loaded.flat.probability(row))) == 2


def test_a_model_of_another_kind_is_refused(empty_market: Market) -> None:
    pickled = io.BytesIO()
    joblib.dump({"not": "a model"}, pickled)
    files = {MODEL_FILE: pickled.getvalue(), REFERENCE_FILE: reference_file([[40, 3, 1, 1.0, 0]], [0.1])}
    plant(empty_market.registry, "2020-12-31-00000000aa", files)
    with pytest.raises(VersionUnservable, match="a dict is not a CalibratedClassifierCV"):
        load_version(ModelRegistry(empty_market.registry), "2020-12-31-00000000aa")


def test_a_damaged_version_is_refused_before_it_is_unpickled(
    empty_market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpickled: list[object] = []
    monkeypatch.setattr("joblib.load", unpickled.append)
    version = empty_market.register(2, damaged=True)
    with pytest.raises(VersionDamaged, match="SHA-256 differs"):
        load_version(ModelRegistry(empty_market.registry), version)
    assert not unpickled


def test_one_that_is_over_the_time_limit_is_refused(empty_market: Market) -> None:
    version = empty_market.register(1)
    registry = ModelRegistry(empty_market.registry)
    with pytest.raises(
        VersionUnservable, match=r"^model: scoring a reference row takes \d+ µs, over the limit of 1 µs$"
    ):
        load_version(registry, version, microseconds_limit=1)
    assert load_version(registry, version).manifest.version == version


class TestRequireFast:
    def test_one_far_too_slow_keeps_the_processor_for_a_few_rows_only(self) -> None:
        scored: list[object] = []
        model, rows = fitted(1)
        flat = flatten(model)

        def counted(value: Any) -> Any:
            scored.append(value)
            return flat.logistic(value)

        with pytest.raises(VersionUnservable, match=r"over the limit of 0\.1 µs"):
            require_fast(replace(flat, logistic=counted), rows, 0.1)
        assert len(scored) == 5

    def test_rows_that_were_slow_once_on_a_busy_machine_do_not_count(self) -> None:
        model, rows = fitted(1)
        flat = flatten(model)
        calls = iter(range(10**9))

        def now_and_then_slow(value: Any) -> Any:
            if next(calls) % 3 == 0:  # each row is met in several rounds, and is slow in some of them
                for _ in range(20_000):
                    pass
            return flat.logistic(value)

        require_fast(replace(flat, logistic=now_and_then_slow), rows, 300)
