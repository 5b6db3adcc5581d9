"""What the tasks of ``release_model`` do: one call each, and a log that ends in words.

Where a release is stands in its release records and nowhere else, so a task that is tried again or cleared finds
what was done and goes on from there.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from creditrisk.settings import Settings, load_settings
from plugins.failures import told_plainly
from plugins.watch_tasks import tell_of_releases

if TYPE_CHECKING:
    from creditrisk.release import ReleaseRecord
    from monitoring.canary import CanaryVerdict

logger = logging.getLogger(__name__)

NOBODY = "airflow"
_REASON_LENGTH = 1000
_TRIES = 5


def step_name(share: float) -> str:
    """The task id of a step, such as ``share_05``."""
    return f"share_{round(share * 100):02d}" if share else "shadow"


def start_shadow(version: str, by: str | None, reason: str) -> str:
    """Let a version challenge the champion, deciding on nobody; the version.

    Raises:
        AirflowFailException: it cannot, because it serves already, another challenges, or it may not serve.
    """
    from creditrisk.release_ledger import challenge

    with told_plainly():
        record = challenge(load_settings(), version, 0.0, by=by or NOBODY, reason=reason)
    _tell(record)
    return version


def take_step(
    version: str, share: float, by: str | None, reason: str, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    """Give the challenger its share, if it has not got it, and judge the step once.

    Args:
        version: the challenger.
        share: of the step.
        by: who released it.
        reason: why.
        keep: is given the verdict of this look.

    Returns:
        the verdict where the step is done, None where it is to be judged again.

    Raises:
        AirflowFailException: the step is aborted, or somebody else has ended the challenge.
    """
    from creditrisk.errors import StorageError, StoreUnavailable
    from monitoring.canary_checks import Finding
    from monitoring.step_judgement import StepJudge

    settings = load_settings()
    try:
        with told_plainly():
            record = _at_share(settings, version, share, by, reason)
            verdict = StepJudge(settings).verdict(record)
    except (StoreUnavailable, StorageError) as error:
        logger.warning("Not judged this time, and the step goes on as it is: %s", error)
        return None
    shown: dict[str, Any] = verdict.model_dump(mode="json")
    keep(shown)
    _keep_look(settings, shown)
    _tell_verdict(verdict)
    if verdict.finding is Finding.ABORT:
        raise AirflowFailException(_abort(settings, version, by, _because(verdict)))
    return shown if verdict.finding is Finding.GO_ON else None


def promote(version: str, by: str | None, answer: dict[str, Any] | None, reason: str) -> "ReleaseRecord":
    """Put the challenger into service for everybody, after a last look at its step; the release in force then.

    Args:
        version: the challenger.
        by: who released it.
        answer: what the approval task was answered; None where there is none, or it was passed by.
        reason: why.

    Raises:
        AirflowFailException: an approval is required and was not given, the last look aborts, or somebody else
            has ended the challenge.
    """
    from creditrisk.errors import StoreUnavailable
    from creditrisk.release_ledger import complete
    from monitoring.canary_checks import Finding
    from monitoring.step_judgement import StepJudge

    settings = load_settings()
    approver = answer["by"] if answer and answer["approved"] else None
    if settings.canary.requires_approval and approver is None:  # the task can be marked as successful by hand
        raise AirflowFailException(f"version {version}: nobody has approved it: answer the approval task")
    with told_plainly():
        newest = _newest(settings)
        if newest.challenger == version:  # it went on deciding while an operator was awaited
            try:
                verdict = StepJudge(settings).verdict(newest)
            except StoreUnavailable as error:
                logger.warning("Not looked at a last time: %s", error)
            else:
                _tell_verdict(verdict)
                if verdict.finding is Finding.ABORT and not _is_only_late(verdict):
                    raise AirflowFailException(_abort(settings, version, by, _because(verdict)))
        record = complete(
            settings,
            version,
            by=approver or by or NOBODY,
            reason=f"{reason} (released in steps by {by or NOBODY}{', approved' if approver else ''})",
        )
    _tell(record)
    return record


def settle(version: str, by: str | None, answer: dict[str, Any] | None) -> str:
    """Leave a state that is said plainly, however the run went; the words for it.

    A challenge that goes on without a run would be judged by nobody, so it is aborted.
    """
    settings = load_settings()
    with told_plainly():
        newest = _newest(settings)
    if newest.champion == version:
        words = f"Version {version} serves everybody since release {newest.number}."
    elif newest.challenger == version:
        words = _abort(settings, version, by, _why_it_ended(answer))
    else:
        words = (
            f"Version {version} decides on nobody: its challenge has ended. Release {newest.number}"
            f" ({newest.action}, by {newest.by}): {newest.champion} serves: {newest.reason}"
        )
    logger.info("%s", words)
    return words


def _at_share(settings: Settings, version: str, share: float, by: str | None, reason: str) -> "ReleaseRecord":
    """The record of the step: grown to its share where the challenger has less."""
    from creditrisk.errors import ChallengeRefused
    from creditrisk.release_ledger import challenge

    newest = _newest(settings)
    if newest.challenger != version:
        raise ChallengeRefused(
            f"version {version}: does not challenge any more: release {newest.number} ({newest.action}, by"
            f" {newest.by}): {newest.champion} serves: {newest.reason}; to begin anew, trigger the DAG again"
        )
    if newest.share >= share:
        return newest
    grown = challenge(settings, version, share, by=by or NOBODY, reason=reason)
    _tell(grown)
    return grown


def _keep_look(settings: Settings, verdict: dict[str, Any]) -> None:
    """For the operators' page. The release goes on without it."""
    from creditrisk.errors import SettingsError, StoreError, StoreUnavailable
    from creditrisk.look_store import keep_look

    try:
        keep_look(settings, verdict)
    except (SettingsError, StoreError, StoreUnavailable) as error:
        logger.warning("This look is not kept for the operators' page: %s", error)


