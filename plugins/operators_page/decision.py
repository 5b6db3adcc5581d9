"""A decision: its receipt, its reasons, the trail from raw loans to the score, and the same decision made again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse

from creditrisk.contract import FEATURES
from creditrisk.decisions import Arm, DecisionRecord, LoanAsked
from creditrisk.registry import ModelManifest
from plugins.operators_page.readings import ReadingsDep
from plugins.operators_page.registry_reads import releases, snapshot_of, version_of
from plugins.operators_page.rendering import PageDep
from plugins.operators_page.replaying import replay
from plugins.operators_page.trail import search

router = APIRouter()

MOST = 50
_LARGEST_CUSTOMER = 2**63 - 1
_ARMS = {
    Arm.CHAMPION: "the champion decided",
    Arm.CHALLENGER: "the challenger decided: the customer is of its share",
    Arm.FALLBACK: "the champion decided because the challenger failed",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody typed: a decision's id, a customer's, or neither."""

    decision_id: UUID | None = None
    customer: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """A feature that a decision rests on."""

    name: str
    meaning: str
    value: float | None


def asked_of(text: str) -> Asked:
    """Read what was typed; decision ids are UUIDs, customer ids whole numbers."""
    text = text.strip()
    if not text:
        return Asked()
    if text.isascii() and text.isdigit():
        customer = int(text) if len(text) <= 19 else _LARGEST_CUSTOMER + 1
        if customer <= _LARGEST_CUSTOMER:
            return Asked(customer=customer)
        return Asked(problem="That number is too large to be a customer's id.")
    try:
        return Asked(decision_id=UUID(text))
    except ValueError:
        return Asked(problem="That is neither a decision's id (a UUID) nor a customer's id (a whole number).")


def features_of(record: DecisionRecord) -> list[FeatureValue]:
    """The features that the decision rests on, in the model's order."""
    return [
        FeatureValue(feature.name, feature.meaning, value)
        for feature, value in zip(FEATURES, record.features, strict=True)
    ]


def question_of(record: DecisionRecord) -> str:
    """What was asked, in words."""
    if record.loan is LoanAsked.NEWEST:
        return "the customer's newest loan, as published"
    known = (
        "a customer whom the snapshot does not know, by what the client gave"
        if record.given
        else "the customer's history"
    )
    return f"the loan being applied for on {record.as_of}, from {known}"


def verdict_of(record: DecisionRecord) -> str:
    """What was decided and why, in a sentence."""
    side, said = ("at or above", "Declined") if record.decision else ("below", "Approved")
    return (
        f"{said}: the probability of being late, {record.probability:.6f}, is {side} the threshold"
        f" {record.threshold:.6f} of version {record.model_version}; {_ARMS[record.arm]}."
    )


def newest_first(records: Sequence[DecisionRecord]) -> list[DecisionRecord]:
    """Records by when they were made."""
    return sorted(records, key=lambda record: record.decided_at, reverse=True)


@router.get("/decision")
def show(
    page: PageDep,
    readings: ReadingsDep,
    typed: Annotated[str, Query(alias="id")] = "",
    again: bool = False,
    raw: bool = False,
) -> HTMLResponse:
    """The view: a form, a customer's decisions, or one decision; ``again`` replays it, ``raw`` searches landed files."""
    asked = asked_of(typed)
    if asked.customer is not None:
        records = newest_first(readings.decisions_of(asked.customer, MOST))
        return page.render(
            "decisions.html", view="decision", id=typed, records=records, customer=asked.customer, most=MOST
        )
    if asked.decision_id is None:
        return page.render(
            "decisions.html",
            view="decision",
            id=typed,
            records=None,
            problem=asked.problem,
            status=400 if asked.problem else 200,
        )
    record = readings.decision(asked.decision_id)
    if record is None:
        raise HTTPException(404, f"decision {asked.decision_id}: not in the log")
    return _one(page, record, again=again, raw=raw)


def _one(page: PageDep, record: DecisionRecord, *, again: bool, raw: bool) -> HTMLResponse:
    manifest = snapshot_of(page.settings, record.snapshot)
    version: ModelManifest | None = version_of(page.settings, record.model_version)
    return page.render(
        "decision.html",
        view="decision",
        record=record,
        sentence=verdict_of(record),
        question=question_of(record),
        features=features_of(record),
        manifest=manifest,
        version=version,
        release=next((one for one in releases(page.settings) if one.number == record.release), None),
        replayed=replay(UUID(record.decision_id)) if again else None,
        loans=search(page.settings, manifest, record.customer) if raw and manifest else None,
        is_raw=raw,
    )
