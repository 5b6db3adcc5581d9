"""A version is read whole and checked, or not at all; nothing is unpickled before it is checked."""

import io
import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from creditrisk import contract
from creditrisk.errors import (
    ContractMismatch,
    LibraryMismatch,
    VersionDamaged,
    VersionMissing,
    VersionRefused,
)
from creditrisk.provenance import library_versions
from creditrisk.registry import MANIFEST, MODEL_FILE, REFERENCE_FILE, ModelRegistry
from creditrisk.settings import file_url
from creditrisk.storage import Storage
from tests.planted_versions import REFUSED, manifest_of, plant, reference_file

VERSION, OTHER = "2020-12-31-0a1b2c3d4e", "2020-12-31-ffffffffff"


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(Storage(file_url(tmp_path / "registry")))


def pickled(model: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


class LeavesTrace:
    """Unpickling it makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


def path_of(registry: ModelRegistry, name: str, version: str = VERSION) -> Path:
    assert registry.storage.local_root
    return registry.storage.local_root / "models" / version[:10] / version / name


@pytest.fixture
def tracing(registry: ModelRegistry, tmp_path: Path) -> Path:
    """The folder that would appear if version ``VERSION``'s model were unpickled; the version is sound."""
    trace = tmp_path / "trace"
    plant(
        registry.storage,
        VERSION,
        {
            MODEL_FILE: pickled(LeavesTrace(trace)),
            REFERENCE_FILE: reference_file([[40, np.nan, 0, np.nan, 1]], [0.5]),
            "training_set.parquet": b"rows",
        },
    )
    return trace


def test_a_sound_version_is_loaded_with_its_reference_rows(registry: ModelRegistry) -> None:
    rows = np.array([[40, np.nan, 0, np.nan, 1], [30, 2, 5, 110.0, 0]])
    forest = RandomForestClassifier(n_estimators=3, random_state=0).fit(rows, [0, 1])
    probabilities = forest.predict_proba(rows)[:, 1]
    manifest = plant(
        registry.storage,
        VERSION,
        {MODEL_FILE: pickled(forest), REFERENCE_FILE: reference_file(rows, probabilities)},
    )
    loaded = registry.load(VERSION)
    assert loaded.manifest == manifest
    np.testing.assert_array_equal(loaded.reference_rows, rows)
    assert loaded.reference_rows.dtype == np.float64
    np.testing.assert_array_equal(loaded.model.predict_proba(rows)[:, 1], loaded.reference_probabilities)


def test_the_trace_is_left_when_the_version_is_sound(registry: ModelRegistry, tracing: Path) -> None:
    registry.load(VERSION)
    assert tracing.is_dir()


@pytest.mark.parametrize("name", [MODEL_FILE, REFERENCE_FILE, "training_set.parquet"])
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_file_is_refused_before_anything_is_unpickled(
    registry: ModelRegistry, tracing: Path, name: str, damage: str
) -> None:
    file = path_of(registry, name)
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(VersionDamaged, match=rf"{VERSION}: {name} is"):
        registry.load(VERSION)
    with pytest.raises(VersionDamaged):
        registry.require_servable(VERSION)
    assert not tracing.exists()


def test_a_version_of_another_contract_is_refused_before_anything_is_unpickled(
    registry: ModelRegistry, tracing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditrisk.registry.contract_fingerprint", lambda: "feedfeedfeedfeed")
    with pytest.raises(ContractMismatch, match=f"{contract.contract_fingerprint()}, this code has feedfeed"):
        registry.load(VERSION)
    assert not tracing.exists()


@pytest.mark.parametrize("library", ["scikit-learn", "numpy", "joblib"])
def test_a_version_of_other_libraries_is_refused_before_anything_is_unpickled(
    registry: ModelRegistry, tmp_path: Path, library: str
) -> None:
    trace = tmp_path / "trace"
    versions = {**library_versions(["scikit-learn", "numpy", "joblib"]), library: "0.0.1"}
    files = {
        MODEL_FILE: pickled(LeavesTrace(trace)),
        REFERENCE_FILE: reference_file([[1, 2, 3, 4, 5]], [0.1]),
    }
    plant(registry.storage, VERSION, files, library_versions=versions)
    with pytest.raises(LibraryMismatch, match=f"{library} 0.0.1 there"):
        registry.load(VERSION)
    assert not trace.exists()


def test_a_refused_version_exists_and_cannot_be_loaded(registry: ModelRegistry) -> None:
    plant(registry.storage, VERSION, gate=REFUSED)
    assert registry.versions() == [VERSION]
    assert registry.manifest(VERSION).gate.reasons == ["ROC AUC 0.41 is below 0.53"]
    with pytest.raises(VersionRefused, match=r"ROC AUC 0.41 is below 0.53"):
        registry.load(VERSION)


def test_a_version_without_a_manifest_does_not_exist(registry: ModelRegistry) -> None:
    plant(registry.storage, VERSION)
    path_of(registry, MANIFEST).unlink()
    assert registry.versions() == []
    assert not registry.exists(VERSION)
    with pytest.raises(VersionMissing, match=VERSION):
        registry.load(VERSION)


@pytest.mark.parametrize("text", ["", "../../etc", "2020-12-31", f"{VERSION}/x", "2020-12-31-0A1B2C3D4E"])
def test_what_is_not_an_id_is_no_version(registry: ModelRegistry, text: str) -> None:
    with pytest.raises(VersionMissing, match="not an id of the form"):
        registry.load(text)


def test_a_copied_folder_is_not_another_version(registry: ModelRegistry) -> None:
    plant(registry.storage, VERSION)
    copy = path_of(registry, MANIFEST, OTHER)
    copy.parent.mkdir()
    copy.write_bytes(path_of(registry, MANIFEST).read_bytes())
    with pytest.raises(VersionDamaged, match=f"is that of {VERSION}"):
        registry.manifest(OTHER)


@pytest.mark.parametrize("text", [b"", b"{}", b'{"version": 3}'])
def test_a_manifest_that_cannot_be_read_is_damage(registry: ModelRegistry, text: bytes) -> None:
    plant(registry.storage, VERSION)
    path_of(registry, MANIFEST).write_bytes(text)
    with pytest.raises(VersionDamaged, match=MANIFEST):
        registry.manifest(VERSION)


def test_a_manifest_must_name_what_is_loaded(registry: ModelRegistry) -> None:
    plant(registry.storage, VERSION, {REFERENCE_FILE: reference_file([[1, 2, 3, 4, 5]], [0.1])})
    with pytest.raises(VersionDamaged, match=f"names no file {MODEL_FILE}"):
        registry.load(VERSION)


def test_what_cannot_be_unpickled_is_damage(registry: ModelRegistry) -> None:
    plant(registry.storage, VERSION)
    assert registry.require_servable(VERSION).version == VERSION
    with pytest.raises(VersionDamaged, match="cannot be unpickled"):
        registry.load(VERSION)


def test_a_reference_file_with_a_pickle_in_it_is_damage(registry: ModelRegistry, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    hostile = np.array([LeavesTrace(tmp_path / "trace")], dtype=object)
    np.savez(buffer, allow_pickle=True, rows=hostile, probabilities=np.zeros(1))
    plant(registry.storage, VERSION, {MODEL_FILE: pickled(1), REFERENCE_FILE: buffer.getvalue()})
    with pytest.raises(VersionDamaged, match=REFERENCE_FILE):
        registry.load(VERSION)
    assert not (tmp_path / "trace").exists()


def test_committing_the_same_version_again_changes_nothing(registry: ModelRegistry) -> None:
    manifest = plant(registry.storage, VERSION)
    before = path_of(registry, MANIFEST).read_bytes()
    registry.commit(manifest.model_copy(update={"code_version": "later"}))
    assert path_of(registry, MANIFEST).read_bytes() == before


def test_committing_other_files_under_the_same_version_is_an_error(registry: ModelRegistry) -> None:
    plant(registry.storage, VERSION)
    with pytest.raises(VersionDamaged, match="with other files"):
        registry.commit(manifest_of(VERSION, {MODEL_FILE: b"other"}))


def test_versions_are_listed_by_date(registry: ModelRegistry) -> None:
    for version in ("2021-01-31-0000000000", OTHER, VERSION):
        plant(registry.storage, version)
    assert registry.versions() == [VERSION, OTHER, "2021-01-31-0000000000"]


def test_the_same_holds_on_s3(s3_url: str) -> None:
    registry = ModelRegistry(Storage(s3_url))
    manifest = plant(registry.storage, VERSION)
    assert registry.versions() == [VERSION]
    assert registry.require_servable(VERSION) == manifest
    with pytest.raises(VersionMissing):
        registry.manifest(OTHER)
