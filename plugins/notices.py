"""Telling people outside Airflow what happened: always a line in the log, and a webhook where there is one."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from creditrisk.settings import Settings

logger = logging.getLogger(__name__)

_SECONDS = 5.0


def notify(settings: "Settings", subject: str, **facts: Any) -> None:
    """Log a notice and post it as JSON, ``{"text": subject, …facts}``, which chats' incoming webhooks take.

    A webhook that does not take it is logged and changes nothing: what happened has happened.
    """
    logger.warning("Notice: %s", subject)
    if settings.notice_webhook_url is None:
        return
    import httpx

    try:
        answer = httpx.post(
            settings.notice_webhook_url.get_secret_value(), json={"text": subject, **facts}, timeout=_SECONDS
        )
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:  # its message has the address, which is a secret
        logger.error("The notice was not taken: the webhook answered %s", error.response.status_code)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        logger.error("The notice could not be sent: %s", type(error).__name__)
