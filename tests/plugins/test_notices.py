"""A notice by real HTTP."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from creditrisk.settings import Settings
from plugins.notices import notify
from tests.conftest import free_port


class Webhook(HTTPServer):
    """Remembers what was posted, and answers with ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is theirs."""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def settings(url: str | None) -> Settings:
    return Settings(_env_file=None, notice_webhook_url=SecretStr(url) if url else None)


def test_a_notice_is_logged_and_posted_with_its_facts(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        notify(
            settings(f"http://127.0.0.1:{webhook.server_port}/hook/s3cret"), "Version x is aborted", release=7
        )
    assert webhook.posted == [("/hook/s3cret", {"text": "Version x is aborted", "release": 7})]
    assert caplog.messages == ["Notice: Version x is aborted"]


def test_without_a_webhook_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        notify(settings(None), "Version x is aborted")
    assert caplog.messages == ["Notice: Version x is aborted"]


def test_a_webhook_that_does_not_take_it_stops_nothing_and_stays_secret(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.status = 500
    notify(settings(f"http://127.0.0.1:{webhook.server_port}/hook/s3cret"), "first")
    notify(settings(f"http://127.0.0.1:{free_port()}/hook/s3cret"), "second")
    assert caplog.messages == [
        "Notice: first",
        "The notice was not taken: the webhook answered 500",
        "Notice: second",
        "The notice could not be sent: ConnectError",
    ]
