"""What people are told of an alert: a line, a text, and the same as facts for programs. Pure."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urldefrag

from creditrisk.alert_store import ENDED, Alert
from monitoring.alert_rules import BY_NAME


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """One message, for whatever channel."""

    line: str
    """What it is, for a subject."""
    text: str
    facts: dict[str, Any]
    """JSON."""


def message_of(alert: Alert, event: str, *, market: str, page: str, runbook: str) -> AlertMessage:
    """The message about an alert that has started, ended, or is of something that happened.

    Args:
        alert: as it is now.
        event: ``started`` or ``ended``.
        market: whose it is.
        page: URL of the operators' page.
        runbook: URL of the runbook on it, for an alert whose own link is no web address.
    """
    rule = BY_NAME.get(alert.rule)
    title = f"{rule.title if rule else alert.rule}{f': {alert.subject}' if alert.subject else ''}"
    over = event == ENDED and alert.ended_at is not None
    line = f"[{market}] {'Over' if over else alert.severity.capitalize()}: {title}"
    lines = [f"What: {alert.words}", f"Since: {alert.since}"]
    if over and alert.ended_at is not None:
        lines.append(f"Until: {alert.ended_at:%Y-%m-%d %H:%M %Z}")
        lines += [f"Now: {alert.ended_because}"] * bool(alert.ended_because)
    lines.append(f"Served: {alert.serving}")
    if not over:
        lines.append(f"Do: {alert.advice}")
    section = reachable(alert.link, runbook)
    lines += [f"Look: {page}", f"Runbook: {section}"]
    facts = {
        "market": market,
        "event": event,
        "alert": alert.number,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity,
        "words": alert.words,
        "since": alert.since.isoformat(),
        "started_at": alert.started_at.isoformat(),
        "ended_at": alert.ended_at.isoformat() if over and alert.ended_at else None,
        "ended_because": alert.ended_because if over else None,
        "serving": alert.serving,
        "advice": alert.advice,
        "page": page,
        "runbook": section,
    }
    return AlertMessage(line, "\n".join(lines), facts)


def reachable(link: str, runbook: str) -> str:
    """Where an alert's link leads: to the web where the settings say so, else to the section of the runbook on the page."""
    if link.startswith(("http://", "https://")):
        return link
    anchor = urldefrag(link).fragment
    return runbook + (f"#{anchor}" if anchor else "")
