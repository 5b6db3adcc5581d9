"""Each channel by its real way: HTTP, AWS's own client, Airflow's own notifier to a mail server."""

import email
import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.message import Message
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from tests.airflow_environment import prepare

prepare()

from creditrisk.alert_store import ENDED, STARTED, Alert  # noqa: E402
from creditrisk.settings import AlertSettings, Settings  # noqa: E402
from monitoring.alert_message import AlertMessage, message_of  # noqa: E402
from plugins.channels import NotTaken, channels_of  # noqa: E402
from tests.conftest import free_port  # noqa: E402
from tests.plugins.listening import HttpListener, MailServer, listening  # noqa: E402

ALERT = Alert(
    7, "nightly_late", "", "warning", datetime(2021, 1, 31, 5, tzinfo=UTC), None, "The run for 2021-01-30 <hangs>.",
    date(2021, 1, 31), "model m, snapshot s (2 days old)", "Look at its log.", "docs/runbook.md#the-nightly-run-is-late",
)  # fmt: skip
PAGE, RUNBOOK = "http://airflow/plugin/operators", "http://airflow/operators/runbook"
MESSAGE = message_of(ALERT, STARTED, market="mx", page=PAGE, runbook=RUNBOOK)
TOPIC = "arn:aws:sns:eu-central-1:123456789012:risk-alerts"


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.fixture
def http() -> Iterator[HttpListener]:
    server = HttpListener()
    with listening(server):
        yield server


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    server = MailServer()
    name_mail_server(monkeypatch, server.port)
    with listening(server):
        yield server


def name_mail_server(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    extra = {"from_email": "risk@lender.example", "disable_ssl": True, "disable_tls": True, "retry_limit": 1}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))


def send(channel: str, where: Settings, message: AlertMessage = MESSAGE) -> None:
    channels_of(where)[channel](where, message)


class TestMessage:
    def test_says_what_since_when_what_is_served_what_to_do_and_where_to_read(self) -> None:
        assert MESSAGE.line == "[mx] Warning: The nightly run is late"
        assert MESSAGE.text.splitlines() == [
            "What: The run for 2021-01-30 <hangs>.",
            "Since: 2021-01-31",
            "Served: model m, snapshot s (2 days old)",
            "Do: Look at its log.",
            f"Look: {PAGE}",
            f"Runbook: {RUNBOOK}#the-nightly-run-is-late",
        ]

    def test_the_runbook_is_where_the_settings_say_if_that_is_an_address_and_else_on_the_page(self) -> None:
        def told(link: str) -> tuple[str, str]:
            message = message_of(ALERT._replace(link=link), STARTED, market="mx", page=PAGE, runbook=RUNBOOK)
            return message.text.splitlines()[-1], message.facts["runbook"]

        wiki = "https://wiki.lender.example/runbook#a-task-has-failed"
        assert told(wiki) == (f"Runbook: {wiki}", wiki)
        here = f"{RUNBOOK}#a-task-has-failed"
        assert told("docs/runbook.md#a-task-has-failed") == (f"Runbook: {here}", here)

    def test_of_an_end_it_says_until_when_and_nothing_is_to_be_done(self) -> None:
        ended = ALERT._replace(ended_at=datetime(2021, 1, 31, 6, 10, tzinfo=UTC))
        message = message_of(ended, ENDED, market="mx", page=PAGE, runbook=RUNBOOK)
        assert message.line == "[mx] Over: The nightly run is late"
        assert "Until: 2021-01-31 06:10 UTC" in message.text
        assert "Do:" not in message.text
        assert message.facts["ended_at"] == "2021-01-31T06:10:00+00:00"

    def test_a_subject_is_named_and_a_rule_that_is_no_more_too(self) -> None:
        alert = ALERT._replace(rule="an_old_rule", subject="release 7", severity="critical")
        assert (
            message_of(alert, STARTED, market="mx", page=PAGE, runbook=RUNBOOK).line
            == "[mx] Critical: an_old_rule: release 7"
        )


