"""The page as an app: who may see it, what it is made of, and how its errors are told."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from creditrisk.errors import (
    CreditRiskError,
    DecisionUnknown,
    SettingsError,
    SnapshotMissing,
    StorageError,
    StoreError,
    StoreUnavailable,
    VersionMissing,
)
from plugins.operators_page import (
    actions,
    assets,
    decision,
    drift,
    last_nights,
    models,
    now,
    release,
    runbook,
    what_now,
)
from plugins.operators_page.access import MAY_LOOK
from plugins.operators_page.rendering import PageDep, error_page
from plugins.operators_page.warming import warmed

_STATUS: dict[type[CreditRiskError], int] = {
    DecisionUnknown: 404,
    VersionMissing: 404,
    SnapshotMissing: 404,
    StoreUnavailable: 503,
    StoreError: 503,
    StorageError: 503,
    SettingsError: 503,
}

_VIEW_OF_DAG = {
    "refresh_features": "nights",
    "train_model": "models",
    "promote_model": "release",
    "roll_back_model": "release",
    "release_model": "release",
    "abort_release": "release",
    "monitor_model": "drift",
}


def create_app() -> FastAPI:
    """The app, to be mounted in Airflow's. Nothing of it is anonymous: its own documentation routes are off."""
    app = FastAPI(
        title="Operators' page",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=MAY_LOOK,
        lifespan=warmed,
    )
    for view in (now, last_nights, models, release, drift, decision, what_now, runbook, actions, assets):
        app.include_router(view.router)
    app.add_api_route("/", _to_now, methods=["GET"])
    app.add_api_route("/dag", _to_view_of_dag, methods=["GET"])
    app.add_exception_handler(CreditRiskError, _tell_ours)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_exception_handler(RequestValidationError, _tell_typed)
    return app


def _to_now(page: PageDep) -> RedirectResponse:
    return RedirectResponse(page.url("now"), status_code=303)


def _to_view_of_dag(page: PageDep, dag_id: str = "") -> RedirectResponse:
    """The view that an operator of this DAG wants to see."""
    return RedirectResponse(page.url(_VIEW_OF_DAG.get(dag_id, "now")), status_code=303)


def _tell_ours(request: Request, error: Exception) -> HTMLResponse:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return error_page(request, status, str(error))


def _tell_http(request: Request, error: Exception) -> HTMLResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  it is registered for nothing else
    return error_page(request, error.status_code, str(error.detail), headers=error.headers)


def _tell_typed(request: Request, error: Exception) -> HTMLResponse:
    """What was typed into an address, or left out of it, in words."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  it is registered for nothing else
    said = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
    return error_page(request, 400, said)
