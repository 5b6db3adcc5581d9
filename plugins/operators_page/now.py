"""Now: what is being served and for how long, how it goes this hour, and everything that is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from creditrisk.alert_store import Alert
from creditrisk.nights import Night, Outcome
from creditrisk.probe_store import Probe
from creditrisk.release import ReleaseRecord
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId, Verdict
from creditrisk.traffic import TrafficSum
from plugins.operators_page.formats import days, duration
from plugins.operators_page.readings import ReadingsDep
from plugins.operators_page.registry_reads import releases
from plugins.operators_page.rendering import PageDep
from plugins.operators_page.runbook import address_of
from plugins.operators_page.store_rows import Decided, Served

router = APIRouter()

COLOURS = {"critical": "bad", "warning": "warn", "notice": "quiet"}
"""Of alerts, by severity; a notice needs nobody, and leaves the page green."""


UNSEEN_AFTER = timedelta(hours=1)
"""The parts of the system are looked at every few minutes; after this long, somebody should ask why not."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Who decides."""

    champion: str
    since: datetime
    """Since when it has been the champion."""
    challenger: str | None
    share: float
    newest: ReleaseRecord


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the features come from."""

    snapshot: str
    switched_at: datetime
    age_days: int
    verdict: str
    words: str


@dataclass(frozen=True, slots=True)
class Window:
    """How the service went since a moment."""

    name: str
    traffic: TrafficSum | None
    decided: Decided | None

    @property
    def failed_share(self) -> float | None:
        """Of the answers, those that say that something broke."""
        return self.traffic.error_share if self.traffic else None

    @property
    def approval_rate(self) -> float | None:
        """Of the decisions, those that approve."""
        return self.decided.approved / self.decided.decisions if self.decided else None


@dataclass(frozen=True, slots=True)
class State:
    """All of it in one word and a few sentences."""

    kind: str
    word: str
    sentences: list[str]


def serving_of(history: Sequence[ReleaseRecord]) -> Serving | None:
    """Who decides, by the release records, oldest first; None before the first."""
    if not history:
        return None
    newest = history[-1]
    since = newest.at
    for record in reversed(history):
        if record.champion != newest.champion:
            break
        since = record.at
    return Serving(newest.champion, since, newest.challenger, newest.share, newest)


def snapshot_of(served: Served | None, today: date, settings: Settings) -> Snapshot | None:
    """The served snapshot with its age against the service's own limits; None where nothing is served."""
    if served is None:
        return None
    age = (today - SnapshotId.parse(served.snapshot).as_of).days
    warn, limit = settings.snapshot_age_warn_days, settings.snapshot_age_limit_days
    if limit and age > limit:
        verdict, words = Verdict.FAIL, f"older than {days(limit)}: the service is not ready with it"
    elif age > warn:
        verdict, words = Verdict.WARN, f"older than {days(warn)}"
    else:
        verdict, words = Verdict.PASS, f"the limit is {days(warn)}"
    return Snapshot(served.snapshot, served.switched_at, age, str(verdict), words)


def served_instead(night: Night | None, snapshot: Snapshot | None) -> Snapshot | None:
    """The served snapshot where it is not the one that the night has published; else None."""
    if night is None or night.outcome != Outcome.PUBLISHED or snapshot is None:
        return None
    return snapshot if snapshot.snapshot != night.snapshot else None


def state_of(
    serving: Serving | None,
    snapshot: Snapshot | None,
    alerts: Sequence[Alert],
    probes: Sequence[Probe],
    now: datetime,
) -> State:
    """The worst of what is known, in words. What nobody looks at any more is not known to be well."""
    red: list[str] = []
    amber: list[str] = []
    if serving is None:
        red.append("No model has been released: the service cannot decide.")
    if snapshot is None:
        red.append("No snapshot has been published: the service knows no customer.")
    elif snapshot.verdict != Verdict.PASS:
        said = f"The served snapshot is {days(snapshot.age_days)} old, {snapshot.words}."
        (red if snapshot.verdict == Verdict.FAIL else amber).append(said)
    for alert in alerts:
        if alert.ended_at is None and COLOURS.get(alert.severity) != "quiet":
            (red if COLOURS.get(alert.severity) == "bad" else amber).append(f"Alert: {alert.words}")
    for probe in probes:
        if probe.verdict in (Verdict.FAIL, Verdict.WARN):
            said = f"{probe.name}: {probe.words}"
            (red if probe.verdict == Verdict.FAIL else amber).append(said)
    newest = max((probe.seen_at for probe in probes), default=None)
    if newest and now - newest > UNSEEN_AFTER:
        amber.append(
            f"Nobody has looked at the parts of the system for {duration((now - newest).total_seconds())}."
        )
    if red:
        return State("bad", "Red: look at once", red + amber)
    if amber:
        return State("warn", "Amber: look today", amber)
    if newest is None:
        return State(
            "quiet", "Nothing is known to be wrong, but the parts of the system have not been looked at", []
        )
    return State("good", "Green: nothing is known to be wrong", [])


@router.get("/now")
def show(page: PageDep, readings: ReadingsDep) -> HTMLResponse:
    """The view."""
    hour, day = page.now - timedelta(hours=1), page.now - timedelta(days=1)
    serving = serving_of(releases(page.settings))
    snapshot = snapshot_of(readings.served(), page.now.astimezone(page.settings.zone).date(), page.settings)
    told, probes = readings.alerts(page.now - timedelta(days=7)), readings.probes()
    night = next(iter(readings.nights(1)), None)
    return page.render(
        "now.html",
        view="now",
        colours=COLOURS,
        runbook=address_of,
        state=state_of(serving, snapshot, [one.alert for one in told], probes, page.now),
        serving=serving,
        snapshot=snapshot,
        windows=[
            Window(name, readings.traffic(since, page.now), readings.decided(since, page.now))
            for name, since in (("the last hour", hour), ("the last day", day))
        ],
        open_alerts=[one for one in told if one.alert.ended_at is None],
        ended_alerts=[one for one in told if one.alert.ended_at],
        probes=probes,
        night=night,
        instead=served_instead(night, snapshot),
    )
