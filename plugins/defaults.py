"""What every task of ours starts from; a task says where it differs."""

from datetime import timedelta
from typing import Any, Final

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
