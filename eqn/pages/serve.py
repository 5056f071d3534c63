"""The page server: a small read-only web server for the browsers of this machine.

It listens on loopback only. A web page from elsewhere could still make its own name lead here and read what it likes
as its own, so only requests that call this server by a name of loopback are answered.
"""

import contextlib
import sys
import threading
import traceback
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from eqn.errors import UsageError
from eqn.pages.site import Answer, Site, message

ADDRESS = "127.0.0.1"
"""Where it listens; nothing asks for a password, so not elsewhere."""
_NAMES = (ADDRESS, "localhost", "[::1]")
_HTTP_PORT = 80
_SECONDS = 30
"""For a client to send its request, or to take a part of the answer."""


@contextlib.contextmanager
def served(site: Site, port: int) -> Iterator[tuple[str, threading.Thread]]:
    """Serve `site` on `port` of loopback, 0 for a free one; give the address and the thread that serves.

    Raises:
        UsageError: the port cannot be listened on.

    """
    try:
        server = _Server((ADDRESS, port), site)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"expected to listen on {ADDRESS}:{port}: {error}",
            todo="End what listens there, or choose another --port.",
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{ADDRESS}:{server.server_port}", thread
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    """Answers each request in a thread of its own."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], site: Site) -> None:
        self.site = site
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Take the port, without asking any name server what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that have gone; anything else is a bug, which is told to whoever started the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server
    server_version, sys_version = "EQN", ""
    default_request_version = "HTTP/1.0"  # what cannot be read is answered with a status as well
    timeout = _SECONDS

    def do_GET(self) -> None:
        """Send what is asked for."""
        self._send(self._answer())

    def do_HEAD(self) -> None:
        """Send the same without the content."""
        self._send(self._answer())

    def send_error(self, code: int, *_: str | None) -> None:
        """Send a page where the request cannot be taken; HTTP's server asks for this, as for methods unknown to it."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            sentence = "Pages can be read here, and nothing can be changed."
            return self._send(message(HTTPStatus.METHOD_NOT_ALLOWED, "Only reading", sentence, Allow="GET, HEAD"))
        status = HTTPStatus(code)
        return self._send(message(status, status.phrase, "This is no request that a browser would send."))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
        """Say nothing: who reads what is nobody's business."""

    def _answer(self) -> Answer:
        if not self._is_called_by_our_name():
            return message(
                HTTPStatus.MISDIRECTED_REQUEST,
                "Another server is meant",
                f"This one is called {ADDRESS}:{self.server.server_port} or localhost:{self.server.server_port}.",
                todo="Through an SSH tunnel, use the same port on both sides.",
            )
        try:
            return self.server.site.answer(self.path)
        except Exception:  # noqa: BLE001  a bug: told where the server was started, not to whoever asked
            traceback.print_exc()
            return message(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a bug in EQN", "The server's log says more.")

    def _is_called_by_our_name(self) -> bool:
        port = self.server.server_port
        allowed = {f"{name}:{port}" for name in _NAMES} | (set(_NAMES) if port == _HTTP_PORT else set())
        given = self.headers.get_all("Host", [])
        return len(given) == 1 and given[0].strip().lower() in allowed

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {
            "Content-Type": answer.kind,
            "Content-Length": str(len(answer.content)),
            "Content-Security-Policy": answer.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            **answer.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)
