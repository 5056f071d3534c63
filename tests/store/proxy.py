"""A proxy before a real S3 server that loses answers, fails and lies on demand, and logs what was asked.

    with FaultProxy("http://127.0.0.1:5000") as proxy:
        proxy.add(faults.lost_answer, method="PUT", path="releases/1.json", times=1)
        ...                                       # the code under test, with proxy.endpoint as its endpoint
        assert "DELETE" not in {entry.method for entry in proxy.log}

A rule is conditions and an action of `tests.store.faults`; the first rule that fires handles the request, all else is
forwarded byte for byte. Requests keep their Host header, so that signatures stay valid.
"""

import http.client
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

Headers = list[tuple[str, str]]


def with_header(headers: Headers, name: str, value: str | None) -> Headers:
    """Give `headers` with `name` set to `value`, or without it."""
    return [pair for pair in headers if pair[0].lower() != name.lower()] + [(name, value or "")] * (value is not None)


def value_of(headers: Headers, name: str) -> str | None:
    return next((value for given, value in headers if given.lower() == name.lower()), None)


class Request(NamedTuple):
    """What a client asked."""

    method: str
    path: str
    """As sent: with bucket and query, percent-encoded."""
    headers: Headers
    body: bytes
    """As sent: a chunked body with its chunk sizes."""

    @property
    def key(self) -> str:
        """The object's key, decoded; empty for a request on the bucket, such as a listing."""
        return unquote(self.path.partition("?")[0]).lstrip("/").partition("/")[2]

    def header(self, name: str) -> str | None:
        """Give a header's value, or None."""
        return value_of(self.headers, name)

    def unconditional(self) -> "Request":
        """Give the request without its condition."""
        return self._replace(headers=with_header(self.headers, "If-None-Match", None))


class Answer(NamedTuple):
    """What a client is told. A body shorter than its Content-Length is sent, then the connection is closed."""

    status: int
    headers: Headers
    body: bytes = b""

    def resized(self, body: bytes) -> "Answer":
        """Give the answer with another body and the length of it."""
        return Answer(self.status, with_header(self.headers, "Content-Length", str(len(body))), body)


def failure(status: int, code: str) -> Answer:
    """Give S3's answer for an error."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>On demand.</Message></Error>'
    return Answer(status, [("Content-Type", "application/xml")]).resized(body.encode())


class Entry(NamedTuple):
    """A line of the log."""

    method: str
    path: str
    status: int | None
    """What the client was told; None when the connection ended without an answer."""
    served: tuple[int, ...]
    """What the server answered, each time that the request was forwarded."""
    done: str
    """Name of the action; "forward" without one, "unavailable" while the proxy is down."""
    bytes: int
    """What the bodies of the request and of the answer hold together."""
    call: str
    """boto3's mark of one call, the same for all its attempts; empty for other clients."""


class Pace(NamedTuple):
    """How slowly bodies and answers pass, in each direction of each connection."""

    size: int
    """Bytes at a time."""
    seconds: float
    """Time that they take."""


@dataclass
class Call:
    """One request on its way: what an action works on."""

    request: Request
    proxy: "FaultProxy"
    served: list[int] = field(default_factory=list)

    def forward(self, request: Request | None = None) -> Answer:
        """Send the request, or another in its place, to the server and give its answer."""
        answer = self.proxy.ask(request or self.request)
        self.served.append(answer.status)
        return answer


Action = Callable[[Call], Answer | None]
"""Gives what the client is told; None closes the connection, ConnectionResetError resets it."""


def unavailable(_: Call) -> Answer:
    """Answer 503; the server does not hear of it."""
    return failure(503, "ServiceUnavailable")


@dataclass
class Rule:
    """When an action is taken: see `FaultProxy.add`."""

    action: Action
    method: str | None
    path: str
    header: str | None
    when: Callable[[Request], bool]
    skip: int
    times: int | None
    chance: float
    seen: int = 0
    fired: int = 0

    def fires(self, request: Request, draw: Callable[[], float]) -> bool:
        """Count the request if it meets the conditions, and tell whether the action is to be taken."""
        if self.method not in {None, request.method} or not re.search(self.path, request.path):
            return False
        if (self.header and request.header(self.header) is None) or not self.when(request):
            return False
        self.seen += 1
        if self.seen <= self.skip or self.fired == self.times or (self.chance < 1 and draw() >= self.chance):
            return False
        self.fired += 1
        return True


