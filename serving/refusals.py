"""Errors as HTTP answers: one shape, a word for programs and a sentence for people, never a stack trace."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from creditrisk.errors import (
    CreditRiskError,
    CustomerUnknown,
    DecisionLogUnwritable,
    DecisionUnknown,
    NothingPublished,
    NothingReleased,
    NothingServed,
    QuestionRefused,
    ReleaseError,
    ReplayUnavailable,
    StorageError,
    StoreUnavailable,
    VersionUnservable,
)

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 1
LONGEST_VALUE = 100
"""Characters of a refused value, or of an unknown field's name, that are sent back."""

MOST_PROBLEMS = 20
"""Problems of one request that are named: its sender decides how many it has."""

CUSTOMER_UNKNOWN, INVALID_REQUEST = "customer_unknown", "invalid_request"
"""Words for programs, of what may be wrong with one customer of a batch."""

_KNOWN: tuple[tuple[type[CreditRiskError], int, str], ...] = (
    (CustomerUnknown, 404, CUSTOMER_UNKNOWN),
    (StoreUnavailable, 503, "store_unavailable"),
    (NothingPublished, 503, "nothing_published"),
    (NothingReleased, 503, "nothing_released"),
    (NothingServed, 404, "nothing_served"),
    (ReleaseError, 503, "releases_unreadable"),
    (StorageError, 503, "storage_unavailable"),
    (VersionUnservable, 503, "model_unavailable"),
    (DecisionLogUnwritable, 503, "decision_log_unwritable"),
    (DecisionUnknown, 404, "decision_unknown"),
    (ReplayUnavailable, 503, "replay_unavailable"),
)


class BodyTooLarge(Exception):
    """The request's body is over the limit, in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"body: more than {limit} bytes")


class BodyIncomplete(Exception):
    """The request's body did not arrive whole in time, in seconds, or its sender has gone."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"body: did not arrive whole within {seconds:g} s")


class KeyRefused(Exception):
    """The request has no good API key. Which of the two it is, nobody is told."""

    def __init__(self) -> None:
        super().__init__("X-API-Key: missing or not good: python -m creditrisk keys makes one")


class ScopeMissing(Exception):
    """The request's API key does not allow what it asks."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"X-API-Key: this needs a key of scope {scope}")


class TooManyRequests(Exception):
    """The request's API key has asked too often; ``seconds`` says when it may again."""

    def __init__(self, per_second: float, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"X-API-Key: more than {per_second:g} requests a second: ask again in {seconds} s")


class FieldRepeated(Exception):
    """A field of the request's body is there more than once."""

    def __init__(self, field: str) -> None:
        self.field, self.rule = field, "Field is there more than once"
        super().__init__(f"{field}: {self.rule}")


def answer_errors(app: FastAPI) -> None:
    """Give every error of an app its answer."""
    for error, status, word in _KNOWN:
        app.add_exception_handler(error, _answer_of(status, word))
    app.add_exception_handler(KeyRefused, _answer_of(401, "key_refused", {"WWW-Authenticate": "ApiKey"}))
    app.add_exception_handler(ScopeMissing, _answer_of(403, "scope_missing"))
    app.add_exception_handler(TooManyRequests, _too_many)
    app.add_exception_handler(BodyTooLarge, _answer_of(413, "body_too_large"))
    # The rest of the body may still come, and must not be read as the next request.
    app.add_exception_handler(BodyIncomplete, _answer_of(408, "body_incomplete", {"Connection": "close"}))
    app.add_exception_handler(FieldRepeated, _repeated)
    app.add_exception_handler(QuestionRefused, _question_refused)
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def refusal(
    status: int,
    error: str,
    message: str,
    problems: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that cannot be served; a 503 says when to try again."""
    body = {"error": error, "message": message, "problems": problems or []}
    extra = dict(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Response(orjson.dumps(body), status, extra, media_type="application/json")


def refused_id(customer: int, error: CustomerUnknown | QuestionRefused) -> dict[str, Any]:
    """What stands in a batch's answer in place of the decision on a customer."""
    word, problems = CUSTOMER_UNKNOWN, list[dict[str, Any]]()
    if isinstance(error, QuestionRefused):
        word, problems = INVALID_REQUEST, _problems_of(error)
    return {"id": customer, "error": word, "message": str(error), "problems": problems}


def _answer_of(status: int, word: str, headers: Mapping[str, str] | None = None) -> Any:
    async def answer(_: Request, error: Exception) -> Response:
        return refusal(status, word, str(error), headers=headers)

    return answer


async def _too_many(_: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyRequests)  # noqa: S101  what it is registered for
    return refusal(429, "too_many_requests", str(error), headers={"Retry-After": str(error.seconds)})


async def _invalid(_: Request, error: Exception) -> Response:
    """A 422 that names each field, its value and the rule it breaks."""
    found = error.errors() if isinstance(error, ValidationError | RequestValidationError) else []
    # FastAPI's own places begin with where it looked, such as "path", which may be a field's name too.
    first = 1 if isinstance(error, RequestValidationError) else 0
    problems = [_problem(one, one["loc"][first:]) for one in found[:MOST_PROBLEMS]]
    message = "; ".join(f"{one['field']}: {one['rule']}" for one in problems)
    if len(found) > MOST_PROBLEMS:
        message += f"; and {len(found) - MOST_PROBLEMS} more"
    return refusal(422, INVALID_REQUEST, message, problems)


async def _repeated(_: Request, error: Exception) -> Response:
    assert isinstance(error, FieldRepeated)  # noqa: S101  what it is registered for
    problem = {"field": error.field, "value": None, "rule": error.rule}
    return refusal(422, INVALID_REQUEST, str(error), [problem])


async def _question_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, QuestionRefused)  # noqa: S101  what it is registered for
    return refusal(422, INVALID_REQUEST, str(error), _problems_of(error))


def _problems_of(error: QuestionRefused) -> list[dict[str, Any]]:
    return [{"field": field, "value": value, "rule": rule} for field, value, rule in error.problems]


def _problem(found: Any, place: Sequence[str | int]) -> dict[str, Any]:
    is_whole_body = not place or found["type"] == "json_invalid"
    value = None if is_whole_body or found["type"] == "missing" else _shown(found["input"])
    field = "body" if is_whole_body else ".".join(str(part) for part in place)[:LONGEST_VALUE]
    return {"field": field, "value": value, "rule": found["msg"]}


def _shown(value: object) -> object:
    """A value as it was sent where it is short and plain, else the beginning of its text."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text.encode(errors="replace").decode()[:LONGEST_VALUE]


async def _http(_: Request, error: Exception) -> Response:
    """The framework's own refusals: no such path, another method."""
    if not isinstance(error, HTTPException):
        raise error
    word = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return refusal(error.status_code, word, str(error.detail), headers=error.headers)


async def _unexpected(_: Request, error: Exception) -> Response:
    logger.error("an unexpected %s", type(error).__name__)  # the server logs the traceback itself
    # The server drops the connection after a failure: the client is told, so that it does not ask on it again.
    headers = {"Connection": "close"}
    return refusal(500, "internal_error", "the service failed; the log says why", headers=headers)
