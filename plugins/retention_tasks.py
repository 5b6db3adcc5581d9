"""What the tasks of ``remove_expired`` do: one call each, and a log that ends in words."""

import logging
from datetime import UTC, datetime

from airflow.sdk.exceptions import AirflowSkipException

from creditrisk.settings import load_settings
from plugins.failures import told_plainly

logger = logging.getLogger(__name__)


def list_expired() -> int:
    """Say what would go; how many things that is."""
    from creditrisk.removing import removal_plan

    settings = load_settings()
    with told_plainly():
        listed = removal_plan(settings, datetime.now(UTC))
    for line in listed.lines(settings.retention):
        logger.info("%s", line)
    logger.info("%s would go.", f"{len(listed.going):,}")
    return len(listed.going)


def remove(*, only_list: bool) -> int:
    """Remove what may go; how many things went.

    Raises:
        AirflowSkipException: the form asked for the list alone.
    """
    from creditrisk.removing import remove_expired

    if only_list:
        raise AirflowSkipException("only the list was asked for: nothing was removed")
    settings = load_settings()
    with told_plainly():
        done = remove_expired(settings, datetime.now(UTC))
    for entry in done.going:
        logger.info("removed %s %s: %s", entry.kind, entry.name, entry.why)
    logger.info(
        "%s removed, %s old enough and still needed.", f"{len(done.going):,}", f"{len(done.staying):,}"
    )
    return len(done.going)
