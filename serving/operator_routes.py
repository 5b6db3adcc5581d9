"""What operators and load balancers ask."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response

from creditrisk.api_keys import Scope
from serving.bodies import Alive, Readiness
from serving.health import Part
from serving.http import GuardedRoute, answer, documented
from serving.metrics import CONTENT_TYPE
from serving.refusals import RETRY_AFTER_SECONDS


def operator_routes(
    health: Callable[[], Awaitable[dict[str, Part]]], metrics: Callable[[Part], bytes]
) -> APIRouter:
    """What operators and load balancers ask.

    Args:
        health: each part's, asked for now.
        metrics: all figures as text, given the store's health.
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
        parts = await health()
        missing = [name for name, part in parts.items() if not part.is_there]
        body = {"status": "not ready" if missing else "ready", "missing": missing}
        response = answer(
            body | {name: _health(part) for name, part in parts.items()}, 503 if missing else 200
        )
        if missing:
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response

    @routes.get("/metrics", **documented(str, scope=Scope.METRICS))
    async def figures() -> Response:
        """The figures of all workers, for Prometheus."""
        store = (await health())["store"]
        return Response(metrics(store), media_type=CONTENT_TYPE)

    return routes


def _health(part: Part) -> dict[str, Any]:
    return {"ok": part.is_there and not part.problem, "serving": part.serving, "problem": part.problem}
