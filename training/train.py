"""Train a model version: ``python -m training.train [--snapshot ID] [--spec forest|boosting|JSON] [--seed N]``.

Three steps, between which only the version's id travels. Each can be run again after a kill at any point:
``train`` fits and evaluates, ``judge`` holds the evaluation against the gate's limits, ``register`` writes the
manifest, which makes the version exist, refused or not.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from creditrisk.errors import CreditRiskError
from creditrisk.registry import (
    GateDecision,
    ModelGateReport,
    ModelManifest,
    ModelRegistry,
)
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings, load_settings
from creditrisk.storage import Storage
from training import tracking
from training.candidate import (
    CANDIDATE_FILE,
    EVALUATION_FILE,
    GATE_FILE,
    MODEL_CARD_FILE,
    Candidate,
    CandidateFolder,
    TrainingPlan,
    sha256,
)
from training.dataset import passed_snapshot, read_loans
from training.evaluation import Evaluation
from training.gate import judge_model
from training.making import make_files
from training.model_card import model_card
from training.specs import parse_spec
from training.split import split_loans

logger = logging.getLogger(__name__)


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
    candidate, files = make_files(storage, plan, parts, split)
    folder.upload(files, candidate)
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
