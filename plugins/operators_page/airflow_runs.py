"""DAG runs and task states, from Airflow's own database, which its API server may ask. Nothing is changed here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import select
from sqlalchemy.orm import Session

OUR_DAGS = (
    "refresh_features", "train_model", "release_model", "promote_model", "roll_back_model", "abort_release", "monitor_model",
    "watch", "remove_expired",
)  # fmt: skip

_RED = ("failed", "upstream_failed")


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    by: str | None
    """Who triggered it; None for a scheduled one."""
    run_after: datetime
    started_at: datetime | None
    ended_at: datetime | None
    conf: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a run."""

    task_id: str
    state: str | None
    try_number: int
    max_tries: int
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RedTask:
    """A task that failed, with its run."""

    run: Run
    task: Task


def newest_run(session: Session, dag_id: str) -> Run | None:
    """The run of a DAG that was due last, or None."""
    row = session.scalar(
        select(DagRun)
        .where(DagRun.dag_id == dag_id)
        .order_by(DagRun.run_after.desc(), DagRun.id.desc())
        .limit(1)
    )
    return _run(row) if row else None


def run_of(session: Session, dag_id: str, run_id: str) -> Run | None:
    """One run."""
    row = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    return _run(row) if row else None


def tasks_of(session: Session, dag_id: str, run_id: str) -> list[Task]:
    """A run's tasks, as they started."""
    rows = session.execute(
        select(*_TASK)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        .order_by(TaskInstance.start_date.is_(None), TaskInstance.start_date, TaskInstance.task_id)
    )
    return [Task(*row) for row in rows]


def red_tasks(
    session: Session, since: datetime, dag_ids: Sequence[str] = OUR_DAGS, limit: int = 50
) -> list[RedTask]:
    """Tasks of our DAGs that failed, of runs due since a moment; newest first."""
    rows = session.execute(
        select(DagRun, *_TASK)
        .join(TaskInstance, (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id))
        .where(DagRun.dag_id.in_(dag_ids), DagRun.run_after >= since, TaskInstance.state.in_(_RED))
        .order_by(DagRun.run_after.desc(), TaskInstance.end_date)
        .limit(limit)
    )
    return [RedTask(_run(run), Task(*task)) for run, *task in rows]


def paused(session: Session, dag_ids: Sequence[str] = OUR_DAGS) -> dict[str, bool]:
    """Of those of our DAGs that Airflow knows: whether they are paused."""
    rows = session.execute(
        select(DagModel.dag_id, DagModel.is_paused).where(DagModel.dag_id.in_(dag_ids), ~DagModel.is_stale)
    )
    return {dag_id: bool(is_paused) for dag_id, is_paused in rows}


_TASK = (
    TaskInstance.task_id, TaskInstance.state, TaskInstance.try_number, TaskInstance.max_tries, TaskInstance.start_date,
    TaskInstance.end_date,
)  # fmt: skip


def _run(row: Any) -> Run:
    return Run(
        dag_id=row.dag_id,
        run_id=row.run_id,
        state=str(row.state),
        run_type=str(row.run_type),
        by=row.triggering_user_name,
        run_after=row.run_after,
        started_at=row.start_date,
        ended_at=row.end_date,
        conf=dict(row.conf or {}),
    )
