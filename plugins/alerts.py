"""Telling people of alerts: sends what is due, and stands in where Postgres is away."""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from creditrisk.settings import Settings
from plugins.channels import NotTaken, channels_of, offer

if TYPE_CHECKING:
    from creditrisk.alert_store import Alert
    from creditrisk.kept_alerts import KeptAlert
    from monitoring.alert_message import AlertMessage
    from monitoring.watch import Watch

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 200
"""Messages that one look sends; more wait for the next."""


def watch_of(settings: Settings) -> "Watch":
    """The watch of this deployment, with its channels and its Airflow."""
    from airflow.configuration import conf

    from monitoring.watch import Watch

    server = urlsplit(conf.get("core", "execution_api_server_url", fallback=None) or _base_url())
    path = server.path.rstrip("/").removesuffix("/execution")
    airflow_url = urlunsplit((server.scheme, server.netloc, path, "", ""))
    return Watch(settings, tuple(channels_of(settings)), airflow_url)


def page_url() -> str:
    """Where the operators' page is, as people reach it."""
    return f"{_base_url()}/plugin/operators"


def runbook_url() -> str:
    """Where the runbook is on it; by itself, as Airflow's frame around the page passes no section on."""
    return f"{_base_url()}/operators/runbook"


def send_due(settings: Settings) -> tuple[int, int]:
    """Send what is due on the channels that there are; how many messages got out, and how many did not.

    A channel that fails is left alone until the next time: the others go on.

    Raises:
        StoreUnavailable: Postgres is away.
    """
    from creditrisk.delivery_store import next_delivery

    channels, sent, failed = channels_of(settings), 0, 0
    while channels and sent + failed < _MOST_AT_ONCE:
        with next_delivery(settings, datetime.now(UTC), list(channels)) as sending:
            if sending is None:
                break
            delivery = sending.delivery
            message = _message(delivery.alert, delivery.event, settings)
            sending.error = _problem(delivery.channel, settings, message)
            if sending.error is None:
                sent += 1
            else:
                channels.pop(delivery.channel)
                failed += 1
    return sent, failed


def tell_kept(settings: Settings, kept: "list[KeptAlert]") -> None:
    """Tell of alerts that wait for Postgres on every channel that has not taken them yet."""
    from creditrisk.alert_store import STARTED, Alert
    from creditrisk.errors import StorageError

    for each in kept:
        if each.alert is None:
            continue
        new = each.alert
        alert = Alert(
            0, new.rule, new.subject, new.severity, each.started_at, None,
            new.words, new.since, new.serving, new.advice, new.link,
        )  # fmt: skip
        message = _message(alert, STARTED, settings)
        for name in channels_of(settings):
            if name not in each.told and _problem(name, settings, message) is None:
                try:
                    each.mark_told(name)
                except StorageError as error:
                    logger.error("Told on %s, and told again at the next look: %s", name, error)


def _message(alert: "Alert", event: str, settings: Settings) -> "AlertMessage":
    from monitoring.alert_message import message_of

    return message_of(alert, event, market=settings.market, page=page_url(), runbook=runbook_url())


def _problem(channel: str, settings: Settings, message: "AlertMessage") -> str | None:
    """Offer a message to a channel; why it was not taken, or None."""
    try:
        offer(channel, settings, message)
    except NotTaken as error:
        logger.error("Not sent on %s, to be tried again: %s: %s", channel, message.line, error)
        return str(error)
    return None


def _base_url() -> str:
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback=None) or "http://localhost:8080").rstrip("/")
