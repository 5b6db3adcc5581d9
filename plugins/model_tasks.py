"""What the tasks of the model DAGs do: one call each, and a log that ends in words."""

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from creditrisk.settings import load_settings
from plugins.failures import told_plainly

if TYPE_CHECKING:
    from creditrisk.release import ReleaseRecord

logger = logging.getLogger(__name__)


def train(snapshot: str | None, spec: str, seed: int) -> str:
    """Fit and evaluate; the id of the version to be."""
    from training.train import train as train_version

    with told_plainly():
        version = train_version(load_settings(), snapshot, spec=spec, seed=seed)
    logger.info("Version %s is fitted and evaluated, and not registered yet.", version)
    return str(version)


def judge(version: str) -> dict[str, Any]:
    """Judge a trained version; the verdict and its reasons. A refusal fails nothing yet: it is to be registered."""
    from training.train import judge as judge_version

    with told_plainly():
        gate = judge_version(load_settings(), version)
    for check in gate.checks:
        logger.info("%-10s  %s", check.verdict, check.sentence)
    logger.info("Version %s: the model gate says %s.", version, gate.verdict)
    return {"verdict": str(gate.verdict), "reasons": list(gate.reasons)}


def register(version: str) -> str:
    """Register a judged version; the id of its snapshot.

    Raises:
        AirflowFailException: it is registered, as refused.
    """
    from training.train import register as register_version

    with told_plainly():
        manifest = register_version(load_settings(), version)
    if manifest.gate.reasons:
        refusal = f"version {version} is registered as refused: {'; '.join(manifest.gate.reasons)}"
        logger.error("%s", refusal)
        raise AirflowFailException(refusal)
    logger.info("Version %s is registered. To put it into service, trigger promote_model with it.", version)
    return str(manifest.snapshot)


def require_promotable(version: str) -> str:
    """The version, if it may be promoted.

    Raises:
        AirflowFailException: it may not; the message says why.
    """
    from creditrisk.registry import ModelRegistry
    from creditrisk.storage import Storage

    settings = load_settings()
    with told_plainly():
        ModelRegistry(Storage(settings.registry_root)).require_servable(version)
    logger.info("Version %s is whole, passed its gate and fits this code: it may serve.", version)
    return version


def promote(version: str, by: str | None, reason: str) -> "ReleaseRecord":
    """Put a version into service; the release that is in force then. A second try finds it done."""
    from creditrisk.release_ledger import promote as promote_version

    with told_plainly():
        release = promote_version(load_settings(), version, by=by or "airflow", reason=reason)
    _tell(release)
    return release


def rollback_target(version: str | None) -> str:
    """The version to go back to: the one asked for, else the champion before the present one.

    Found once and handed on, so that a second try of the rollback does not go back a step further.

    Raises:
        AirflowFailException: there is none, or it cannot serve; the message says why.
    """
    from creditrisk.release import rollback_target as champion_before
    from creditrisk.release_ledger import ReleaseLedger
    from creditrisk.storage import Storage

    with told_plainly():
        target = version or champion_before(ReleaseLedger(Storage(load_settings().registry_root)).history())
    return require_promotable(target)


def roll_back(to: str, by: str | None, reason: str) -> "ReleaseRecord":
    """Put an earlier version back into service; the release that is in force then."""
    from creditrisk.release_ledger import roll_back as roll_back_version

    with told_plainly():
        release = roll_back_version(load_settings(), by=by or "airflow", reason=reason, to=to)
    _tell(release)
    return release


def abort(version: str, by: str | None, reason: str) -> "ReleaseRecord":
    """End a version's challenge; the release that is in force then. A challenge that has ended stays ended."""
    from creditrisk.release_ledger import abort as abort_challenge

    with told_plainly():
        release = abort_challenge(load_settings(), version, by=by or "airflow", reason=reason)
    _tell(release)
    return release


def _tell(release: "ReleaseRecord") -> None:
    logger.info(
        "Release %s (%s): %s serves, by %s: %s",
        release.number, release.action, release.champion, release.by, release.reason,
    )  # fmt: skip
