"""To a Pushgateway, where Prometheus cannot reach the machine that runs."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from eqn.telemetry.collector import registry_of

if TYPE_CHECKING:
    from eqn.telemetry.ledger import Ledger

JOB = "eqn"
_SECONDS_TO_ANSWER = 5.0

Handler = Callable[[str, str, float | None, list[tuple[str, str]], bytes], Callable[[], None]]
"""How prometheus_client sends: address, method, timeout, headers, content."""


def push(ledger: "Ledger", address: str) -> None:
    """Replace this machine's group of metrics at the Pushgateway by what the ledger holds now.

    `address` may hold a user and a password. The processes of a machine take turns, so that an older state never
    replaces a newer one: Prometheus would take that for a restart and count everything again.

    Raises:
        OSError: the gateway does not answer, or refuses, or others take too long.
        ValueError, http.client.HTTPException: `address` is none, or something else answers there.

    """
    from prometheus_client import push_to_gateway

    plain, handler = _without_password(address)
    with _turn(ledger.path.with_name("push.lock")):
        push_to_gateway(
            plain,
            job=JOB,
            registry=registry_of(ledger),
            grouping_key={"instance": socket.gethostname()},
            timeout=_SECONDS_TO_ANSWER,
            handler=handler,
        )


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _SECONDS_TO_ANSWER
        while not _locked(lock):
            if time.monotonic() > deadline:
                raise TimeoutError("other runs have been pushing for too long")
            time.sleep(0.05)
        yield
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _without_password(address: str) -> tuple[str, Handler]:
    """Take user and password out of an address, into the handler of requests that sends them."""
    from prometheus_client.exposition import basic_auth_handler, default_handler

    parts = urlsplit(address)
    if parts.username is None:
        return address, default_handler
    user, password = unquote(parts.username), unquote(parts.password or "")

    def handler(
        url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        return basic_auth_handler(url, method, timeout, headers, data, user, password)

    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), handler
