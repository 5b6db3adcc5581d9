"""Records of decisions for tests, and a way into the log that is the service's own."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import uuid_utils

from creditrisk.decision_store import DecisionStore
from creditrisk.decisions import Arm, DecisionRecord, LoanAsked, json_of, to_line
from creditrisk.settings import Settings


def decision_record(**changes: Any) -> DecisionRecord:
    """A decision on the newest loan of customer 7 by a champion alone, with some fields replaced."""
    version = changes.get("model_version", "2020-12-31-aaaaaaaaaa")
    values: dict[str, Any] = {
        "decision_id": str(uuid_utils.uuid7()),
        "decided_at": datetime(2021, 1, 1, 12, tzinfo=UTC),
        "customer": 7,
        "loan": LoanAsked.NEWEST,
        "as_of": None,
        "given": None,
        "snapshot": "2020-12-31-ab12cd34ef56",
        "features": (32, 5, 3, 233.5, 1),
        "release": 1,
        "champion": version,
        "model_version": version,
        "arm": Arm.CHAMPION,
        "probability": 0.25,
        "threshold": 0.5,
        "decision": 0,
        "paired": None,
        "reasons": None,
        "latency_microseconds": 800,
        "key_name": "a test",
    }
    return DecisionRecord(**values | changes)


def add_to_log(settings: Settings, records: Sequence[DecisionRecord]) -> None:
    """Add records to the market's log, whose schema must be there."""

    url = settings.service_database_url
    assert url is not None

    async def add() -> None:
        store = DecisionStore(url.get_secret_value(), settings.database_schema)
        try:
            await store.add([json_of(to_line(record)) for record in records])
        finally:
            store.close()

    asyncio.run(add())
