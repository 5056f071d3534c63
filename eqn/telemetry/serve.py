"""The exporter: what Prometheus asks, for all runs of one state folder.

On loopback it answers whoever asks. Elsewhere it asks for a token, as `Authorization: Bearer TOKEN`, and without one it
does not start.
"""

import contextlib
import hmac
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from eqn.errors import UsageError
from eqn.telemetry.collector import registry_of

if TYPE_CHECKING:
    from eqn.telemetry.ledger import Ledger

SHORTEST_TOKEN = 16
"""Characters: fewer could be guessed."""

_Application = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]


@contextlib.contextmanager
def exporter(ledger: "Ledger", address: str, port: int, *, token: str = "") -> Iterator[tuple[str, threading.Thread]]:
    """Serve /metrics on `address` and `port`, 0 for a free one; give its address and the thread that serves.

    Raises:
        UsageError: the address cannot be listened on, or is not loopback and `token` is too short.

    """
    from prometheus_client import make_wsgi_app
    from prometheus_client.exposition import ThreadingWSGIServer

    application: _Application = make_wsgi_app(registry_of(ledger))
    try:
        family, host = _resolved(address, port)
        if not ipaddress.ip_address(host).is_loopback:
            application = _guarded(application, _sufficient(token, address))
        kind: type[WSGIServer] = type("_Server", (ThreadingWSGIServer,), {"address_family": family})
        server = make_server(host, port, application, kind, handler_class=_Silent)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"expected to listen on {address}:{port}: {error}",
            todo="End what listens there, or choose another --port or --address.",
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        yield f"http://{shown}:{server.server_port}/metrics", thread
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
        """Say nothing: who asks is nobody's business."""


def _resolved(address: str, port: int) -> tuple[socket.AddressFamily, str]:
    found = socket.getaddrinfo(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, place = found[0]
    return family, str(place[0])


def _sufficient(token: str, address: str) -> str:
    if len(token) < SHORTEST_TOKEN:
        raise UsageError(
            f"on {address or 'every address'} everybody who reaches this machine could read the figures: expected a "
            f"token of at least {SHORTEST_TOKEN} characters in EQN_METRICS_TOKEN, got "
            f"{f'{len(token)} characters' if token else 'none'}.",
            todo="Set it, for example to what `openssl rand -hex 32` prints, and give it to Prometheus "
            "(authorization: credentials_file); or stay on 127.0.0.1 and come through a tunnel.",
        )
    return token


def _guarded(application: _Application, token: str) -> _Application:
    """Answer only who knows the token."""
    wanted = f"Bearer {token}".encode()

    def guarded(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if hmac.compare_digest(given, wanted):
            return application(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Type", "text/plain")])
        return [b"A token is asked for here.\n"]

    return guarded
