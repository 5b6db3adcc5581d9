"""Decisions put into a market's log, by the role and the code that the service adds them with."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import uuid_utils

from creditrisk.decision_store import DecisionStore
from creditrisk.decisions import Arm, DecisionRecord, LoanAsked, PairedScore, json_of, to_line
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings

CHAMPION, CHALLENGER = "2020-12-30-aaaaaaaaaa", "2020-12-31-bbbbbbbbbb"
BEGAN = datetime(2021, 1, 10, 12, tzinfo=UTC)
APPROVED, DECLINED = 0.1, 0.3
THRESHOLD = 0.2


def paired(champion: float = APPROVED, challenger: float | None = APPROVED, **changes: Any) -> PairedScore:
    """Both versions' scores; the challenger's problem is said where it has none."""
    values: dict[str, Any] = {
        "champion_probability": champion,
        "champion_threshold": THRESHOLD,
        "champion_microseconds": 60,
        "challenger": CHALLENGER,
        "challenger_probability": challenger,
        "challenger_threshold": THRESHOLD,
        "challenger_microseconds": 70 if challenger is not None else None,
        "challenger_problem": None if challenger is not None else "IndexError: out of bounds",
    }
    return PairedScore(**{**values, **changes})


def decision(customer: int, scores: PairedScore | None = None, **changes: Any) -> DecisionRecord:
    """A decision by the champion, on somebody of 42 with a car, just after release 2 began."""
    probability = scores.champion_probability if scores else APPROVED
    values: dict[str, Any] = {
        "decision_id": str(uuid_utils.uuid7()),
        "decided_at": BEGAN,
        "customer": customer,
        "loan": LoanAsked.NEWEST,
        "as_of": None,
        "given": None,
        "snapshot": "2021-01-09-ab12cd34ef56",
        "features": (42, None, 3, 100.5, 1),
        "release": 2,
        "champion": CHAMPION,
        "model_version": CHAMPION,
        "arm": Arm.CHAMPION,
        "probability": probability,
        "threshold": THRESHOLD,
        "decision": int(probability >= THRESHOLD),
        "paired": scores,
        "reasons": None,
        "latency_microseconds": 800,
        "key_name": "front",
    }
    return DecisionRecord(**{**values, **changes})


def log(settings: Settings, records: Sequence[DecisionRecord]) -> None:
    """Add decisions to the market's log, which is made first where there is none."""
    OnlineStore(settings).migrate()
    assert settings.service_database_url is not None
    store = DecisionStore(settings.service_database_url.get_secret_value(), settings.database_schema)

    async def add() -> None:
        await store.add([json_of(to_line(record)) for record in records])
        store.close()

    asyncio.run(add())