class TestChannels:
    def test_the_log_is_always_one_and_each_other_by_its_setting(self) -> None:
        assert list(channels_of(settings())) == ["log"]
        everything = settings(
            notice_webhook_url=SecretStr("http://127.0.0.1/x"),
            alerts=AlertSettings(sns_topic_arn=TOPIC, email_to=("ana@lender.example",)),
        )
        assert list(channels_of(everything)) == ["log", "webhook", "sns", "email"]

    def test_the_log_gets_the_whole_of_it(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            send("log", settings())
        assert caplog.messages == [f"{MESSAGE.line}\n{MESSAGE.text}"]


class TestWebhook:
    def where(self, url: str) -> Settings:
        return settings(notice_webhook_url=SecretStr(f"{url}/hook/s3cret"))

    def test_takes_the_text_and_the_facts_as_json(self, http: HttpListener) -> None:
        send("webhook", self.where(http.url))
        ((path, _, body),) = http.posted
        assert path == "/hook/s3cret"
        assert json.loads(body) == {"text": f"{MESSAGE.line}\n{MESSAGE.text}", **MESSAGE.facts}
        assert json.loads(body)["rule"] == "nightly_late"

    def test_that_answers_otherwise_has_not_taken_it_and_stays_secret(self, http: HttpListener) -> None:
        http.status = 500
        with pytest.raises(NotTaken, match=r"^the webhook answered 500$"):
            send("webhook", self.where(http.url))
        with pytest.raises(NotTaken, match=r"^the webhook cannot be reached: ConnectError$"):
            send("webhook", self.where(f"http://127.0.0.1:{free_port()}"))


class TestSns:
    @pytest.fixture
    def sns(self, http: HttpListener, monkeypatch: pytest.MonkeyPatch) -> HttpListener:
        """AWS's client sends here what it would send to SNS, signed."""
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", http.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-this-test")
        http.answer = (
            b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1'
            b"</MessageId></PublishResult></PublishResponse>"
        )
        return http

    def where(self) -> Settings:
        return settings(alerts=AlertSettings(sns_topic_arn=TOPIC))

    def test_gets_a_signed_publish_to_the_topic_in_its_region(self, sns: HttpListener) -> None:
        send("sns", self.where())
        ((_, headers, body),) = sns.posted
        fields = {name: value for name, (value,) in parse_qs(body.decode()).items()}
        assert (fields["Action"], fields["TopicArn"]) == ("Publish", TOPIC)
        assert (fields["Subject"], fields["Message"]) == (MESSAGE.line, MESSAGE.text)
        attributes = {
            fields[f"MessageAttributes.entry.{number}.Name"]: fields[
                f"MessageAttributes.entry.{number}.Value.StringValue"
            ]
            for number in range(1, 5)
        }
        assert attributes == {
            "market": "mx",
            "event": "started",
            "rule": "nightly_late",
            "severity": "warning",
        }
        assert "/eu-central-1/sns/aws4_request" in headers["Authorization"]

    def test_a_subject_is_what_sns_takes(self, sns: HttpListener) -> None:
        send("sns", self.where(), AlertMessage(f"é{'x' * 200}\n", "text", MESSAGE.facts))
        fields = parse_qs(sns.posted[0][2].decode())
        assert fields["Subject"] == [f"?{'x' * 99}"]

    def test_a_refusal_and_silence_are_said(self, sns: HttpListener, monkeypatch: pytest.MonkeyPatch) -> None:
        sns.status = 403
        sns.answer = (
            b'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
            b"<Code>AuthorizationError</Code><Message>secret words</Message></Error></ErrorResponse>"
        )
        with pytest.raises(NotTaken, match=r"^SNS refused it: AuthorizationError$"):
            send("sns", self.where())
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(NotTaken, match=r"^SNS cannot be reached: EndpointConnectionError$"):
            send("sns", self.where())


class TestEmail:
    def where(self) -> Settings:
        return settings(alerts=AlertSettings(email_to=("ana@lender.example", "ben@lender.example")))

    def test_a_mail_server_takes_it_for_everybody(self, mail: MailServer) -> None:
        send("email", self.where())
        ((recipients, body),) = mail.taken
        assert recipients == ["ana@lender.example", "ben@lender.example"]
        mailed = email.message_from_bytes(body)
        assert (mailed["From"], mailed["Subject"]) == ("risk@lender.example", MESSAGE.line)
        (part,) = [part for part in mailed.walk() if part.get_content_type() == "text/html"]
        assert isinstance(part, Message)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert "The run for 2021-01-30 &lt;hangs&gt;." in content.decode()  # escaped

    def test_words_in_braces_are_mailed_as_they_are(self, mail: MailServer) -> None:
        send("email", self.where(), AlertMessage("{{ conf }}", "{{ 1 / 0 }}", {}))
        assert b"Subject: {{ conf }}" in mail.taken[0][1]

    def test_a_refusal_and_silence_are_said(self, mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
        mail.refuses = True
        with pytest.raises(NotTaken, match=r"^the mail server did not take it: SMTPRecipientsRefused$"):
            send("email", self.where())
        name_mail_server(monkeypatch, free_port())
        with pytest.raises(NotTaken, match=r"^it cannot be mailed: ConnectionRefusedError"):
            send("email", self.where())
