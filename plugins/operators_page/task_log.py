"""The last words of a task's log: what an operator would scroll down to."""

from collections import deque
from collections.abc import Iterable
from functools import cache
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.utils.log.log_reader import TaskLogReader
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from creditrisk.errors import CreditRiskError

LINES = 12
_SOURCES = "::group::Log message source details"
_LONGEST = 400


def last_words(session: Session, dag_id: str, run_id: str, task_id: str) -> list[str]:
    """What :func:`words_of` a task's newest try says, oldest first; of the try before where that ended without a word."""
    found = session.scalar(
        select(TaskInstance)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
        .options(joinedload(TaskInstance.dag_run))
        .order_by(TaskInstance.map_index)
        .limit(1)
    )
    if found is None or not found.try_number:
        return []
    try:
        words = _words_of_try(found, found.try_number)
        if not words and found.try_number > 1:
            words = _words_of_try(found, found.try_number - 1)
            words = [f"Try {found.try_number} ended without a word. Try {found.try_number - 1} said:", *words]
    except Exception as error:  # noqa: BLE001  logs are kept by whatever handler the deployment has
        return [f"The log cannot be read from here: {type(error).__name__}"]
    return words


def _words_of_try(task: TaskInstance, number: int) -> list[str]:
    messages, _ = TaskLogReader().read_log_chunks(task, number, {"download_logs": True})
    return words_of(messages)


def words_of(messages: Iterable[Any]) -> list[str]:
    """The errors among a log's structured messages, else its warnings, else its last lines.

    An error of ours counts as one however it was logged: a program that a task starts writes plain lines.
    """
    ours = tuple(f"{name}: " for name in _our_errors())
    found: dict[str, deque[str]] = {kind: deque(maxlen=LINES) for kind in ("error", "warning", "")}
    is_about_the_log = False
    for message in messages:
        event = str(getattr(message, "event", ""))
        if event.startswith(_SOURCES) or (is_about_the_log and event.startswith("::endgroup::")):
            is_about_the_log = event.startswith(_SOURCES)
        said = "" if is_about_the_log else _said(message)
        if said:
            level = str(getattr(message, "level", "") or "").lower().replace("critical", "error")
            kind = "error" if said.startswith(ours) else level if level in found else ""
            found[kind].append(said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…")
    return next((list(dict.fromkeys(lines)) for lines in found.values() if lines), [])


@cache
def _our_errors() -> tuple[str, ...]:
    """Names of all errors that the system raises on purpose."""
    waiting, names = [CreditRiskError], []
    while waiting:
        kind = waiting.pop()
        names.append(kind.__name__)
        waiting += kind.__subclasses__()
    return tuple(names)


def _said(message: Any) -> str:
    """The line, and of an exception its last one instead."""
    for detail in getattr(message, "error_detail", None) or ():
        kind, value = str(detail.get("exc_type", "")), str(detail.get("exc_value", ""))
        return f"{kind}: {value}".strip(": ")
    event = str(getattr(message, "event", message) or "").strip()
    return "" if event.startswith("::") else event
