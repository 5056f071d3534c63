"""An HTTP server on this machine that serves files from memory, and misbehaves as a test tells it."""

import contextlib
import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping


class FileServer(http.server.ThreadingHTTPServer):
    """Serves `files` by name, with ranges; what is in `instead` is answered first, one request each."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(files)
        self.instead: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str | None]] = []
        """Name and Range of every request."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        name = self.path.removeprefix("/data/")
        self.server.asked.append((name, self.headers["Range"]))
        planned = self.server.instead.get(name, [])
        with contextlib.suppress(ConnectionError):  # the client may have gone
            (planned.pop(0) if planned else serve)(self, self.server.files.get(name))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base class calls it
        """Say nothing."""


Answer = Callable[[Handler, bytes | None], None]


@contextlib.contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[FileServer]:
    """Start a server, and stop it."""
    server = FileServer(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def head(handler: Handler, code: int, **headers: object) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def serve(handler: Handler, content: bytes | None) -> None:
    """Do as a good server does."""
    if content is None:
        head(handler, 404)
        return
    start = int((handler.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    if start and start >= len(content):
        head(handler, 416, Content_Range=f"bytes */{len(content)}")
    elif start:
        whole = len(content)
        head(handler, 206, Content_Length=whole - start, Content_Range=f"bytes {start}-{whole - 1}/{whole}")
        handler.wfile.write(content[start:])
    else:
        send_whole(handler, content)


def send_whole(handler: Handler, content: bytes | None) -> None:
    """Know nothing of ranges."""
    head(handler, 200, Content_Length=len(content or b""))
    handler.wfile.write(content or b"")


def send(other: bytes) -> Answer:
    """Send other content."""
    return lambda handler, _: send_whole(handler, other)


def cut(after: int, *, reset: bool = False) -> Answer:
    """Promise everything that was asked for, send so many bytes of it, and hang up, or break the connection."""

    def answer(handler: Handler, content: bytes | None) -> None:
        content = content or b""
        start = int((handler.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        of = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        head(handler, 206 if start else 200, Content_Length=len(content) - start, **of)
        handler.wfile.write(content[start : start + after])
        handler.wfile.flush()
        if reset:
            time.sleep(0.05)  # a reset overtakes what is still on its way
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()

    return answer


def hang_up(handler: Handler, _: bytes | None) -> None:
    """Close the connection without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def say(code: int, **headers: object) -> Answer:
    """Answer with a status and nothing else."""
    return lambda handler, _: head(handler, code, **headers)


def wait(seconds: float) -> Answer:
    """Let the client wait before the answer comes."""

    def answer(handler: Handler, content: bytes | None) -> None:
        time.sleep(seconds)
        serve(handler, content)

    return answer
