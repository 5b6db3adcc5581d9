"""Who listens where messages are sent: a webhook and SNS by HTTP, a mail server by SMTP, each real and in a thread."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import BaseServer


class HttpListener(HTTPServer):
    """Remembers what was posted, and answers with ``status`` and ``answer``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.posted: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.answer = b"{}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Post(BaseHTTPRequestHandler):
    server: HttpListener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is theirs."""


class MailServer(socketserver.TCPServer):
    """As much of RFC 5321 as a client without encryption and login uses; keeps what it takes."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.taken: list[tuple[list[str], bytes]] = []
        self.refuses = False

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port


class _Smtp(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 here")
        recipients: list[str] = []
        while line := self.rfile.readline().decode().strip():
            verb = line.split(":")[0].split()[0].upper()
            if verb == "RCPT" and self.server.refuses:
                self._say("550 not here")
            elif verb == "RCPT":
                recipients.append(line.split(":", 1)[1].strip("<> "))
                self._say("250 fine")
            elif verb == "DATA":
                self._say("354 go on")
                body = b""
                while not body.endswith(b"\r\n.\r\n"):
                    body += self.rfile.readline()
                self.server.taken.append((recipients, body))
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def listening(server: BaseServer) -> Iterator[None]:
    """Serve in a thread."""
    with server:  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
