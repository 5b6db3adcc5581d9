"""What operators and load balancers ask."""

from typing import Any

from fastapi import APIRouter, Response

from serving.bodies import Alive, Readiness
from serving.health import Part, log_health, model_health, store_health
from serving.http import GuardedRoute, answer, documented
from serving.predictor import Predictor
from serving.refusals import RETRY_AFTER_SECONDS
from serving.shipping import Shipping


def operator_routes(predictor: Predictor, log: Shipping) -> APIRouter:
    """What operators and load balancers ask.

    Args:
        predictor: whose health it is.
        log: the decision log.
    """
    routes = APIRouter(tags=["operation"], route_class=GuardedRoute)

    @routes.head("/health/live", include_in_schema=False, **documented(Alive, scope=None))
    @routes.get("/health/live", **documented(Alive, scope=None))
    async def live() -> Response:
        """Answers while the process does."""
        return answer({"status": "live"})

    @routes.head("/health/ready", include_in_schema=False, **documented(Readiness, scope=None))
    @routes.get("/health/ready", **documented(Readiness, scope=None, also={503: Readiness}))
    async def ready() -> Response:
        """200 when decisions can be given, else 503 and what is missing."""
        parts = {
            "model": model_health(predictor.models),
            "store": await store_health(predictor.reader),
            "log": log_health(log),
        }
        missing = [name for name, part in parts.items() if not part.is_there]
        body = {"status": "not ready" if missing else "ready", "missing": missing}
        response = answer(
            body | {name: _health(part) for name, part in parts.items()}, 503 if missing else 200
        )
        if missing:
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response

    return routes


def _health(part: Part) -> dict[str, Any]:
    return {"ok": part.is_there and not part.problem, "serving": part.serving, "problem": part.problem}
