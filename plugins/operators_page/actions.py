"""Actions: what would happen is said first and confirmed, then a DAG of ours is triggered, by Airflow's own rules.

Nothing is done here itself. Each of an action's pages, the questions too, asks Airflow whether the user may trigger its DAG.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from creditrisk.release import ReleaseRecord
from plugins.operators_page.access import may_see, require_same_origin, require_sealed, sealed
from plugins.operators_page.action_forms import ACTIONS, Action
from plugins.operators_page.airflow_runs import OUR_DAGS, newest_run, paused, run_of, tasks_of
from plugins.operators_page.readings import Readings, ReadingsDep
from plugins.operators_page.registry_reads import releases, unservable
from plugins.operators_page.rendering import Page, PageDep
from plugins.operators_page.triggering import trigger

router = APIRouter()


def ask(action: Action, request: Request, page: Page) -> HTMLResponse:
    """The form of an action, filled in from the address."""
    history = releases(page.settings)
    form = action.filled(action.read(request.query_params), history)
    return page.render(
        "act.html",
        view=action.view,
        action=action,
        form=form,
        problem=action.impossible(history),
        says=[],
        problems={},
        token=None,
    )


def confirm(
    action: Action, request: Request, page: Page, session: Session, readings: Readings
) -> HTMLResponse:
    """What the action will do, to be confirmed; or what is wrong with its form."""
    history = releases(page.settings)
    form = action.read(request.query_params)
    problems = action.problems(form)
    impossible = action.impossible(history)
    says: list[str] = []
    token = None
    if not problems and not impossible:
        says = _says(action, form, history, page, readings)
        token = sealed(page.user_name, action.name, form, says)
        says = says + _waits(session, action.dag_id)
    return page.render(
        "act.html",
        view=action.view,
        status=400 if problems else 200,
        action=action,
        form=form,
        problem=impossible,
        says=says,
        problems=problems,
        token=token,
    )


def _says(
    action: Action, form: Mapping[str, str], history: Sequence[ReleaseRecord], page: Page, readings: Readings
) -> list[str]:
    """What the action would do now."""
    if action.serves:
        problem = unservable(page.settings, form[action.serves])
        if problem:
            return [f"The run will refuse, and nothing will change: {problem}"]
    served = readings.served()
    return action.says(form, history, served.snapshot if served else None)


async def _posted(request: Request) -> Mapping[str, Any]:
    return dict(await request.form())


def do(
    action: Action,
    request: Request,
    page: Page,
    session: Session,
    readings: Readings,
    posted: Mapping[str, Any],
) -> RedirectResponse:
    """Trigger the action's DAG with a form that was confirmed, and lead to where its run can be watched.

    Raises:
        HTTPException: it was not confirmed by this user, has been done already, would do something else by now, or
            Airflow refuses it.
    """
    require_same_origin(request)
    form = action.read(posted)
    problems = action.problems(form)
    if problems:
        raise HTTPException(400, "; ".join(problems.values()))
    says = _says(action, form, releases(page.settings), page, readings)
    run_id = require_sealed(str(posted.get("token", "")), page.user_name, action.name, form, says)
    trigger(session, request, page.user, action.dag_id, run_id, action.conf(form))
    return RedirectResponse(page.url("act/done", dag_id=action.dag_id, run_id=run_id), status_code=303)


def _waits(session: Session, dag_id: str, run_id: str | None = None) -> list[str]:
    """Why a run, another one or that of an id, does not begin at once."""
    known = paused(session, [dag_id])
    if dag_id not in known:
        return [f"Airflow does not know the DAG {dag_id} yet: it will refuse."]
    said = [f"The DAG {dag_id} is paused: the run waits until somebody unpauses it."] if known[dag_id] else []
    newest = newest_run(session, dag_id)
    if newest and newest.run_id != run_id and newest.state in ("queued", "running"):
        said.append(f"A run of {dag_id} is under way: this one begins after it.")
    return said


def _register(action: Action) -> None:
    guard = [Depends(requires_access_dag("POST", DagAccessEntity.RUN, action.dag_id))]

    def asked(request: Request, page: PageDep) -> HTMLResponse:
        return ask(action, request, page)

    def confirmed(
        request: Request, page: PageDep, session: SessionDep, readings: ReadingsDep
    ) -> HTMLResponse:
        return confirm(action, request, page, session, readings)

    def done(
        request: Request,
        page: PageDep,
        session: SessionDep,
        readings: ReadingsDep,
        posted: Mapping[str, Any] = Depends(_posted),
    ) -> RedirectResponse:
        return do(action, request, page, session, readings, posted)

    router.add_api_route(
        f"/act/{action.name}", asked, methods=["GET"], dependencies=guard, response_model=None
    )
    router.add_api_route(
        f"/act/{action.name}/confirm", confirmed, methods=["GET"], dependencies=guard, response_model=None
    )
    router.add_api_route(
        f"/act/{action.name}", done, methods=["POST"], dependencies=guard, response_model=None
    )


for _action in ACTIONS:
    _register(_action)


@router.get("/act/done")
def watch(page: PageDep, session: SessionDep, dag_id: str, run_id: str) -> HTMLResponse:
    """How the run that was triggered goes."""
    run = run_of(session, dag_id, run_id) if dag_id in OUR_DAGS and may_see(page.user, dag_id) else None
    if run is None:
        raise HTTPException(404, f"run {run_id} of {dag_id}: Airflow knows no such run of ours")
    history: Sequence[ReleaseRecord] = releases(page.settings)
    return page.render(
        "act_done.html",
        view="now",
        run=run,
        tasks=tasks_of(session, dag_id, run_id),
        waits=[] if run.started_at else _waits(session, dag_id, run_id),
        is_over=run.state not in ("queued", "running"),
        release=history[-1] if history else None,
    )
