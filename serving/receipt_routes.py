"""What is kept of a decision."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from creditrisk.api_keys import Scope
from creditrisk.decisions import DecisionRecord
from serving.bodies import AnswerBody, Refusal
from serving.decision_bodies import Decision, decision_body
from serving.http import GuardedRoute, answer, documented
from serving.shipping import Shipping


class Given(AnswerBody):
    """What the request said of a customer whom the snapshot did not know."""

    birthday: date
    job_start_date: date | None
    flag_own_car: Literal[0, 1]


class Paired(AnswerBody):
    """What both released versions said of the same features."""

    champion_probability: float
    champion_threshold: float
    champion_microseconds: int | None = Field(
        description="that the scoring took; null where both were scored at once"
    )
    challenger: str = Field(description="the version", examples=["2021-01-31-89abcdef01"])
    challenger_probability: float | None = Field(description="null where the challenger failed")
    challenger_threshold: float | None
    challenger_microseconds: int | None
    challenger_problem: str | None = Field(description="why the challenger said nothing")


class Receipt(Decision):
    """A decision as it was logged before it was answered."""

    decided_at: datetime
    given: Given | None = Field(description="null for a customer whom the snapshot knows")
    release: int = Field(description="number of the release record that was in force")
    champion: str = Field(description="the release's champion", examples=["2020-12-31-0123456789"])
    arm: Literal["champion", "challenger", "fallback"] = Field(
        description="who decided; fallback: the champion, because the challenger failed"
    )
    paired: Paired | None = Field(description="null where there was no challenger")
    latency_microseconds: int = Field(description="from the request's arrival to the log")
    key_name: str | None = Field(description="of the API key that asked; null where none was needed")


def receipt_routes(log: Shipping, timeout_seconds: float) -> APIRouter:
    """What is kept of a decision.

    Args:
        log: where decisions are.
        timeout_seconds: for an answer from Postgres.
    """
    routes = APIRouter(tags=["decisions"], route_class=GuardedRoute)

    @routes.get(
        "/decisions/{decision_id}",
        **documented(Receipt, 422, 503, scope=Scope.READ, also={404: Refusal}),
    )
    async def receipt(decision_id: UUID) -> Response:
        """The receipt of a decision: what was asked, what it rests on, and what both versions said."""
        return answer(receipt_body(await log.find(str(decision_id), timeout_seconds)))

    return routes


def receipt_body(record: DecisionRecord) -> dict[str, Any]:
    """A record as a :class:`Receipt`."""
    given, paired = record.given, record.paired
    return {
        **decision_body(record),
        "decided_at": record.decided_at,
        "given": given and given._asdict(),
        "release": record.release,
        "champion": record.champion,
        "arm": record.arm,
        "paired": paired and paired._asdict(),
        "latency_microseconds": record.latency_microseconds,
        "key_name": record.key_name,
    }
