"""Who may see the page and who may act: Airflow's own permissions, and a guard against forged forms."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.auth.tokens import get_signing_key
from airflow.api_fastapi.core_api.security import requires_access_dag, requires_access_view
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException, Request
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

NIGHTLY = "refresh_features"
CONFIRM_SECONDS = 900
"""How long a confirmation page can be answered."""

MAY_LOOK = [
    Depends(requires_access_view(AccessView.WEBSITE)),
    Depends(requires_access_dag("GET", DagAccessEntity.RUN, NIGHTLY)),
]
"""For every route: people's decisions are shown to those who may use the UI and see the nightly's runs."""

_SALT = "creditrisk operators page: confirmed action"


def sees(dag_id: str) -> list[Any]:
    """For the routes of a view that is about a DAG: to those who may see its runs."""
    return [Depends(requires_access_dag("GET", DagAccessEntity.RUN, dag_id))]


def may_run(user: Any, dag_id: str) -> bool:
    """Whether Airflow lets a user trigger a DAG."""
    return _may("POST", DagAccessEntity.RUN, user, dag_id)


def may_see(user: Any, dag_id: str) -> bool:
    """Whether Airflow shows a user the runs of a DAG."""
    return _may("GET", DagAccessEntity.RUN, user, dag_id)


def may_read_logs(user: Any, dag_id: str) -> bool:
    """Whether Airflow shows a user the logs of a DAG's tasks."""
    return _may("GET", DagAccessEntity.TASK_LOGS, user, dag_id)


def _may(method: ResourceMethod, entity: DagAccessEntity, user: Any, dag_id: str) -> bool:
    return bool(
        get_auth_manager().is_authorized_dag(
            method=method,
            access_entity=entity,
            details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
            user=user,
        )
    )


def sealed(user: str, action: str, form: Mapping[str, Any], says: Sequence[str]) -> str:
    """A token that says: this user was shown that this action with this form will do this."""
    return str(_serializer().dumps([user, action, _digest(form), _digest(says)]))


def require_sealed(token: str, user: str, action: str, form: Mapping[str, Any], says: Sequence[str]) -> str:
    """The id of the one run that a confirmation is good for, where it is this user's, not old, and would still do the same.

    Airflow has no two runs of one id, so a form that is sent again, or twice at once, is refused by that.

    The UI's cookie is SameSite=Lax, so another site's form comes without it; a page on another port of this
    host, or a sub-domain, is the same site: hence the token, which such a page cannot read.

    Raises:
        HTTPException: 403: it is not; 409: somebody else was faster, and it would do something else.
    """
    try:
        said, asked_at = _serializer().loads(token, max_age=CONFIRM_SECONDS, return_timestamp=True)
    except SignatureExpired:
        raise HTTPException(403, "The question was asked too long ago: ask again, then confirm.") from None
    except BadSignature:
        raise HTTPException(403, "This was not confirmed on the page that says what it does.") from None
    if said[:3] != [user, action, _digest(form)]:
        raise HTTPException(403, "What was confirmed is something else: ask again, then confirm.")
    if said[3:] != [_digest(says)]:
        raise HTTPException(
            409, "It would do something else by now than what was confirmed: look again, then confirm."
        )
    # Of what the token says: one and the same can be written with other letters.
    return f"operators_page__{asked_at:%Y-%m-%dT%H:%M:%S}_{_digest([*said, str(asked_at)])[:8]}"


def require_same_origin(request: Request) -> None:
    """Return unless the browser says that another site's page sent the form.

    Raises:
        HTTPException: 403: it does.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This form was sent from another site.")


def _serializer() -> URLSafeTimedSerializer:
    """By the key that Airflow signs its logins with, which all its API servers share."""
    return URLSafeTimedSerializer(get_signing_key("api_auth", "jwt_secret"), salt=_SALT)


def _digest(shown: Mapping[str, Any] | Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
