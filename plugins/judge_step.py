"""The task of one step of a release: gives the challenger its share, then judges it at intervals."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from plugins.release_tasks import step_name, take_step

SHORTEST_RESCHEDULE = timedelta(seconds=15)
"""Shorter waits keep the worker slot: a task that is back sooner than the scheduler has heard of the end of its
process counts as failed there."""

PASSED_OVER = {"finding": "passed over"}
"""The return value of a step that the run's form leaves out."""


class JudgeStep(BaseSensorOperator):
    """Waits for the judge to let a step go on; between two looks it holds no worker slot, unless they follow closely.

    The return value is the verdict of the last look, with every number and limit, also where the step is aborted.
    """

    template_fields: Sequence[str] = ("version",)

    def __init__(
        self, *, version: str, share: float, interval: timedelta, timeout: timedelta, **arguments: Any
    ) -> None:
        """A step.

        Args:
            version: the challenger.
            share: of the customers; 0 is the shadow.
            interval: from one look to the next.
            timeout: after which it fails, whatever the judge says.
            arguments: of every task.
        """
        if interval >= SHORTEST_RESCHEDULE:
            arguments["mode"] = "reschedule"
        else:
            arguments["execution_timeout"] = timeout
        super().__init__(task_id=step_name(share), poke_interval=interval, timeout=timeout, **arguments)
        self.version = version
        self.share = share

    def poke(self, context: Any) -> PokeReturnValue:
        """Judge once."""
        form, run, task = context["params"], context["dag_run"], context["ti"]
        if self.share and percent(self.share) not in form["steps"]:
            return PokeReturnValue(is_done=True, xcom_value=PASSED_OVER)
        verdict = take_step(
            self.version,
            self.share,
            run.triggering_user_name,
            form["reason"],
            keep=lambda verdict: task.xcom_push("return_value", verdict),
        )
        return PokeReturnValue(is_done=verdict is not None, xcom_value=verdict)


def percent(share: float) -> str:
    """A step's share as the form has it, such as ``5%``."""
    return f"{share:.0%}"
