"""What the tasks of ``refresh_features`` do: one call each, and a log that ends in words."""

import logging

from airflow.sdk.exceptions import AirflowSkipException

from creditrisk.settings import load_settings
from plugins.failures import told_plainly
from plugins.night_notes import note_begun_again, note_judged, note_published, note_skipped

logger = logging.getLogger(__name__)


def judge(snapshot: str, *, run_id: str) -> str:
    """Judge a run's snapshot and return its id.

    Raises:
        AirflowFailException: a check failed; the log lists every one.
    """
    from creditrisk.refresh import judge_snapshot

    note_begun_again(snapshot, run_id)
    try:
        with told_plainly():
            report = judge_snapshot(load_settings(), snapshot)
    finally:
        note_judged(snapshot, run_id)
    for check in report.checks:
        logger.info("%-10s  %s", check.verdict, check.sentence)
    logger.info("Snapshot %s: the quality gate says %s.", snapshot, report.verdict)
    return snapshot


def publish(snapshot: str, *, run_id: str, publish_older: bool) -> str:
    """Serve a run's snapshot and return its id.

    Raises:
        AirflowSkipException: a newer one is being served, and this one was not asked for in spite of that.
    """
    from creditrisk.errors import OlderThanServed
    from creditrisk.refresh import publish_snapshot

    note_begun_again(snapshot, run_id)
    with told_plainly():
        try:
            publication = publish_snapshot(load_settings(), snapshot, publish_older=publish_older)
        except OlderThanServed as older:
            logger.warning("Not published: %s", older)
            note_skipped(snapshot, run_id, str(older))
            raise AirflowSkipException(str(older)) from None
    note_published(snapshot, run_id, publication.sentence)
    logger.info("%s", publication.sentence)
    return snapshot
