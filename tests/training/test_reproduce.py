"""A version can be made again from the registry alone, bit for bit."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from creditrisk.errors import LibraryMismatch, VersionDamaged, VersionMissing
from creditrisk.registry import version_folder
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from training.reproduce import main, reproduce

Trained = tuple[Settings, str, str]


@pytest.fixture
def registry_alone(trained: Trained, tmp_path: Path, settings_in: Any) -> Settings:
    """Settings whose registry holds the trained version, and whose lake is empty."""
    shutil.copytree(trained[0].var_dir / "registry", tmp_path / "registry")
    settings: Settings = settings_in(tmp_path)
    return settings


def file_of(settings: Settings, version: str, name: str) -> Path:
    root = Storage(settings.registry_root).local_root
    assert root
    return root / version_folder(version) / name


def change_manifest(settings: Settings, version: str, **changes: Any) -> None:
    file = file_of(settings, version, "manifest.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_version_is_the_same_again(
    registry_alone: Settings,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = reproduce(registry_alone, trained[2])
    assert found.is_same
    assert found.prediction_hash == found.recorded_hash
    assert found.changed_since == ()
    monkeypatch.setattr("training.reproduce.load_settings", lambda: registry_alone)
    assert main([trained[2]]) == 0
    assert capsys.readouterr().out == f"same: {trained[2]} has prediction hash {found.recorded_hash}\n"


@pytest.mark.parametrize("changes", [{"prediction_hash": "0" * 64}, {"threshold": 0.5}, {"spec": {"estimator": "forest", "trees": 9, "depth": 4, "smallest_leaf": 10, "seed": 7}}])  # fmt: skip
def test_a_difference_is_found_and_named(
    registry_alone: Settings,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
) -> None:
    change_manifest(registry_alone, trained[2], code_version="0a1b2c", **changes)
    monkeypatch.setattr("training.reproduce.load_settings", lambda: registry_alone)
    assert main([trained[2]]) == 1
    told = capsys.readouterr()
    assert told.out.startswith(f"differs: {trained[2]}: prediction hash ")
    assert told.err.startswith("note: code 0a1b2c there, ")


def test_a_training_set_that_was_changed_is_refused(registry_alone: Settings, trained: Trained) -> None:
    file = file_of(registry_alone, trained[2], "training_set.parquet")
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(VersionDamaged, match=r"training_set.parquet is not the file that was registered"):
        reproduce(registry_alone, trained[2])


def test_other_libraries_are_told_before_anything_is_fitted(
    registry_alone: Settings, trained: Trained
) -> None:
    versions = {"scikit-learn": "1.0", "numpy": "1.0", "joblib": "1.0"}
    change_manifest(registry_alone, trained[2], library_versions=versions)
    with pytest.raises(LibraryMismatch, match=r"scikit-learn 1.0 there"):
        reproduce(registry_alone, trained[2])


def test_a_version_that_is_not_there_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(VersionMissing):
        reproduce(settings, "2020-12-31-0a1b2c3d4e")
    monkeypatch.setattr("training.reproduce.load_settings", lambda: settings)
    assert main(["2020-12-31-0a1b2c3d4e"]) == 1
    assert "not in the registry" in capsys.readouterr().err
