"""What the task of ``watch`` does, and what failed tasks and releases tell it: one call each."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from creditrisk.settings import Settings, load_settings
from plugins.alerts import send_due, tell_kept, watch_of
from plugins.failures import failed_words, run_reason, told_plainly
from plugins.night_notes import note_ended_elsewhere

if TYPE_CHECKING:
    from monitoring.alerting import Changes
    from monitoring.watch import Watch

logger = logging.getLogger(__name__)


def look_and_send(count_runs: Callable[..., int] | None = None) -> dict[str, int]:
    """Look once, then send what is due; how many alerts started, go on and ended, and how many messages got out.

    Where Postgres is away, or refuses, at a second look in a row, that is told without it, once on each channel. Where it is
    away the task ends well: it has done its work.

    Args:
        count_runs: what :func:`plugins.night_notes.note_ended_elsewhere` asks; None: nobody is asked.

    Raises:
        AirflowFailException: a setting is missing, or the store refuses.
    """
    from creditrisk.errors import StoreError, StoreUnavailable

    settings = load_settings()
    if count_runs:
        note_ended_elsewhere(count_runs)
    with told_plainly():
        watch = watch_of(settings)
        try:
            found = _looked(watch)
            sent, unsent = send_due(settings)
        except StoreError as error:
            tell_kept(settings, watch.keep_outage(str(error)))
            logger.error("What is to be told waits for Postgres elsewhere: %s", error)
            if not isinstance(error, StoreUnavailable):
                raise
            return {}
    for broken in found.started:
        logger.info("Started: %s: %s", broken.rule.title, broken.words)
    for alert, _ in found.going_on:
        logger.info("Goes on since %s: %s %s: %s", alert.since, alert.rule, alert.subject, alert.words)
    for alert, because in found.ended:
        logger.info("Ended: %s %s: %s", alert.rule, alert.subject, because)
    logger.info("%d messages sent, %d to be tried again.", sent, unsent)
    return {
        "started": len(found.started),
        "going_on": len(found.going_on),
        "ended": len(found.ended),
        "sent": sent,
        "unsent": unsent,
    }


def _looked(watch: "Watch") -> "Changes":
    """A look, where the tables may have to be made first: nothing was published with this code yet."""
    from creditrisk.errors import StoreError, StoreUnavailable
    from creditrisk.online_store import OnlineStore

    try:
        return watch.look()
    except StoreUnavailable:
        raise
    except StoreError:
        if not OnlineStore(watch.settings).migrate():
            raise
        return watch.look()


def tell_of_releases(settings: Settings) -> None:
    """Tell at once what the newest release record says. Where that fails the watch tells it, minutes later."""
    with _quietly():
        watch_of(settings).tell_releases()
        send_due(settings)


def note_failure(context: Any) -> None:
    """A task has failed for good: its callback."""
    from monitoring.alert_rules import TASK_FAILED

    with _quietly():
        task = context["ti"]
        subject = f"{task.dag_id}.{task.task_id}"
        watch_of(load_settings()).report(TASK_FAILED, subject, failed_words(context, subject))


def note_success(context: Any) -> None:
    """A task has gone well, so that an earlier failure of it is over: its callback."""
    _note_over(context, "has gone well")


def note_skip(context: Any) -> None:
    """A task found that there is nothing to do, which no failure of it needs mending for any more: its callback."""
    _note_over(context, "found nothing to do")


def _note_over(context: Any, how: str) -> None:
    from monitoring.alert_rules import TASK_FAILED

    with _quietly():
        task = context["ti"]
        subject = f"{task.dag_id}.{task.task_id}"
        watch_of(load_settings()).report_over(
            TASK_FAILED, subject, f"{subject} {how} in the run {task.run_id}."
        )


def note_run_failure(context: Any) -> None:
    """A run has failed: its callback, for where no task could say so, as it was killed or the run's time was up."""
    from monitoring.alert_rules import TASK_FAILED

    with _quietly():
        dag_id = context["dag"].dag_id
        words = f"The run {context['run_id']} of {dag_id} ended without a word of its task: {run_reason(context)}."
        watch_of(load_settings()).report(TASK_FAILED, dag_id, words)


def note_run_success(context: Any) -> None:
    """A run has gone well, so that an earlier failure is over: its callback."""
    from monitoring.alert_rules import TASK_FAILED

    with _quietly():
        dag_id = context["dag"].dag_id
        words = f"The run {context['run_id']} of {dag_id} has gone well."
        watch_of(load_settings()).report_over(TASK_FAILED, dag_id, words)


def note_no_release(context: Any) -> None:
    """A release has failed for good before its shadow began: the first task's callback."""
    from monitoring.alert_rules import RELEASE_NOT_BEGUN

    with _quietly():
        task = context["ti"]
        words = failed_words(context, task.task_id)
        watch_of(load_settings()).report(RELEASE_NOT_BEGUN, task.run_id, words)


def note_release_run_failure(context: Any) -> None:
    """A release's run has failed: its callback, for where no shadow began and no task could say so, as it was killed.

    Once a shadow has begun, the run's end is told as an abort, or by its settling.
    """
    from monitoring.alert_rules import RELEASE_NOT_BEGUN

    with _quietly():
        settings, run = load_settings(), context.get("dag_run")
        if run is not None and run.start_date and _has_begun_a_shadow(settings, run.start_date):
            return
        words = f"The run {context['run_id']} ended, and no shadow began in it: {run_reason(context)}."
        watch_of(settings).report(RELEASE_NOT_BEGUN, context["run_id"], words)


def note_no_promotion(context: Any) -> None:
    """A promotion has failed: the callback of its tasks, and of its run for where a killed one could not say so."""
    from monitoring.alert_rules import PROMOTION_FAILED

    with _quietly():
        why = context.get("exception") or run_reason(context, "no reason given")
        words = f"The run {context['run_id']} of {context['dag'].dag_id} failed: {why}"
        watch_of(load_settings()).report(PROMOTION_FAILED, context["run_id"], words)


def _has_begun_a_shadow(settings: Settings, since: datetime) -> bool:
    from creditrisk.release import ReleaseAction
    from creditrisk.release_ledger import ReleaseLedger
    from creditrisk.storage import Storage

    history = ReleaseLedger(Storage(settings.registry_root)).history()
    return any(record.action is ReleaseAction.CHALLENGE and record.at >= since for record in history)


@contextmanager
def _quietly() -> Iterator[None]:
    """Log what goes wrong inside, and go on: no task fails for what is told of it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  whatever it is, the task's own end is more important
        logger.error("The watch was not told: %s: %s", type(error).__name__, error)
