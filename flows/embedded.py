"""Where a flow reports when nobody named a Prefect server: an embedded one, with its state in EQN's state folder.

Prefect can start such a server itself, but then starts it again without end where the disk is full, and leaves it
behind when this process is killed. This one is asked once, and ends with its parent, however that ends.
"""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import prefect
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_RESULTS_DEFAULT_SERIALIZER, temporary_settings

from eqn.errors import StorageFull, StoreUnavailable
from eqn.settings import Settings
from flows.observation import RUN_LOGGERS, without_users_traceback

_SECONDS_TO_START = 180.0
"""The first start creates the database, which can take a minute on a busy machine."""
_SECONDS_TO_END = 30.0

_SERVER = """
import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)      # PR_SET_PDEATHSIG: end when the parent does
if os.getppid() == int(sys.argv.pop(1)):        # it may have ended before that call
    runpy.run_module("uvicorn", run_name="__main__")
"""


@contextlib.contextmanager
def server_of(settings: Settings) -> Iterator[None]:
    """Run what is inside against the server of PREFECT_API_URL, or an embedded one that ends with this process.

    Raises:
        StorageFull: there is no room for the server's state.
        StoreUnavailable: the server does not start.

    """
    with _without_tracebacks_of_users_errors():
        if PREFECT_API_URL.value():
            yield
            return
        with _embedded(settings) as address:
            changes = {
                PREFECT_API_URL: address,
                PREFECT_HOME: str(settings.prefect_home),
                PREFECT_RESULTS_DEFAULT_SERIALIZER: "json",  # the default would be pickle
            }
            with temporary_settings(updates=changes):
                yield


@contextlib.contextmanager
def _embedded(settings: Settings) -> Iterator[str]:
    settings.prefect_home.mkdir(parents=True, exist_ok=True)
    log = settings.home / "logs" / "prefect-embedded.log"
    log.parent.mkdir(exist_ok=True)
    port = _free_port()
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603  our own server
            [sys.executable, "-c", _SERVER, str(os.getpid()), *_uvicorn(port)],
            env=os.environ | _environment(settings.prefect_home),
            stdout=output,
            stderr=output,
        )
    try:
        address = f"http://127.0.0.1:{port}/api"
        _wait(address, server, log)
        yield address
    finally:
        # What Prefect has yet to send must go before the server does, or it is tried again for a minute on exit.
        APILogWorker.drain_all(timeout=_SECONDS_TO_END)
        EventsWorker.drain_all(timeout=_SECONDS_TO_END)
        server.terminate()
        try:
            server.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _uvicorn(port: int) -> list[str]:
    folder = str(Path(prefect.__file__).parent.parent)
    app = ["--app-dir", folder, "--factory", "prefect.server.api.server:create_app"]
    return [*app, "--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"]


def _environment(home: Path) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
        # The ways in which Prefect tells its own embedded server that it serves one process, for a while.
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }


def _wait(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310  loopback
            return
        time.sleep(0.1)
    _require_room(log.parent)  # first: on a full disk the log breaks off before it says so
    told = log.read_text("utf-8", errors="replace")
    raise StoreUnavailable(
        "expected Prefect's embedded server to start; it did not.",
        faults=told.strip().splitlines()[-1:],
        todo=f"Read {log}. If its database is damaged, move {log.parent.parent / 'prefect'} away and run again.",
    )


def _require_room(folder: Path) -> None:
    """Find out whether the storage is full, by writing as much as a fresh database takes."""
    probe = folder / ".tmp-room"
    try:
        probe.write_bytes(bytes(8 << 20))
    except OSError as error:
        raise StorageFull(
            f"expected room for the state of Prefect's server below {folder.parent}, but the storage is full.",
            todo="Free some space and run the same command again: finished work is kept.",
        ) from error
    finally:
        probe.unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _without_tracebacks_of_users_errors() -> Iterator[None]:
    """Keep Prefect from logging a traceback for an error whose message already says everything."""
    loggers = [logging.getLogger(name) for name in RUN_LOGGERS]
    for logger in loggers:
        logger.addFilter(_shortened)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_shortened)


def _shortened(record: logging.LogRecord) -> bool:
    """Drop tracebacks of users' errors, and links to pages: the embedded server serves none."""
    return not record.getMessage().startswith("View at ") and without_users_traceback(record)
