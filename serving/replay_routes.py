"""Making a decision again, asked by HTTP."""

from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from creditrisk.api_keys import Scope
from serving.bodies import AnswerBody, Refusal
from serving.http import GuardedRoute, answer, documented
from serving.replay_process import ReplayProcess
from serving.shipping import Shipping


class Differing(AnswerBody):
    """Something that the record has otherwise than the replay."""

    what: str = Field(examples=["probability"])
    recorded: Any = Field(examples=[0.0123])
    replayed: Any = Field(examples=[0.0124])


class NotComparable(AnswerBody):
    """A comparison that can no longer be made."""

    what: str = Field(examples=["features"])
    why: str = Field(examples=["snapshot 2020-12-31-ab12cd34ef56: removed by retention on 2026-01-04"])


class Replayed(AnswerBody):
    """A decision made again from what was kept, and held against its record."""

    decision_id: str = Field(examples=["019c0b5e-7e64-7cc1-9c4b-1d2a3b4c5d6e"])
    verdict: Literal["same", "differs", "not compared"] = Field(
        description="`same` only where everything could be compared and nothing differs"
    )
    compared: list[str] = Field(description="what was compared", examples=[["age", "probability"]])
    differences: list[Differing]
    not_compared: list[NotComparable]


def replay_routes(log: Shipping, process: ReplayProcess, timeout_seconds: float) -> APIRouter:
    """Making a decision again.

    Args:
        log: where decisions are.
        process: makes them again, beside this one.
        timeout_seconds: for an answer from Postgres.
    """
    routes = APIRouter(tags=["decisions"], route_class=GuardedRoute)

    @routes.post(
        "/decisions/{decision_id}/replay",
        **documented(Replayed, 422, 503, scope=Scope.READ, also={404: Refusal}),
    )
    async def replay(decision_id: UUID) -> Response:
        """Makes a decision again: its snapshot's features, its model versions, its release, its reasons.

        Takes seconds, one at a time a worker: it loads the versions afresh, those too that no longer serve.
        """
        return answer(await process.replay(await log.find(str(decision_id), timeout_seconds)))

    return routes
