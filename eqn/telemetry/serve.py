"""The exporter: what Prometheus asks, for all runs of one state folder."""

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eqn.errors import UsageError
from eqn.telemetry.collector import registry_of

if TYPE_CHECKING:
    from eqn.telemetry.ledger import Ledger


@contextlib.contextmanager
def exporter(ledger: "Ledger", address: str, port: int) -> Iterator[tuple[int, threading.Thread]]:
    """Serve /metrics on `address` and `port`, 0 for a free one; give the port and the thread that serves.

    Raises:
        UsageError: the address cannot be listened on.

    """
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, addr=address, registry=registry_of(ledger))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"expected to listen on {address}:{port}: {error}",
            todo="End what listens there, or choose another --port or --address.",
        ) from error
    try:
        yield server.server_port, thread
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