def _abort(settings: Settings, version: str, by: str | None, why: str) -> str:
    """End the challenge, tell everybody, and say it."""
    from creditrisk.errors import ReleaseConflict
    from creditrisk.release_ledger import abort

    why = why if len(why) <= _REASON_LENGTH else f"{why[: _REASON_LENGTH - 1]}…"
    with told_plainly():
        for attempt in range(_TRIES):
            try:
                record = abort(settings, version, by=by or NOBODY, reason=why)
                break
            except ReleaseConflict:  # whoever was faster may have ended it, which the next look finds
                if attempt == _TRIES - 1:
                    raise
    _tell(record)
    tell_of_releases(settings)
    return f"Version {version} is aborted as challenger, {record.champion} serves everybody: {why}"


def _newest(settings: Settings) -> "ReleaseRecord":
    from creditrisk.errors import NothingReleased
    from creditrisk.release_ledger import ReleaseLedger
    from creditrisk.storage import Storage

    newest = ReleaseLedger(Storage(settings.registry_root)).newest()
    if newest is None:
        raise NothingReleased("nothing has been released yet: promote a first version")
    return newest


def _why_it_ended(answer: dict[str, Any] | None) -> str:
    if answer is None:
        return "its run ended before it was promoted"
    if answer["approved"]:
        return "its run ended after the approval and before it was promoted"
    return f"rejected by {answer['by']}" if answer["by"] else "nobody approved it in time"


def _is_only_late(verdict: "CanaryVerdict") -> bool:
    """Whether no check says abort: waiting for an operator is not the challenger's fault."""
    from monitoring.canary_checks import Finding

    return not any(check.finding is Finding.ABORT for check in verdict.checks)


def _because(verdict: "CanaryVerdict") -> str:
    return f"step of share {verdict.step.share:g}: {'; '.join(verdict.reasons)}"


def _tell_verdict(verdict: "CanaryVerdict") -> None:
    step = verdict.step
    logger.info(
        "Release %s, share %g, since %s: %s decisions, %s customers (%s filled up); %s more while loading; µs %s",
        step.release, step.share, step.since, verdict.decisions, verdict.customers, verdict.filled_up,
        verdict.loading, verdict.microseconds,
    )  # fmt: skip
    for check in verdict.checks:
        logger.info("%-10s  %s", check.finding, check.sentence)
    logger.info("Step of share %g: the judge says %s.", step.share, verdict.finding)


def _tell(release: "ReleaseRecord") -> None:
    challenger = (
        f", {release.challenger} challenges with share {release.share:g}" if release.challenger else ""
    )
    logger.info(
        "Release %s (%s): %s serves%s, by %s: %s",
        release.number, release.action, release.champion, challenger, release.by, release.reason,
    )  # fmt: skip
