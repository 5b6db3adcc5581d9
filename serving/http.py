"""How a route reads what was sent, writes its answer, and shows in ``/docs``.

Answers are written straight to bytes: FastAPI's own way through a response model takes longer than the lookup
and the scoring together. The models in ``serving.bodies`` document them, and the tests hold one to the other.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from serving.bodies import Refusal, Sent, parsed
from serving.refusals import BodyIncomplete, BodyTooLarge

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


def answer(body: object, status: int = 200) -> Response:
    """A body as JSON."""
    return Response(orjson.dumps(body), status, media_type="application/json")


def documented(
    answered: type,
    *refusals: int,
    also: Mapping[int, type] | None = None,
    sent: type[BaseModel] | None = None,
) -> dict[str, Any]:
    """How a route that reads and writes bytes itself appears in ``/docs``."""
    responses: dict[int, dict[str, Any]] = {200: {"model": answered, "description": "the answer"}}
    responses |= {status: {"model": Refusal, "description": _REASONS[status]} for status in refusals}
    responses |= {status: {"model": body} for status, body in (also or {}).items()}
    route: dict[str, Any] = {"responses": responses, "response_class": Response}
    if sent:
        content = {"application/json": {"schema": sent.model_json_schema()}}
        route["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return route
