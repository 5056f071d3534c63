"""A Pushgateway's ear: an HTTP server that keeps what it is sent."""

import contextlib
import http.server
import threading
from collections.abc import Iterator


class Gateway(http.server.ThreadingHTTPServer):
    """Keeps each request's method, path, authorization and content, and answers with `status`."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[str, str, str | None, str]] = []

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Gateway

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.heard.append((self.command, self.path, self.headers["Authorization"], content))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        pass


@contextlib.contextmanager
def gateway() -> Iterator[Gateway]:
    """Run one while it is needed."""
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
