"""Looks at each part of the system: whether it answers, and what it says of itself. Each look ends within seconds."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import httpx

from creditrisk.errors import CreditRiskError
from creditrisk.probe_store import Look
from creditrisk.release import ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotCatalog, Verdict
from creditrisk.storage import Storage

POSTGRES, LAKE, REGISTRY, MLFLOW, MONITORING = "postgres", "lake", "registry", "mlflow", "monitoring"
SERVICE, SERVICE_MODEL, SPOOL = "service", "service's model", "decision log"
SERVICE_PARTS = {"model": SERVICE_MODEL, "store": "service's store", "log": SPOOL, "keys": "service's keys"}
"""Probes by the names of the parts in the service's readiness."""

AIRFLOW_PARTS = ("scheduler", "dag_processor", "triggerer")
"""As Airflow's own health names them; each is a probe ``airflow <part>``."""

PATIENCE = timedelta(seconds=10)
"""How long a part is waited for: one that is silent must not keep the others from being looked at, and told of."""

_SECONDS = PATIENCE.total_seconds()


def look_at_parts(settings: Settings, airflow_url: str | None) -> list[Look]:
    """A look at each part but Postgres, which whoever keeps the looks finds out about.

    Args:
        settings: of the market.
        airflow_url: of Airflow's API server; None where there is none to ask.
    """
    registry, release = _registry(settings)
    return [
        _lake(settings),
        registry,
        *_service(settings, release),
        *(_airflow(airflow_url) if airflow_url else ()),
        _mlflow(settings),
    ]


def monitoring_look(schedule: str, newest: date | None, yesterday: date, late_days: int) -> Look:
    """Whether the days are being measured.

    Args:
        schedule: when they are to be; empty where it is switched off.
        newest: the newest day that was measured, or None.
        yesterday: in the market.
        late_days: how far it may lie back from yesterday.
    """
    if not schedule:
        return Look(MONITORING, Verdict.NOT_JUDGED, "Monitoring is switched off.", is_gone=True)
    if newest is None:
        return Look(MONITORING, Verdict.NOT_JUDGED, "No day has been measured yet.")
    behind = (yesterday - newest).days
    verdict = Verdict.FAIL if behind >= late_days else Verdict.PASS
    return Look(MONITORING, verdict, f"The newest day that was measured is {newest}.")


def _lake(settings: Settings) -> Look:
    def newest() -> str:
        dates = SnapshotCatalog(Storage(settings.lake_root, patience=PATIENCE)).dates()
        return f"It answers: snapshots of {len(dates):,} {'date' if len(dates) == 1 else 'dates'}."

    return _asked(LAKE, newest)


def _registry(settings: Settings) -> tuple[Look, ReleaseRecord | None]:
    """The look, and the release in force as far as it is known."""
    release: ReleaseRecord | None = None

    def newest() -> str:
        nonlocal release
        release = ReleaseLedger(Storage(settings.registry_root, patience=PATIENCE)).newest()
        return f"It answers: release {release.number} is in force." if release else "Nothing is released yet."

    return _asked(REGISTRY, newest), release


def _asked(name: str, question: Callable[[], str]) -> Look:
    try:
        return Look(name, Verdict.PASS, question())
    except (CreditRiskError, OSError) as error:
        return Look(name, Verdict.FAIL, f"{name}: {error}")


def _service(settings: Settings, release: ReleaseRecord | None) -> Iterator[Look]:
    """The service and its parts, as its readiness has them; before a first release nobody expects it to be ready."""
    url = f"{settings.service_address}/health/ready"
    bad = Verdict.FAIL if release else Verdict.NOT_JUDGED
    try:
        answer = httpx.get(url, timeout=_SECONDS).json()
        missing = list(answer["missing"])
        parts = {name: (answer[name]["serving"], answer[name]["problem"]) for name in SERVICE_PARTS}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        yield Look(SERVICE, bad, f"{url} does not answer as it should: {type(error).__name__}.")
        for name in SERVICE_PARTS.values():
            yield Look(name, Verdict.NOT_JUDGED, "The service does not answer.")
        return
    # A log that cannot be written keeps the service from being ready too, and is told as what it is.
    others = [name for name in missing if name != "log"]
    if others:
        yield Look(SERVICE, bad, f"It is not ready: {'; '.join(str(parts[name][1]) for name in others)}.")
    else:
        yield Look(SERVICE, Verdict.PASS, f"It is ready with {parts['model'][0]}.")
    for name, (serving, problem) in parts.items():
        yield _part(name, serving, problem, is_judged=bool(release) and (name in missing or not others))


def _part(name: str, serving: str | None, problem: str | None, *, is_judged: bool) -> Look:
    """A part of the service; where others are missing, its problem is likely theirs, and told as theirs."""
    if not problem:
        return Look(SERVICE_PARTS[name], Verdict.PASS, f"In order: {serving}.")
    if not is_judged:
        return Look(SERVICE_PARTS[name], Verdict.NOT_JUDGED, f"{problem}.")
    if name == "log":
        return Look(SPOOL, Verdict.FAIL, f"Decisions do not get from the service to Postgres: {problem}.")
    return Look(SERVICE_PARTS[name], Verdict.WARN if serving else Verdict.FAIL, f"{problem}.")


def _airflow(url: str) -> Iterator[Look]:
    """Airflow's parts, as its API server has them; it tells everybody."""
    address = f"{url.rstrip('/')}/api/v2/monitor/health"
    try:
        health = httpx.get(address, timeout=_SECONDS).json()
        states = {part: str(health[part]["status"]) for part in AIRFLOW_PARTS if part in health}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
        words = f"{address} does not answer as it should: {type(error).__name__}."
        yield from (Look(f"airflow {part}", Verdict.NOT_JUDGED, words) for part in AIRFLOW_PARTS)
        return
    for part in AIRFLOW_PARTS:
        if part in states:
            verdict = Verdict.PASS if states[part] == "healthy" else Verdict.FAIL
            yield Look(f"airflow {part}", verdict, f"It says: {states[part]}.")
        else:
            yield Look(f"airflow {part}", Verdict.NOT_JUDGED, "This Airflow has none.", is_gone=True)


def _mlflow(settings: Settings) -> Look:
    uri = settings.mlflow_uri
    if not uri.startswith(("http://", "https://")):
        return Look(MLFLOW, Verdict.NOT_JUDGED, "Runs are kept in a file, by no server.", is_gone=True)
    host = httpx.URL(uri).host
    try:
        status = httpx.get(f"{uri.rstrip('/')}/health", timeout=_SECONDS).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Look(MLFLOW, Verdict.FAIL, f"The server on {host} does not answer: {type(error).__name__}.")
    verdict = Verdict.PASS if status == httpx.codes.OK else Verdict.FAIL
    return Look(MLFLOW, verdict, f"The server on {host} answers {status}.")
