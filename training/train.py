"""Train a model version: ``python -m training.train [--snapshot ID] [--spec forest|boosting|JSON] [--seed N]``.

Three steps, between which only the version's id travels. Each can be run again after a kill at any point:
``train`` fits and evaluates, ``judge`` holds the evaluation against the gate's limits, ``register`` writes the
manifest, which makes the version exist, refused or not.
"""

import argparse
import io
import logging
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numpy as np

from creditrisk.errors import CreditRiskError, RegistryError
from creditrisk.provenance import image
from creditrisk.registry import (
    MODEL_FILE,
    REFERENCE_FILE,
    GateDecision,
    ModelGateReport,
    ModelManifest,
    ModelRegistry,
    SplitRecord,
)
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.scoring import flatten, verify
from creditrisk.settings import Settings, load_settings
from creditrisk.storage import Storage
from training import tracking
from training.candidate import (
    CANDIDATE_FILE,
    EVALUATION_FILE,
    GATE_FILE,
    MODEL_CARD_FILE,
    TRAINING_SET_FILE,
    Candidate,
    CandidateFolder,
    TrainingPlan,
    sha256,
)
from training.dataset import FloatArray, Loans, encode_training_set, passed_snapshot, read_loans
from training.evaluation import Evaluation, Rival, evaluate, permutation_importance, prediction_hash
from training.fitting import DecidingModel, fit_baseline, fit_deciding_model, late_probabilities
from training.gate import judge_model
from training.model_card import model_card
from training.plots import draw_plots
from training.specs import parse_spec, validated_spec
from training.split import Side, split_loans

logger = logging.getLogger(__name__)

BASELINE = "logistic baseline"
REFERENCE_ROWS = 256


def train(settings: Settings, snapshot: str | None, spec: str = "forest", seed: int | None = None) -> str:
    """Fit, calibrate and evaluate a spec on a snapshot, and write all of it but the verdict and the manifest.

    Args:
        settings: whose lake and registry.
        snapshot: id of one that passed its gate; None means the newest that did.
        spec: a name or JSON, see :func:`training.specs.parse_spec`.
        seed: in place of the spec's own.

    Returns:
        The version's id. Everything that determines the result is hashed into it, the champion it is to be
        judged against too: the same again is the same version, and is not fitted again.

    Raises:
        SpecInvalid, RowsInsufficient: there is nothing to fit, or nothing to fit it on.
        SnapshotError: the snapshot is missing, damaged, or did not pass.
    """
    validated = parse_spec(spec, seed)
    manifest = passed_snapshot(settings, snapshot)
    storage = Storage(settings.registry_root)
    release = ReleaseLedger(storage).newest()
    plan = TrainingPlan.of(
        settings, manifest, validated.model_dump(mode="json"), release.champion if release else None
    )
    folder = CandidateFolder(storage, plan.version)
    if ModelRegistry(storage).exists(plan.version) or folder.is_trained():
        logger.info("Version %s has been trained before.", plan.version)
        return plan.version
    loans = read_loans(Storage(settings.lake_root), manifest)
    logger.info("Snapshot %s: %s loans with a status.", manifest.snapshot, f"{len(loans):,}")
    parts, split = split_loans(loans, plan.test_days_share)
    with _work_folder(settings, plan.version) as work:
        candidate = _make_files(storage, plan, parts, split, work)
        folder.upload(work, candidate)
    return plan.version


def judge(settings: Settings, version: str) -> ModelGateReport:
    """Hold a trained version against the gate's limits, those of its plan; the verdict is kept with it.

    Raises:
        CandidateUnfinished: it has not been trained.
        VersionDamaged: its evaluation is not the one that was written.
    """
    storage = Storage(settings.registry_root)
    folder = CandidateFolder(storage, version)
    candidate = folder.candidate()
    evaluation = _evaluation(folder, candidate)
    gate = judge_model(evaluation, candidate.plan.limits)
    folder.write_once(MODEL_CARD_FILE, model_card(candidate, evaluation, gate))
    folder.write_once(GATE_FILE, gate)
    return folder.gate()


def register(settings: Settings, version: str) -> ModelManifest:
    """Make a judged version exist, refused or not, and record the run in MLflow.

    Raises:
        CandidateUnfinished: it has not been trained, or not been judged.
        VersionDamaged: a file is not the one that was written.
    """
    storage = Storage(settings.registry_root)
    registry, folder = ModelRegistry(storage), CandidateFolder(storage, version)
    candidate, gate = folder.candidate(), folder.gate()
    evaluation = _evaluation(folder, candidate)
    if not registry.exists(version):
        registry.commit(_manifest(folder, candidate, gate, evaluation))
    manifest = registry.manifest(version)
    tracking.track(settings, registry, manifest, evaluation)
    return manifest


