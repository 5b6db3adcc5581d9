"""Release: the challenge that runs, each judged number against its limit over time, and what happens next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from creditrisk.look_store import Look
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.settings import CanarySettings
from plugins.operators_page.access import sees
from plugins.operators_page.airflow_runs import Run, newest_run
from plugins.operators_page.formats import duration, percent
from plugins.operators_page.plots import Figure, Series, lines
from plugins.operators_page.readings import ReadingsDep
from plugins.operators_page.registry_reads import releases
from plugins.operators_page.rendering import PageDep

router = APIRouter(dependencies=sees("release_model"))

HISTORY = 50
LOOKS = 120
_DRAWN = {
    "approval_shift": "Approval rate, challenger's less champion's",
    "flips": "Customers on whom the two decide differently",
    "problems": "Requests on which the challenger failed",
    "slow": "Slow scoring, challenger's share less champion's",
    "customers": "Customers whom both have scored",
    "score_shift": "Score distribution: population stability index",
}
_BOTH_SIDES = ("approval_shift",)
_COUNTS = ("customers", "score_shift")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge from its first release record to the one that ended it."""

    version: str
    champion: str
    steps: tuple[ReleaseRecord, ...]
    ending: ReleaseRecord | None
    """None while it runs."""

    @property
    def numbers(self) -> list[int]:
        """Of the records that began its steps."""
        return [record.number for record in self.steps]

    @property
    def outcome(self) -> str:
        """How it ended, or that it runs."""
        if self.ending is None:
            return "running"
        if self.ending.action is ReleaseAction.PROMOTE and self.ending.champion == self.version:
            return "promoted"
        return "aborted" if self.ending.action is ReleaseAction.ABORT else "overtaken"


def challenges_of(history: Sequence[ReleaseRecord]) -> list[Challenge]:
    """All challenges, the newest first; ``history`` is oldest first."""
    found: list[Challenge] = []
    steps: list[ReleaseRecord] = []
    for record in history:
        if steps and record.challenger != steps[0].challenger:
            found.append(_challenge(steps, record))
            steps = []
        if record.challenger:
            steps.append(record)
    if steps:
        found.append(_challenge(steps, None))
    return found[::-1]


def _challenge(steps: list[ReleaseRecord], ending: ReleaseRecord | None) -> Challenge:
    return Challenge(steps[0].challenger or "", steps[0].champion, tuple(steps), ending)


def next_of(
    challenge: Challenge, finding: str | None, limits: CanarySettings, now: datetime, run: Run | None
) -> list[str]:
    """What happens next in a challenge that runs, in sentences.

    Args:
        challenge: it.
        finding: of the newest look at its present step; None where there was none.
        limits: of the judge.
        now: the moment.
        run: the run of the DAG that takes it from step to step, while that runs.
    """
    if run is None:
        return [
            "No run of release_model judges this challenge or takes it further.",
            "It stays as it is until somebody else gives it a greater share, aborts it, promotes the challenger, or rolls back.",
        ]
    step = challenge.steps[-1]
    greater = [share for share in limits.steps if share > step.share]
    if greater:
        then = f"the challenger's share grows to {percent(greater[0], 0)}"
    elif limits.requires_approval:
        then = f"an operator is asked to approve, within {duration(limits.approval_seconds)}, before it decides on everybody"
    else:
        then = "the challenger decides on everybody"
    earliest = step.at + timedelta(seconds=limits.step_least_seconds)
    latest = step.at + timedelta(seconds=limits.step_longest_seconds)
    said = [f"The judge looks every {duration(limits.judge_interval_seconds)}."]
    if finding == "go on":
        said.append(f"It said go on: {then}.")
    elif now < earliest:
        said.append(
            f"The step goes on for {duration((earliest - now).total_seconds())} at least; then, if every check says go on, {then}."
        )
    else:
        said.append(f"When every check says go on, {then}.")
    said.append(
        f"If a check says abort, or nothing is decided in {duration((latest - now).total_seconds())}, it is aborted and the champion decides on everybody."
    )
    return said


def figures_of(looks: Sequence[Look]) -> list[tuple[str, Figure]]:
    """A caption and a plot for each number that was judged at two looks or more, oldest first, with its limit."""
    made = []
    for name, words in _DRAWN.items():
        found = [
            (look.judged_at, check)
            for look in looks
            for check in look.verdict["checks"]
            if check["name"] == name
        ]
        known = [(at, check) for at, check in found if check["value"] is not None]
        if len(known) < 2:
            continue
        series = Series(
            words,
            [at for at, _ in known],
            [check["value"] for _, check in known],
            low=[check["low"] for _, check in known],
            high=[check["high"] for _, check in known],
        )
        limit = known[-1][1]["limit"]
        limits = [("limit", limit)] if limit is not None else []
        if name == "customers":
            limits = [("asked for", limit)]
        elif name in _BOTH_SIDES and limit is not None:
            limits = [("limit ±", limit), ("", -limit)]
        made.append(
            (
                words,
                lines(
                    [series],
                    limits=limits,
                    height=230,
                    share=name not in _COUNTS,
                    from_zero=name not in _BOTH_SIDES,
                ),
            )
        )
    return made


def is_running(run: Run | None, version: str) -> bool:
    """Whether a run of ``release_model`` is under way for a version."""
    return (
        run is not None
        and run.state in ("queued", "running")
        and str(run.conf.get("version", "")).strip() == version
    )


@router.get("/release")
def show(
    page: PageDep, readings: ReadingsDep, session: SessionDep, challenge: int | None = None
) -> HTMLResponse:
    """The view: the challenge that runs, else the last one, or the one whose first record has a number."""
    history = releases(page.settings)
    challenges = challenges_of(history)
    chosen = next((one for one in challenges if challenge in (None, one.numbers[0])), None)
    if challenge is not None and chosen is None:
        raise HTTPException(404, f"challenge {challenge}: no challenge began with this release record")
    looks = readings.looks(chosen.numbers, LOOKS) if chosen else []
    newest = looks[-1] if looks else None
    run = newest_run(session, "release_model")
    active = run if chosen and is_running(run, chosen.version) else None
    finding = newest.finding if newest and chosen and newest.release == chosen.numbers[-1] else None
    return page.render(
        "release.html",
        view="release",
        chosen=chosen,
        verdict=newest.verdict if newest else None,
        checks=_worst_first(newest.verdict["checks"]) if newest else [],
        figures=figures_of(looks),
        looks=len(looks),
        next=next_of(chosen, finding, page.settings.canary, page.now, active)
        if chosen and chosen.ending is None
        else [],
        run=active,
        challenges=challenges[:HISTORY],
        history=history[::-1][:HISTORY],
    )


def _worst_first(checks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    order = ("abort", "wait", "go on", "not judged")
    return sorted(checks, key=lambda check: order.index(check["finding"]))
