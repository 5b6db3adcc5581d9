"""The routes: each reads its question, makes one call, writes its answer.

Answers are written straight to bytes: FastAPI's own way through a response model takes longer than the lookup
and the scoring together. The models in ``serving.bodies`` document them, and the tests hold one to the other.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from creditrisk.contract import FEATURE_NAMES
from serving.bodies import (
    Alive,
    CustomerFeatures,
    CustomerIdOrText,
    Decision,
    FirstClientsQuestion,
    Question,
    Readiness,
    Refusal,
    Sent,
    ServedVersion,
    parsed,
)
from serving.health import Part, model_health, store_health
from serving.predictor import Predictor
from serving.refusals import RETRY_AFTER_SECONDS, BodyIncomplete, BodyTooLarge

BODY_SECONDS = 5.0
"""How long a request's body may take to arrive: less than the time that a stop allows for requests to end."""

_REASONS = {
    404: "the published snapshot has no such customer",
    408: "the body did not arrive whole in time",
    413: "the body is over the limit",
    422: "a field is missing, unknown or not what it must be",
    503: "there is no model, no published snapshot, or no answer from the store in time; see Retry-After",
}


class DirectRoute(APIRoute):
    """A route whose function takes the request and gives the response, with nothing of FastAPI's in between.

    For the busiest routes: what FastAPI does around a function that declares no parameters takes as long as
    the lookup. The documentation is made as ever.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function itself."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


def decision_routes(predictor: Predictor, body_limit: int) -> APIRouter:
    """What clients ask.

    Args:
        predictor: decides.
        body_limit: the most bytes a request's body may have.
    """
    routes = APIRouter(tags=["decisions"])

    asked = APIRouter(route_class=DirectRoute)

    @asked.post("/predict", **_documented(Decision, 404, 408, 413, 422, 503, sent=Question))
    async def predict(request: Request) -> Response:
        """The decision on a customer's newest loan, and all that it rests on."""
        question = await _read(request, Question, body_limit)
        decided = await predictor.decide(question.id)
        return _answer(
            {
                "id": decided.customer,
                "decision": decided.decision,
                "probability": decided.probability,
                "threshold": decided.threshold,
                "features": dict(zip(FEATURE_NAMES, decided.features, strict=True)),
                "snapshot": decided.snapshot,
                "model_version": decided.model_version,
            }
        )

    @asked.post("/", **_documented(int, 404, 408, 413, 422, 503, sent=FirstClientsQuestion))
    async def predict_for_first_clients(request: Request) -> Response:
        """The decision alone, `0` or `1`: the call that the first clients were written for."""
        question = await _read(request, FirstClientsQuestion, body_limit)
        decided = await predictor.decide(question.id)
        return _answer(decided.decision)

    routes.include_router(asked)

    @routes.get("/features/{customer}", **_documented(CustomerFeatures, 404, 422, 503))
    async def features(customer: CustomerIdOrText) -> Response:
        """The published features of a customer."""
        found = await predictor.reader.customer(customer)
        return _answer(
            {
                "id": found.customer,
                "snapshot": found.snapshot,
                "newest_loan": found.newest_loan,
                "newest_loan_date": found.history.newest_loan_date,
                "features": dict(zip(FEATURE_NAMES, found.features, strict=True)),
            }
        )

    return routes


def operator_routes(predictor: Predictor, provenance: Callable[[], dict[str, Any]]) -> APIRouter:
    """What operators and load balancers ask.

    Args:
        predictor: whose health and model it is.
        provenance: the service's own ``code_version``, ``image`` and ``openapi_sha256``.
    """
    routes = APIRouter(tags=["operation"])

    @routes.get("/model", **_documented(ServedVersion, 503))
    async def model() -> Response:
        """The model version that serves."""
        served = predictor.models.serving()
        manifest = served.manifest
        return _answer(
            {
                "version": manifest.version,
                "release": served.record.number,
                "released_at": served.record.at,
                "since": served.since,
                "threshold": manifest.threshold,
                "training_snapshot": manifest.snapshot,
                "contract_fingerprint": manifest.contract_fingerprint,
                **provenance(),
                "problem": predictor.models.problem,
            }
        )

    @routes.head("/health/live", include_in_schema=False)
    @routes.get("/health/live", **_documented(Alive))
    async def live() -> Response:
        """Answers while the process does."""
        return _answer({"status": "live"})

    @routes.head("/health/ready", include_in_schema=False)
    @routes.get("/health/ready", **_documented(Readiness, also={503: Readiness}))
    async def ready() -> Response:
        """200 when decisions can be given, else 503 and what is missing."""
        parts = {"model": model_health(predictor.models), "store": await store_health(predictor.reader)}
        missing = [name for name, part in parts.items() if not part.is_there]
        body = {"status": "not ready" if missing else "ready", "missing": missing}
        answer = _answer(
            body | {name: _health(part) for name, part in parts.items()}, 503 if missing else 200
        )
        if missing:
            answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return answer

    return routes


def _health(part: Part) -> dict[str, Any]:
    return {"ok": part.is_there and not part.problem, "serving": part.serving, "problem": part.problem}


async def _read(request: Request, kind: type[Sent], limit: int) -> Sent:
    """The request's body, whatever its content type says.

    Raises:
        BodyTooLarge: it is over the limit; the rest of it is not read.
        BodyIncomplete: it is not there in time.
        ValidationError: it is not what it must be.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _received(request, limit)
    except TimeoutError:
        raise BodyIncomplete(BODY_SECONDS) from None
    return parsed(kind, body)


async def _received(request: Request, limit: int) -> bytes:
    body = b""
    has_more = True
    while has_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise BodyIncomplete(BODY_SECONDS)
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > limit:
            raise BodyTooLarge(limit)
    return body


def _answer(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def _documented(
    answered: type,
    *refusals: int,
    also: Mapping[int, type] | None = None,
    sent: type[BaseModel] | None = None,
) -> dict[str, Any]:
    """How a route that reads and writes bytes itself appears in ``/docs``."""
    responses: dict[int, dict[str, Any]] = {200: {"model": answered, "description": "the answer"}}
    responses |= {status: {"model": Refusal, "description": _REASONS[status]} for status in refusals}
    responses |= {status: {"model": body} for status, body in (also or {}).items()}
    documented: dict[str, Any] = {"responses": responses, "response_class": Response}
    if sent:
        content = {"application/json": {"schema": sent.model_json_schema()}}
        documented["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return documented
