"""The bad versions are what they are said to be: else the tests that catch them would prove nothing."""

from pathlib import Path

import numpy as np
import pytest

from creditrisk.errors import VersionUnservable
from creditrisk.registry import ModelRegistry
from creditrisk.scoring import FlatModel, flatten, verify
from creditrisk.settings import file_url
from creditrisk.storage import Storage
from serving.loaded_version import load_version
from tests.planted_versions import Fault, plant_boosting


def applicants(count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    rows = np.column_stack(
        [
            random.integers(20, 70, count),
            random.integers(0, 40, count),
            random.poisson(5, count),
            random.gamma(2.0, 100.0, count),
            random.integers(0, 2, count),
        ]
    ).astype(np.float64)
    return rows, (random.random(count) < rows[:, 0] / 200).astype(np.int64)


def planted(folder: Path, fault: Fault) -> tuple[FlatModel, float]:
    """Loaded as the service loads a champion: it passes every check there is."""
    storage = Storage(file_url(folder))
    manifest = plant_boosting(storage, *applicants(), fault)
    loaded = load_version(ModelRegistry(storage), manifest.version)
    return loaded.flat, manifest.threshold


def test_the_inverted_one_turns_the_order_of_customers_round(tmp_path: Path) -> None:
    rows, _ = applicants()
    sound, _ = planted(tmp_path / "sound", Fault.NONE)
    inverted, threshold = planted(tmp_path / "bad", Fault.INVERTED)
    ranks = [flat.probabilities(rows).argsort().argsort() for flat in (sound, inverted)]
    assert np.corrcoef(*ranks)[0, 1] < -0.95
    assert (inverted.probabilities(rows) >= threshold).mean() == pytest.approx(0.1, abs=0.03)


def test_the_failing_one_says_nothing_of_anybody_but_its_reference_rows(tmp_path: Path) -> None:
    rows, _ = applicants(50)
    failing, _ = planted(tmp_path, Fault.FAILING)
    assert np.isnan([failing.probability(row) for row in rows]).all()
    assert 0 < failing.probability([101.0, *rows[0][1:]]) < 1


def test_the_raising_one_is_sound_for_scikit_learn_on_its_reference_rows_and_never_served(
    tmp_path: Path,
) -> None:
    storage = Storage(file_url(tmp_path))
    manifest = plant_boosting(storage, *applicants(), Fault.RAISING)
    loaded = ModelRegistry(storage).load(manifest.version)
    probabilities = loaded.model.predict_proba(loaded.reference_rows)[:, 1]
    assert np.array_equal(probabilities, loaded.reference_probabilities)
    with pytest.raises(VersionUnservable, match="names a node or a feature that is not there"):
        load_version(ModelRegistry(storage), manifest.version)


def test_the_declining_one_declines_everybody(tmp_path: Path) -> None:
    declining, threshold = planted(tmp_path, Fault.DECLINING)
    rows, _ = applicants()
    assert (declining.probabilities(rows) >= threshold).all()
    over_a_hundred = np.add(rows, (100, 0, 0, 0, 0))
    assert 0 < (declining.probabilities(over_a_hundred) >= threshold).mean() < 1


def test_the_slow_one_decides_as_it_should_with_very_many_trees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.planted_versions.COPIES", 300)
    rows, _ = applicants()
    sound, _ = planted(tmp_path / "sound", Fault.NONE)
    storage = Storage(file_url(tmp_path / "bad"))
    manifest = plant_boosting(storage, *applicants(), Fault.SLOW)
    loaded = ModelRegistry(storage).load(manifest.version)
    slow = flatten(loaded.model)
    assert len(slow.trees.roots) > 200 * len(sound.trees.roots)
    assert slow.probability(rows[0]) == pytest.approx(sound.probability(rows[0]), abs=1e-9)
    verify(slow, loaded.reference_rows, loaded.reference_probabilities, manifest.threshold)