class FaultProxy:
    """The proxy before `server`, an http address; a context manager. `seed` decides about rules with a chance."""

    def __init__(self, server: str, *, seed: int = 0) -> None:
        self.server = urlsplit(server)
        self.log: list[Entry] = []
        self.down = False
        """Whether every request is answered with 503."""
        self.pace: Pace | None = None
        """The line's speed; None is as fast as it can."""
        self._rules: list[Rule] = []
        self._random = random.Random(seed)  # noqa: S311  faults, not secrets
        self._lock = threading.Lock()
        self._healed = threading.Event()
        self._http = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.endpoint = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self.heal()
        self.down = True  # for connections that are still open

    def add(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str = "",
        header: str | None = None,
        when: Callable[[Request], bool] = lambda _: True,
        skip: int = 0,
        times: int | None = None,
        chance: float = 1.0,
    ) -> Rule:
        """Take `action` for requests of `method`, whose path holds the pattern `path`, with `header`, that fit `when`.

        Of those, the first `skip` are let through, then at most `times` are handled, each with probability `chance`.
        """
        rule = Rule(action, method, path, header, when, skip, times, chance)
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """End an outage, a slow line and every silence, and forget all rules."""
        self.down, self.pace = False, None
        self._rules.clear()
        self._healed.set()
        self._healed = threading.Event()

    def wait(self, seconds: float) -> None:
        """Wait until the proxy is healed or left, at most so long."""
        self._healed.wait(seconds)

    def ask(self, request: Request) -> Answer:
        """Give the server's answer."""
        connection = http.client.HTTPConnection(str(self.server.hostname), self.server.port, timeout=60)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                # The proxy has waited for the body already, and its own connection serves one request.
                if name.lower() not in {"expect", "connection"}:
                    connection.putheader(name, value)
            connection.endheaders(request.body)
            told = connection.getresponse()
            body = told.read()
        finally:
            connection.close()
        headers = with_header(with_header(told.getheaders(), "Connection", None), "Transfer-Encoding", None)
        answer = Answer(told.status, headers, body)
        return answer if request.method == "HEAD" else answer.resized(body)

    def handle(self, request: Request) -> Answer | None:
        """Give what the client is told, and log it."""
        call, answer = Call(request, self), None
        action = self._action_for(request)
        try:
            answer = action(call)
        finally:
            status, done = answer.status if answer else None, getattr(action, "__name__", str(action))
            size = len(request.body) + (len(answer.body) if answer else 0)
            mark = request.header("amz-sdk-invocation-id") or ""
            self.log.append(Entry(request.method, request.path, status, tuple(call.served), done, size, mark))
        return answer

    def _action_for(self, request: Request) -> Action:
        if self.down:
            return unavailable
        with self._lock:
            fired = next((rule for rule in self._rules if rule.fires(request, self._random.random)), None)
        return fired.action if fired else Call.forward


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients and servers that have gone: that is what this proxy is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: FaultProxy

    def _serve(self) -> None:
        headers = list(self.headers.items())
        request = Request(self.command, self.path, headers, self._body(headers))
        try:
            answer = self.proxy.handle(request)
        except ConnectionResetError:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()
            answer = None
        if answer is None:
            self.close_connection = True
            return
        lines = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        bare = self.command == "HEAD" or answer.status in {204, 304}
        body = b"" if bare else answer.body
        if not bare and str(len(body)) != value_of(answer.headers, "Content-Length"):
            self.close_connection = True
        self._write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815  http.server's names

    def _body(self, headers: Headers) -> bytes:
        if "chunked" not in (value_of(headers, "Transfer-Encoding") or ""):
            return self._read(int(value_of(headers, "Content-Length") or 0))
        parts, left = [self.rfile.readline()], 1
        while left:
            left = int(parts[-1].partition(b";")[0], 16)
            parts.append(self._read(left + 2) if left else b"")
            parts.append(self.rfile.readline())
        while parts[-1].strip():  # trailers, up to an empty line
            parts.append(self.rfile.readline())
        return b"".join(parts)

    def _read(self, size: int) -> bytes:
        read = b""
        while (pace := self.proxy.pace) and len(read) < size:
            some = self.rfile.read(min(pace.size, size - len(read)))
            if not some:
                return read  # the client has gone
            read += some
            time.sleep(pace.seconds)
        return read + self.rfile.read(size - len(read))

    def _write(self, told: bytes) -> None:
        while (pace := self.proxy.pace) and told:
            self.wfile.write(told[: pace.size])
            told = told[pace.size :]
            time.sleep(pace.seconds)
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Say nothing: the proxy has its own log."""
