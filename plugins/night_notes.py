"""A night's notes on itself: what the tasks of ``refresh_features`` say of their run in the table of nights.

A note that cannot be written is logged, and that is all: no good night fails for it, and no bad one fails otherwise.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from creditrisk.settings import load_settings
from plugins.failures import run_reason
from plugins.run_date import run_date

logger = logging.getLogger(__name__)

DAG_ID = "refresh_features"


@contextmanager
def _quietly() -> Iterator[None]:
    """Log what goes wrong inside, and go on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  whatever it is, the night is more important than its row
        logger.warning("Not noted in the table of nights: %s: %s", type(error).__name__, error)


def note_begun(as_of: date, run_id: str) -> None:
    """A run for a date has begun."""
    from creditrisk.nights import begin_night

    with _quietly():
        begin_night(load_settings(), as_of, run_id)


def note_begun_again(snapshot: str, run_id: str) -> None:
    """A later task of a run begins: after the one before it, or because somebody cleared it."""
    from creditrisk.nights import begin_night

    with _quietly():
        begin_night(load_settings(), _date_of(snapshot), run_id, builds=False)


def note_judged(snapshot: str, run_id: str) -> None:
    """The quality gate has judged a run's snapshot, in whatever way."""
    from creditrisk.nights import judge_night

    with _quietly():
        judge_night(load_settings(), snapshot, run_id)


def note_published(snapshot: str, run_id: str, words: str) -> None:
    """A run's snapshot is being served."""
    from creditrisk.nights import Outcome, end_night

    with _quietly():
        end_night(load_settings(), _date_of(snapshot), run_id, Outcome.PUBLISHED, words, snapshot)


def note_skipped(snapshot: str, run_id: str, words: str) -> None:
    """A run's snapshot is not served, because a newer one is."""
    from creditrisk.nights import Outcome, end_night

    with _quietly():
        end_night(load_settings(), _date_of(snapshot), run_id, Outcome.SKIPPED, words, snapshot)


def note_task_failed(context: Any) -> None:
    """A task has failed for good: its callback."""
    from creditrisk.nights import Outcome, end_night

    with _quietly():
        settings = load_settings()
        run = context["dag_run"]
        as_of = run_date(context["params"]["as_of"], run.logical_date, run.run_after, settings.zone)
        task, error = context["ti"].task_id, context.get("exception")
        why = f"{task}: {error}" if error and str(error) else f"{task} failed"
        end_night(settings, as_of, run.run_id, Outcome.FAILED, why)


def note_run_failed(context: Any) -> None:
    """A run has failed: its callback, for where no task could say so, as it was killed or the run's time was up."""
    from creditrisk.nights import end_untold

    with _quietly():
        why = f"the run ended without a word of its task: {run_reason(context)}"
        end_untold(load_settings(), context["run_id"], why)


def note_ended_elsewhere(count_runs: Callable[..., int]) -> None:
    """End the rows of runs that Airflow has as ended while no task of theirs said so, as when a run is marked by hand.

    Args:
        count_runs: counts runs by DAG, ids and states: a running task's ``get_dr_count``. Of runs that Airflow does not
            know it counts none.
    """
    from creditrisk.nights import Outcome, end_untold, running_runs

    with _quietly():
        settings = load_settings()
        for run_id in running_runs(settings):
            for state, outcome in (("failed", Outcome.FAILED), ("success", Outcome.SKIPPED)):
                if count_runs(dag_id=DAG_ID, run_ids=[run_id], states=[state]):
                    why = f"Airflow has the run as {state}, and none of its tasks said so: it was marked by hand"
                    end_untold(settings, run_id, why, outcome)


def _date_of(snapshot: str) -> date:
    from creditrisk.snapshots import SnapshotId

    return SnapshotId.parse(snapshot).as_of
