"""Triggering a DAG as Airflow's own API does it: its checks of the form, its run, its line in the audit log."""

import json
from functools import cache
from typing import Any

from airflow.api_fastapi.common.dagbag import create_dag_bag
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
from airflow.models.log import Log
from fastapi import HTTPException, Request
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

_NOTE = "Triggered from the operators' page."


def trigger(
    session: Session, request: Request, user: Any, dag_id: str, run_id: str, conf: dict[str, Any]
) -> None:
    """Make a new run, which waits for its turn.

    Whoever calls has asked Airflow whether the user may.

    Raises:
        HTTPException: 409: there is a run of this id already; else Airflow refuses: there is no such DAG, or a value of
            the form breaks its rule.
    """
    body = TriggerDAGRunPostBody(dag_run_id=run_id, logical_date=None, conf=conf, note=_NOTE)
    try:
        trigger_dag_run(dag_id, body, _dag_bag(), user, session, request)
        session.flush()
    except IntegrityError:
        session.rollback()
        raise HTTPException(
            409,
            f"This was confirmed already, and is done by the run {run_id} of {dag_id}: ask anew to do it again.",
        ) from None
    session.add(
        Log(
            event="trigger_dag_run",
            task_instance=None,
            owner=user.get_name(),
            owner_display_name=user.get_name(),
            extra=json.dumps({"conf": conf, "from": "operators page"}),
            dag_id=dag_id,
            run_id=run_id,
        )
    )


@cache
def _dag_bag() -> Any:
    """Airflow's cache of its DAGs; the app's own belongs to the app that this one is mounted in."""
    return create_dag_bag()
