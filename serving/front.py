"""What every request passes: it is timed, counted and logged, and gets an id to find it by.

The busiest routes are answered from here, by their own functions: what Starlette and FastAPI do on the way to
them (exit stacks, one regular expression a route, three wrappers of ``send``) takes longer than the lookup.
"""

import re
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import uuid_utils
from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.figures import OTHER, Figures
from serving.http import DECISIONS, KEY, DirectRoute
from serving.logs import RequestLog

_REQUEST_ID = b"x-request-id"
_GIVEN_ID = re.compile(rb"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
"""A client's own id is taken where it is a UUID: it is logged, so it must not be a customer's."""


class _Direct(NamedTuple):
    answer: Callable[[Request], Awaitable[Response]]
    name: str
    counted: int


class Front:
    """The outermost of our layers, as ASGI middleware."""

    def __init__(self, app: ASGIApp, figures: Figures, log: RequestLog) -> None:
        """Nothing has been asked yet.

        Args:
            app: all routes.
            figures: where requests are counted.
            log: where they are written.
        """
        self._app = app
        self._figures = figures
        self._log = log
        self._direct: dict[tuple[str, str], _Direct] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter_ns()
        direct = self._routes(scope).get((scope["path"], scope["method"]))
        request_id = _request_id(scope)
        status = 500
        try:
            if direct:
                request = Request(scope, receive, send)
                response = await _answered(direct, request)
                status = response.status_code
                response.raw_headers.append((_REQUEST_ID, request_id))
                await response(scope, receive, send)
            else:

                async def send_with_id(message: Message) -> None:
                    nonlocal status
                    if message["type"] == "http.response.start":
                        status = message["status"]
                        message["headers"] = [*message["headers"], (_REQUEST_ID, request_id)]
                    await send(message)

                await self._app(scope, receive, send_with_id)
        finally:
            self._note(scope, direct, status, (time.perf_counter_ns() - began) / 1e9, request_id)

    def _note(
        self, scope: Scope, direct: _Direct | None, status: int, seconds: float, request_id: bytes
    ) -> None:
        figures = self._figures
        if direct:
            name, counted = direct.name, direct.counted
        else:
            name = _name(scope)
            counted = figures.route(name)
        figures.answered(counted, status, seconds)
        decisions = scope.get(DECISIONS, ())
        for record in decisions:
            figures.decided(record)
        key = scope.get(KEY)
        self._log.answered(name, status, seconds, request_id, key.name if key else None, decisions)

    def _routes(self, scope: Scope) -> dict[tuple[str, str], _Direct]:
        """The routes that are answered from here, by path and method; all are named at the first request."""
        if self._direct is None:
            self._direct = {}
            for route in scope["app"].routes:
                for method in sorted(getattr(route, "methods", None) or ()):
                    name = f"{method} {route.path}"
                    counted = self._figures.route(name)
                    if isinstance(route, DirectRoute):
                        self._direct[route.path, method] = _Direct(route.get_route_handler(), name, counted)
            self._figures.route(OTHER)
        return self._direct


async def _answered(direct: _Direct, request: Request) -> Response:
    """The route's answer, or the one that the app has for its error."""
    try:
        return await direct.answer(request)
    except Exception as error:
        handlers = request.scope["app"].exception_handlers
        for kind in type(error).__mro__:
            if kind is Exception:
                break  # the server's own layer answers what nobody expected
            if kind in handlers:
                response: Response = await handlers[kind](request, error)
                return response
        raise


def _name(scope: Scope) -> str:
    route, method = scope.get("route"), scope["method"]
    if route is None or method not in (getattr(route, "methods", None) or ()):
        return OTHER
    return f"{method} {route.path}"


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == _REQUEST_ID and _GIVEN_ID.fullmatch(value):
            given: bytes = value
            return given
    return str(uuid_utils.uuid7()).encode()
