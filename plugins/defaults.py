"""What every task of ours starts from; a task says where it differs."""

from datetime import timedelta
from typing import Any, Final

from plugins.watch_tasks import note_failure, note_run_failure, note_run_success, note_skip, note_success

OWNER: Final = "credit-risk"

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": OWNER,
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    "execution_timeout": timedelta(minutes=15),
}
"""Retries are for what passes by itself: a store or a disk that is away for a moment."""

WATCHED_ARGS: Final[dict[str, Any]] = DEFAULT_ARGS | {
    "on_failure_callback": note_failure,
    "on_success_callback": note_success,
    "on_skipped_callback": note_skip,
}
"""The same of tasks whose failure is alerted, until the same task has gone well or found nothing to do. The nightly run has its own notes."""

WATCHED_RUN: Final[dict[str, Any]] = {
    "on_failure_callback": note_run_failure,
    "on_success_callback": note_run_success,
}
"""The same of their runs: a task that is killed says nothing."""
