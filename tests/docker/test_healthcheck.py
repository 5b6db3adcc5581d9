"""The containers' health check against a real HTTP server."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from creditrisk.settings import PROJECT_ROOT


class _Monitor(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()
        self.wfile.write(b'{"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}}')

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Monitor)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def check(*words: str) -> tuple[int, str]:
    script = str(PROJECT_ROOT / "docker" / "healthcheck.py")
    ran = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stderr.strip()


def test_a_url_that_answers_200_is_well(url: str) -> None:
    assert check(f"{url}/health") == (0, "")


def test_a_component_is_well_when_the_answer_says_so(url: str) -> None:
    assert check(url, "scheduler") == (0, "")


@pytest.mark.parametrize(
    ("path", "component", "says"),
    [
        ("/", ["triggerer"], "triggerer: unhealthy"),
        ("/", ["dag_processor"], "says nothing of dag_processor"),
        ("/broken", [], "HTTP Error 500"),
    ],
)
def test_anything_else_is_not(url: str, path: str, component: list[str], says: str) -> None:
    code, said = check(url + path, *component)
    assert code == 1
    assert says in said


def test_a_port_that_nothing_listens_on_is_not_well() -> None:
    code, said = check("http://127.0.0.1:1/health")
    assert code == 1
    assert "refused" in said
