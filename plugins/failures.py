"""How our errors end a task: at once with one plain line, or with another try."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

logger = logging.getLogger(__name__)


def run_reason(context: Any, unknown: str = "failed") -> str:
    """Why a run has failed, in words, as its callback is told."""
    return str(context.get("reason") or unknown).replace("_", " ")


def failed_words(context: Any, what: str) -> str:
    """That a task has failed, and of what error, as its callback is told.

    Args:
        context: the callback's.
        what: names the task.
    """
    error = context.get("exception")
    return f"{what} of the run {context['ti'].run_id} failed{f': {error}' if error and str(error) else '.'}"


@contextmanager
def told_plainly() -> Iterator[None]:
    """End the task without retries on an error that another try cannot mend, its message the log's last word.

    What may pass by itself, such as a store or a lake that cannot be reached, is left to the task's retries.

    Raises:
        AirflowFailException: in place of any other :class:`creditrisk.errors.CreditRiskError`.
    """
    from creditrisk.errors import MAY_PASS, CreditRiskError

    try:
        yield
    except MAY_PASS:
        raise
    except CreditRiskError as error:
        logger.error("%s", error)  # no traceback: it would bury the operator's line
        raise AirflowFailException(str(error)) from None
