"""How a route reads what was sent, writes its answer, and shows in ``/docs``.

Answers are written straight to bytes: FastAPI's own way through a response model takes longer than the lookup
and the scoring together. The models in ``serving.bodies`` document them, and the tests hold one to the other.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.params import Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import BaseModel

from creditrisk.api_keys import ApiKey, Scope
from creditrisk.decisions import DecisionRecord
from serving.access import HEADER
from serving.bodies import Refusal, Sent, parsed
from serving.refusals import BodyIncomplete, BodyTooLarge

BODY_SECONDS = 5.0
"""How long a request's body may take to arrive: less than the time that a stop allows for requests to end."""

_KEY_SHOWN = APIKeyHeader(
    name=HEADER,
    scheme_name="API key",
    description="made by `python -m creditrisk keys add`",
    auto_error=False,
)
"""How the documentation says who may ask; the check itself is the guarded route's."""

KEY, DECISIONS = "creditrisk.api_key", "creditrisk.decisions"
"""Where a request's key, and what was decided for it, are kept in its ASGI scope."""

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_REASONS = {
    401: "there is no good key in `X-API-Key`",
    403: "the key does not allow this",
    404: "the published snapshot has no such customer",
    408: "the body did not arrive whole in time",
    413: "the body is over the limit",
    422: "a field is missing, unknown or not what it must be",
    429: "the key has asked too often; see Retry-After",
    503: "there is no model, no published snapshot, or no answer from the store in time; see Retry-After",
}


class GuardedRoute(APIRoute):
    """A route that looks at a request's key before anything else, as its documentation says."""

    def get_route_handler(self) -> _Handler:
        """The function behind the check."""
        handler, scope = self._handler(), self._scope()
        if scope is None:
            return handler

        async def guarded(request: Request) -> Response:
            request.scope[KEY] = request.scope["app"].state.access.require(request, scope)
            return await handler(request)

        return guarded

    def _handler(self) -> _Handler:
        return super().get_route_handler()

    def _scope(self) -> Scope | None:
        """What a key must allow here; None where no key is needed."""
        for one in self.dependencies:
            if isinstance(one, Security) and one.dependency is _KEY_SHOWN and one.scopes:
                return Scope(one.scopes[0])
        if self.openapi_extra is None or "security" not in self.openapi_extra:
            raise TypeError(f"{self.path}: a route says by documented(scope=…) what key it needs")
        return None


class DirectRoute(GuardedRoute):
    """A route whose function takes the request and gives the response, with nothing of FastAPI's in between.

    For the busiest routes: what FastAPI does around a function that declares no parameters takes as long as
    the lookup. The documentation is made as ever.
    """

    def _handler(self) -> _Handler:
        handler: _Handler = self.endpoint
        return handler


def key_of(request: Request) -> ApiKey | None:
    """The key of a request to a guarded route; None where none was needed."""
    key: ApiKey | None = request.scope.get(KEY)
    return key


def key_name(request: Request) -> str | None:
    """The name of a request's key; None where none was needed."""
    key = key_of(request)
    return key.name if key else None


def note(request: Request, decisions: Sequence[DecisionRecord]) -> None:
    """Say what was decided for a request, for the service's figures and its log."""
    request.scope[DECISIONS] = decisions


def charge(request: Request, requests: int) -> None:
    """Count a request as more than the one that it was let in as: its key waits for them afterwards."""
    request.scope["app"].state.access.charge(key_of(request), requests - 1)


async def read(request: Request, kind: type[Sent], limit: int) -> Sent:
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


def answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A body as JSON."""
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def documented(
    answered: type,
    *refusals: int,
    scope: Scope | None,
    also: Mapping[int, type] | None = None,
    sent: type[BaseModel] | None = None,
    examples: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """How a route that reads and writes bytes itself appears in ``/docs``, and which key it needs.

    Args:
        answered: the body of a 200.
        refusals: other statuses that it answers.
        scope: what the key must allow, which a guarded route sees to; None: it needs no key.
        also: bodies of other statuses, which are not refusals.
        sent: the request's body.
        examples: of the request's body, by what they show.
    """
    if scope is not None:
        refusals = (401, 403, 429, *refusals)
    responses: dict[int, dict[str, Any]] = {200: {"model": answered, "description": "the answer"}}
    responses |= {status: {"model": Refusal, "description": _REASONS[status]} for status in refusals}
    responses |= {status: {"model": body} for status, body in (also or {}).items()}
    extra: dict[str, Any] = {}
    shown = [Security(_KEY_SHOWN, scopes=[scope.value])] if scope else []
    if not shown:
        extra["security"] = []
    if sent:
        shown_bodies = {name: {"value": body} for name, body in (examples or {}).items()}
        content = {"application/json": {"schema": sent.model_json_schema(), "examples": shown_bodies}}
        extra["requestBody"] = {"required": True, "content": content}
    return {"responses": responses, "response_class": Response, "dependencies": shown, "openapi_extra": extra}
