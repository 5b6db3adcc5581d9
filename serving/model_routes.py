"""Which model versions serve, and which served at a moment."""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator

from creditrisk.api_keys import Scope
from creditrisk.errors import ReleaseError
from creditrisk.release import release_time
from creditrisk.release_ledger import ReleaseLedger
from serving.bodies import Refusal, ReleaseThen, ServedVersion
from serving.challenger import Challenger
from serving.http import GuardedRoute, answer, documented
from serving.model_watch import ModelWatch

ServedOrReleased: Any = ServedVersion | ReleaseThen
_BARE_PLUS = re.compile(r" (?=\d\d:\d\d$)")


def model_routes(
    models: ModelWatch, ledger: ReleaseLedger, zone: tzinfo, provenance: Callable[[], dict[str, Any]]
) -> APIRouter:
    """Which model versions serve, and which served at a moment.

    Args:
        models: what serves in this process.
        ledger: the release records.
        zone: the market's time zone, which is that of a moment without one.
        provenance: the service's own ``code_version``, ``image`` and ``openapi_sha256``.
    """
    routes = APIRouter(tags=["operation"], route_class=GuardedRoute)

    def moment(text: object) -> object:
        """A moment from the query, in which an unescaped plus sign has become a space."""
        sent = str(text)
        try:
            return release_time(_BARE_PLUS.sub("+", sent) if "T" in sent else sent, zone)
        except ReleaseError as error:
            raise ValueError(str(error)) from None

    @routes.get("/model", **documented(ServedOrReleased, 422, 503, scope=Scope.READ, also={404: Refusal}))
    async def model(
        at: Annotated[
            datetime | None,
            BeforeValidator(moment),
            Query(
                description="a moment such as 2021-01-15T10:30:00Z, in the market's time zone unless it says"
                " another: answers with the release in force then"
            ),
        ] = None,
    ) -> Response:
        """The model version that serves in this process and its challenger; with `at`, what was released then."""
        return answer(_served(models, provenance()) if at is None else await _released(ledger, at))

    return routes


def _served(models: ModelWatch, provenance: dict[str, Any]) -> dict[str, Any]:
    served = models.serving()
    manifest = served.manifest
    return {
        "version": manifest.version,
        "release": served.record.number,
        "released_at": served.record.at,
        "since": served.since,
        "threshold": manifest.threshold,
        "training_snapshot": manifest.snapshot,
        "contract_fingerprint": manifest.contract_fingerprint,
        "challenger": _challenging(served.challenger, served.record.share) if served.challenger else None,
        **provenance,
        "problem": models.problem,
    }


def _challenging(challenger: Challenger, share: float) -> dict[str, Any]:
    loaded = challenger.loaded
    return {
        "version": challenger.version,
        "share": share,
        "is_scored": loaded is not None and challenger.problem is None,
        "threshold": loaded.manifest.threshold if loaded else None,
        "problem": challenger.problem,
    }


async def _released(ledger: ReleaseLedger, at: datetime) -> dict[str, Any]:
    record = await asyncio.to_thread(ledger.served_at, at)
    return {
        "at": at,
        "version": record.champion,
        "challenger": record.challenger,
        "share": record.share,
        "release": record.number,
        "action": record.action,
        "released_at": record.at,
        "by": record.by,
        "reason": record.reason,
    }
