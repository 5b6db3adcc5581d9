"""The channels that people are told on: always the log, and each other one whose setting says where to.

A channel takes a message or raises :class:`NotTaken`, whose words hold no secret; what was not taken is tried again.
"""

import logging
import traceback
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from creditrisk.settings import Settings

if TYPE_CHECKING:
    from monitoring.alert_message import AlertMessage

logger = logging.getLogger(__name__)

LOG, WEBHOOK, SNS, EMAIL = "log", "webhook", "sns", "email"
_SECONDS = 10.0
_SUBJECT_LENGTH = 100
"""What SNS takes at most."""

Channel = Callable[[Settings, "AlertMessage"], None]


class NotTaken(Exception):
    """A channel has not taken a message; the words say why."""


def channels_of(settings: Settings) -> dict[str, Channel]:
    """The channels that the settings name, by name, in the order in which people are told."""
    named = {
        LOG: (True, to_log),
        WEBHOOK: (settings.notice_webhook_url is not None, to_webhook),
        SNS: (bool(settings.alerts.sns_topic_arn), to_sns),
        EMAIL: (bool(settings.alerts.email_to), to_email),
    }
    return {name: channel for name, (is_on, channel) in named.items() if is_on}


def offer(channel: str, settings: Settings, message: "AlertMessage") -> None:
    """Give a message to a channel of :func:`channels_of`.

    Raises:
        NotTaken: it was not taken, whatever went wrong: a channel's own mistake keeps no other from telling.
    """
    try:
        channels_of(settings)[channel](settings, message)
    except NotTaken:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, the message is not lost for it
        where = traceback.extract_tb(error.__traceback__)[-1]  # its own words may hold a secret
        raise NotTaken(
            f"the channel failed: {type(error).__name__} in {where.name}, line {where.lineno}"
        ) from None


def to_log(_: Settings, message: "AlertMessage") -> None:
    """Write it into the log of the task that sends."""
    logger.warning("%s\n%s", message.line, message.text)


def to_webhook(settings: Settings, message: "AlertMessage") -> None:
    """Post it as JSON, ``{"text": …, …facts}``, which chats' incoming webhooks take.

    Raises:
        NotTaken: whoever listens there did not answer that all is well.
    """
    import httpx

    url = settings.notice_webhook_url
    if url is None:
        raise NotTaken("CREDITRISK_NOTICE_WEBHOOK_URL: not set")
    body = {"text": f"{message.line}\n{message.text}", **message.facts}
    try:
        httpx.post(url.get_secret_value(), json=body, timeout=_SECONDS).raise_for_status()
    except httpx.HTTPStatusError as error:  # its own message has the address, which is a secret
        raise NotTaken(f"the webhook answered {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotTaken(f"the webhook cannot be reached: {type(error).__name__}") from None


def to_sns(settings: Settings, message: "AlertMessage") -> None:
    """Publish it to the topic, with the region of the topic and the credentials of this machine.

    Raises:
        NotTaken: SNS refused it, or cannot be reached.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    topic = settings.alerts.sns_topic_arn
    config = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2})
    try:
        client = boto3.client("sns", region_name=topic.split(":")[3], config=config)
        client.publish(
            TopicArn=topic,
            Subject=_ascii(message.line)[:_SUBJECT_LENGTH],
            Message=message.text,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": str(message.facts[name])}
                for name in ("market", "event", "rule", "severity")
            },
        )
    except ClientError as error:
        raise NotTaken(f"SNS refused it: {error.response['Error'].get('Code', 'no code')}") from None
    except (BotoCoreError, ValueError) as error:
        raise NotTaken(f"SNS cannot be reached: {type(error).__name__}") from None


def to_email(settings: Settings, message: "AlertMessage") -> None:
    """Mail it by Airflow's own notifier and connection.

    Raises:
        NotTaken: the mail server did not take it, or the connection is not there.
    """
    import smtplib

    from airflow.exceptions import AirflowException
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    notifier = SmtpNotifier(
        to=list(settings.alerts.email_to),
        subject=_ascii(message.line),
        html_content=f"<pre>{escape(message.text)}</pre>",
        smtp_conn_id=settings.alerts.email_connection,
    )
    try:
        notifier.notify({})
    except smtplib.SMTPException as error:  # its own message may have what was said of the login
        raise NotTaken(f"the mail server did not take it: {type(error).__name__}") from None
    except (AirflowException, OSError, ValueError) as error:
        raise NotTaken(f"it cannot be mailed: {type(error).__name__}: {error}") from None


def _ascii(line: str) -> str:
    """A line as a subject may be: printable ASCII."""
    return line.encode("ascii", "replace").decode().replace("\n", " ")
