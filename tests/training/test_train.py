"""Train, judge, register: what comes out, what it depends on, and that each step can be run again."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import training.train
from creditrisk.errors import (
    CandidateUnfinished,
    SnapshotNotPassed,
    SpecInvalid,
    StorageError,
    VersionRefused,
)
from creditrisk.registry import GateDecision, ModelManifest, ModelRegistry, version_folder
from creditrisk.release_ledger import promote
from creditrisk.settings import Settings, load_settings
from creditrisk.snapshots import Verdict
from creditrisk.storage import Storage
from tests.training.made_loans import SMALL_FOREST, loans_table, make_loans, write_snapshot
from training.candidate import CandidateFolder, TrainingPlan
from training.dataset import Loans, decode_training_set
from training.evaluation import prediction_hash
from training.plots import PLOTS
from training.split import Side
from training.train import judge, main, register, train

BOOSTING = '{"estimator": "boosting", "rounds": 10, "depth": 3, "smallest_leaf": 20}'
Trained = tuple[Settings, str, str]


def registry_of(settings: Settings) -> ModelRegistry:
    return ModelRegistry(Storage(settings.registry_root))


def all_three(
    settings: Settings, snapshot: str, spec: str = SMALL_FOREST, seed: int | None = None
) -> ModelManifest:
    version = train(settings, snapshot, spec, seed)
    judge(settings, version)
    return register(settings, version)


def files_of(settings: Settings, version: str) -> dict[str, bytes]:
    storage = Storage(settings.registry_root)
    return {key.rsplit("/", 1)[1]: storage.read(key) for key in storage.keys(version_folder(version))}


def test_a_registered_version_says_what_it_is(trained: Trained) -> None:
    settings, snapshot, version = trained
    manifest = registry_of(settings).manifest(version)
    assert manifest.snapshot == snapshot
    assert version.startswith("2020-12-31-")
    assert manifest.spec["trees"] == 10
    assert manifest.seed == 7
    assert manifest.gate.verdict is GateDecision.ACCEPTED
    assert manifest.metrics["roc_auc"].low > 0.55
    assert set(manifest.files) == {
        "model.joblib",
        "reference.npz",
        "training_set.parquet",
        "evaluation.json",
        "candidate.json",
        "gate.json",
        "model_card.md",
        *PLOTS,
    }


def test_the_loaded_model_gives_the_recorded_predictions(trained: Trained) -> None:
    settings, _, version = trained
    registry = registry_of(settings)
    loaded = registry.load(version)
    training_set = decode_training_set(registry.verified_file(loaded.manifest, "training_set.parquet"))
    test = training_set[Side.TEST].features
    assert prediction_hash(loaded.model.predict_proba(test)[:, 1]) == loaded.manifest.prediction_hash
    again = loaded.model.predict_proba(loaded.reference_rows)[:, 1]
    np.testing.assert_array_equal(again, loaded.reference_probabilities)
    assert np.isnan(loaded.reference_rows).any()
    assert len(loaded.reference_rows) == 256


def test_the_threshold_declines_the_share_on_validation_rows(trained: Trained) -> None:
    settings, _, version = trained
    registry = registry_of(settings)
    loaded = registry.load(version)
    training_set = decode_training_set(registry.verified_file(loaded.manifest, "training_set.parquet"))
    validation = loaded.model.predict_proba(training_set[Side.VALIDATE].features)[:, 1]
    assert 0.05 < (validation >= loaded.manifest.threshold).mean() <= 0.10
    assert loaded.manifest.threshold in validation


def test_the_kept_training_set_has_no_customer_on_two_sides(trained: Trained) -> None:
    settings, _, version = trained
    registry = registry_of(settings)
    manifest = registry.manifest(version)
    parts = decode_training_set(registry.verified_file(manifest, "training_set.parquet"))
    seen: set[int] = set()
    for side in Side:
        customers = set(parts[side].customers.tolist())
        assert not customers & seen
        seen |= customers
        assert manifest.split.sides[side].rows == len(parts[side])


def test_every_step_again_changes_nothing(trained: Trained) -> None:
    settings, snapshot, version = trained
    before = files_of(settings, version)
    assert train(settings, snapshot, SMALL_FOREST) == version
    judge(settings, version)
    register(settings, version)
    assert files_of(settings, version) == before
    assert registry_of(settings).versions() == [version]


def test_another_registry_gets_the_same_version_bit_for_bit(
    trained: Trained, settings: Settings, loans: Loans
) -> None:
    first = registry_of(trained[0]).manifest(trained[2])
    snapshot = write_snapshot(settings, loans_table(loans))
    assert snapshot == trained[1]
    second = all_three(settings, snapshot)
    assert second.version == first.version
    changing = ("candidate.json", "model_card.md")  # they say when they were made
    for name in set(first.files) - set(changing):
        assert second.files[name] == first.files[name], name
    assert second.prediction_hash == first.prediction_hash


def test_what_determines_the_result_determines_the_version(trained: Trained, monkeypatch: Any) -> None:
    settings, snapshot, version = trained
    from training.dataset import passed_snapshot
    from training.specs import parse_spec

    manifest = passed_snapshot(settings, snapshot)

    def named(
        base: Settings = settings, spec: str = SMALL_FOREST, champion: str | None = None, **seed: int
    ) -> str:
        data = parse_spec(spec, **seed).model_dump(mode="json")
        return TrainingPlan.of(base, manifest, data, champion).version

    versions = [
        named(),
        named(seed=8),
        named(spec=BOOSTING),
        named(champion="2020-01-01-aaaaaaaaaa"),
        named(settings.model_copy(update={"decline_share": 0.2})),
        named(settings.model_copy(update={"test_days_share": 0.3})),
        named(
            settings.model_copy(
                update={"model_gate": settings.model_gate.model_copy(update={"roc_auc_floor": 0.6})}
            )
        ),
    ]
    monkeypatch.setattr("training.candidate.code_version", lambda: "other")
    versions.append(named())
    assert versions[0] == version
    assert len(set(versions)) == len(versions)


def test_boosting_is_trained_and_judged_against_the_champion(
    trained: Trained, tmp_path: Path, settings_in: Any
) -> None:
    shutil.copytree(trained[0].var_dir, tmp_path, dirs_exist_ok=True)
    settings = settings_in(tmp_path)
    promote(settings, trained[2], by="ada", reason="first")
    manifest = all_three(settings, trained[1], BOOSTING)
    assert manifest.compared_with == trained[2]
    [check] = [check for check in manifest.gate.checks if check.name == "not_worse_than_champion"]
    assert check.verdict is Verdict.PASS
    assert trained[2] in check.sentence
    assert registry_of(settings).load(manifest.version).manifest == manifest


def test_a_champion_that_cannot_be_loaded_stops_no_training(
    trained: Trained, tmp_path: Path, settings_in: Any
) -> None:
    shutil.copytree(trained[0].var_dir, tmp_path, dirs_exist_ok=True)
    settings = settings_in(tmp_path)
    promote(settings, trained[2], by="ada", reason="first")
    root = Storage(settings.registry_root).local_root
    assert root
    (root / version_folder(trained[2]) / "model.joblib").write_bytes(b"other")
    manifest = all_three(settings, trained[1], SMALL_FOREST, seed=8)
    [check] = [check for check in manifest.gate.checks if check.name == "not_worse_than_champion"]
    assert check.verdict is Verdict.NOT_JUDGED
    assert "model.joblib is not the file that was registered" in check.sentence


def test_a_leaked_label_is_registered_as_refused_and_cannot_be_promoted(settings: Settings) -> None:
    snapshot = write_snapshot(settings, loans_table(make_loans(leak=True)))
    manifest = all_three(settings, snapshot)
    assert manifest.gate.verdict is GateDecision.REFUSED
    assert any("look for a leaked label" in reason for reason in manifest.gate.reasons)
    assert registry_of(settings).versions() == [manifest.version]
    with pytest.raises(VersionRefused, match="leaked label"):
        promote(settings, manifest.version, by="ada", reason="so good")


def test_steps_are_taken_in_order(settings: Settings, loans: Loans) -> None:
    version = "2020-12-31-0a1b2c3d4e"
    with pytest.raises(CandidateUnfinished, match="run train first"):
        judge(settings, version)
    with pytest.raises(CandidateUnfinished, match="run train first"):
        register(settings, version)
    version = train(settings, write_snapshot(settings, loans_table(loans)), SMALL_FOREST)
    with pytest.raises(CandidateUnfinished, match="run judge first"):
        register(settings, version)
    assert registry_of(settings).versions() == []


@pytest.mark.parametrize("writes", [0, 3, 9])
def test_a_run_killed_while_it_writes_is_made_good_by_the_next(
    trained: Trained, settings: Settings, loans: Loans, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    snapshot = write_snapshot(settings, loans_table(loans))
    create, left = Storage.create, [writes]

    def create_until_killed(storage: Storage, key: str, content: bytes | Path) -> None:
        if key.startswith("models/"):
            left[0] -= 1
            if left[0] < 0:
                raise StorageError("killed")
        create(storage, key, content)

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "create", create_until_killed)
        with pytest.raises(StorageError, match="killed"):
            train(settings, snapshot, SMALL_FOREST)
    assert registry_of(settings).versions() == []
    manifest = all_three(settings, snapshot)
    assert manifest.version == trained[2]
    assert manifest.prediction_hash == registry_of(trained[0]).manifest(trained[2]).prediction_hash


def test_training_twice_at_once_takes_nothing_from_the_faster_one(
    settings: Settings, loans: Loans, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = write_snapshot(settings, loans_table(loans))
    make = training.train.make_files
    faster: list[str] = []

    def make_while_another_run_ends(*arguments: Any) -> Any:
        made = make(*arguments)
        with monkeypatch.context() as alone:
            alone.setattr("training.train.make_files", make)
            faster.append(train(settings, snapshot, SMALL_FOREST))
        judge(settings, faster[0])
        return made

    monkeypatch.setattr("training.train.make_files", make_while_another_run_ends)
    assert train(settings, snapshot, SMALL_FOREST) == faster[0]
    assert register(settings, faster[0]).gate.verdict is GateDecision.ACCEPTED


@pytest.mark.parametrize("killed_at", ["model_card.md", "gate.json", "manifest.json"])
def test_a_later_step_killed_before_it_writes_a_file_is_done_by_the_next(
    trained: Trained, settings: Settings, loans: Loans, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    snapshot = write_snapshot(settings, loans_table(loans))
    version = train(settings, snapshot, SMALL_FOREST)
    create = Storage.create

    def create_until_killed(storage: Storage, key: str, content: bytes | Path) -> None:
        if key.endswith(f"/{killed_at}"):
            raise StorageError("killed")
        create(storage, key, content)

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "create", create_until_killed)
        with pytest.raises(StorageError, match="killed"):
            all_three(settings, snapshot)
    assert registry_of(settings).versions() == []
    judge(settings, version)
    manifest = register(settings, version)
    expected = registry_of(trained[0]).manifest(trained[2])
    assert (manifest.gate, set(manifest.files)) == (expected.gate, set(expected.files))
    assert registry_of(settings).load(version).manifest == manifest


@pytest.mark.parametrize(
    ("name", "content"), [("model.joblib", b"other"), ("candidate.json", None), ("candidate.json", b"{half")]
)
def test_a_candidate_damaged_before_it_is_registered_is_made_again(
    settings: Settings, loans: Loans, name: str, content: bytes | None
) -> None:
    snapshot = write_snapshot(settings, loans_table(loans))
    version = train(settings, snapshot, SMALL_FOREST)
    root = Storage(settings.registry_root).local_root
    assert root
    file = root / version_folder(version) / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert not CandidateFolder(Storage(settings.registry_root), version).is_trained()
    manifest = all_three(settings, snapshot)
    assert registry_of(settings).load(version).manifest == manifest


def test_a_snapshot_that_did_not_pass_is_not_learnt_from(settings: Settings, loans: Loans) -> None:
    snapshot = write_snapshot(settings, loans_table(loans), verdict=Verdict.FAIL)
    with pytest.raises(SnapshotNotPassed):
        train(settings, snapshot, SMALL_FOREST)


def test_a_bad_spec_is_refused_before_anything_is_read(settings: Settings) -> None:
    with pytest.raises(SpecInvalid, match="trees: 0"):
        train(settings, None, '{"estimator": "forest", "trees": 0}')


def test_the_command_prints_the_version_and_says_how_it_went(
    settings: Settings, loans: Loans, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.train.load_settings", lambda: settings)
    snapshot = write_snapshot(settings, loans_table(loans))
    assert main(["--snapshot", snapshot, "--spec", SMALL_FOREST]) == 0
    [version] = registry_of(settings).versions()
    assert capsys.readouterr().out == f"{version}\n"
    strict = load_settings(**{**settings.model_dump(), "model_gate": {"roc_auc_floor": 0.99}})
    monkeypatch.setattr("training.train.load_settings", lambda: strict)
    assert main(["--snapshot", snapshot, "--spec", SMALL_FOREST]) == 2
    assert main(["--spec", "svm"]) == 1
    assert "training: spec: 'svm'" in capsys.readouterr().err


def test_records_are_json_that_a_person_can_read(trained: Trained) -> None:
    files = files_of(trained[0], trained[2])
    for name in ("manifest.json", "candidate.json", "gate.json", "evaluation.json"):
        assert json.loads(files[name])
        assert files[name].count(b"\n") > 10