def _make_files(
    storage: Storage, plan: TrainingPlan, parts: Mapping[Side, Loans], split: SplitRecord, work: Path
) -> Candidate:
    """Write the training step's files to a local folder."""
    deciding = fit_deciding_model(validated_spec(plan.spec), parts, plan.decline_share)
    test = parts[Side.TEST]
    probabilities = deciding.probabilities(test)
    logger.info("Fitted %s on %s loans.", plan.spec["estimator"], f"{len(parts[Side.TRAIN]):,}")
    baseline = Rival(BASELINE, late_probabilities(fit_baseline(parts), test))
    champion, why_not = _champion(storage, plan.champion, test)
    evaluation = evaluate(
        test,
        probabilities,
        deciding.threshold,
        baseline=baseline,
        champion=champion,
        champion_not_compared=why_not,
        importance=permutation_importance(deciding.model, test),
    )
    rivals = [baseline, champion] if champion else [baseline]
    files = {
        MODEL_FILE: _pickled(deciding),
        REFERENCE_FILE: _reference(deciding, test, probabilities),
        TRAINING_SET_FILE: encode_training_set(parts.items()),
        EVALUATION_FILE: evaluation.model_dump_json(indent=2).encode() + b"\n",
        **draw_plots(evaluation, test.late, probabilities, deciding.threshold, rivals),
    }
    for name, content in files.items():
        (work / name).write_bytes(content)
    auc = evaluation.metrics["roc_auc"]
    logger.info(
        "Evaluated on %s loans of %s other customers from %s on: ROC AUC %.4f (%.4f to %.4f).",
        f"{len(test):,}", f"{split.sides[Side.TEST].customers:,}", split.cut_date, auc.value, auc.low, auc.high,
    )  # fmt: skip
    return Candidate(
        plan=plan,
        created_at=datetime.now(UTC),
        image=image(),
        split=split,
        threshold=deciding.threshold,
        declined_share=deciding.declined_share,
        prediction_hash=prediction_hash(probabilities),
        files={name: sha256(content) for name, content in files.items()},
    )


def _champion(storage: Storage, version: str | None, test: Loans) -> tuple[Rival | None, str | None]:
    """The champion's probabilities, or why there are none."""
    if version is None:
        return None, None
    try:
        loaded = ModelRegistry(storage).load(version)
    except RegistryError as error:
        logger.warning("The champion cannot be compared with: %s", error)
        return None, f"the champion cannot be loaded: {error}"
    return Rival(version, late_probabilities(loaded.model, test)), None


def _pickled(deciding: DecidingModel) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(deciding.model, buffer, compress=3)
    return buffer.getvalue()


def _reference(deciding: DecidingModel, test: Loans, probabilities: FloatArray) -> bytes:
    """Rows from the lowest probability to the highest, on which whoever serves the model must agree with it."""
    order = np.argsort(probabilities, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(REFERENCE_ROWS, len(order))).round().astype(int)]
    verify(flatten(deciding.model), test.features[chosen], probabilities[chosen], deciding.threshold)
    buffer = io.BytesIO()
    np.savez(buffer, rows=test.features[chosen], probabilities=probabilities[chosen])
    return buffer.getvalue()


def _evaluation(folder: CandidateFolder, candidate: Candidate) -> Evaluation:
    return Evaluation.model_validate_json(folder.verified(candidate, EVALUATION_FILE))


def _manifest(
    folder: CandidateFolder, candidate: Candidate, gate: ModelGateReport, evaluation: Evaluation
) -> ModelManifest:
    """The manifest of a judged candidate, all of whose files have been read again and are what was written."""
    plan = candidate.plan
    files = {name: sha256(folder.verified(candidate, name)) for name in candidate.files}
    files |= {name: sha256(folder.read(name)) for name in (CANDIDATE_FILE, GATE_FILE, MODEL_CARD_FILE)}
    seed = plan.spec["seed"]
    assert isinstance(seed, int)  # noqa: S101  a validated spec has one
    return ModelManifest(
        version=folder.version,
        as_of=plan.as_of,
        created_at=candidate.created_at,
        snapshot=plan.snapshot,
        market=plan.market,
        spec=plan.spec,
        seed=seed,
        contract_fingerprint=plan.contract_fingerprint,
        code_version=plan.code_version,
        image=candidate.image,
        library_versions=plan.library_versions,
        split=candidate.split,
        decline_share=plan.decline_share,
        threshold=candidate.threshold,
        prediction_hash=candidate.prediction_hash,
        compared_with=plan.champion,
        metrics=evaluation.metrics,
        gate=gate,
        files=files,
    )


@contextmanager
def _work_folder(settings: Settings, version: str) -> Iterator[Path]:
    """An empty local folder, gone afterwards; what a killed run left in it is removed first."""
    folder = settings.var_dir / "training" / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, judge and register; exit code 1 for an error, 2 for a model that was refused."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train a model version.")
    parser.add_argument("--snapshot", help="a snapshot's id; the newest that passed its gate by default")
    parser.add_argument("--spec", default="forest", help="forest, boosting, or a JSON object")
    parser.add_argument("--seed", type=int, help="in place of the spec's own")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        settings = load_settings()
        version = train(settings, arguments.snapshot, arguments.spec, arguments.seed)
        judge(settings, version)
        manifest = register(settings, version)
    except CreditRiskError as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    for reason in manifest.gate.reasons:
        logger.info("Refused: %s", reason)
    logger.info("Version %s is registered: %s.", version, manifest.gate.verdict)
    print(version)
    return 0 if manifest.gate.verdict is GateDecision.ACCEPTED else 2


if __name__ == "__main__":
    sys.exit(main())
