"""A real Prefect server with its services, its workers, and a receiver of messages, for tests marked `stack`.

Every process ends with the test process, however that ends.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.servers import await_answer, free_port, running

ROOT = Path(__file__).parents[2]

_PREFECT = """
import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)      # PR_SET_PDEATHSIG: end when the parent does
if os.getppid() == int(sys.argv.pop(1)):        # it may have ended before that call
    runpy.run_module("prefect", run_name="__main__")
"""


@dataclasses.dataclass(frozen=True)
class Team:
    """A state folder and a running server; programs started here use both."""

    home: Path
    environment: dict[str, str]

    @contextlib.contextmanager
    def worker(self, pool: str = "cpu") -> "Iterator[subprocess.Popen[bytes]]":
        """Run a worker of `pool`, in a process group of its own."""
        with self.prefect(f"worker-{pool}", "worker", "start", "--pool", pool) as process:
            yield process

    @contextlib.contextmanager
    def prefect(self, name: str, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
        """Run `prefect` with `arguments`; what it says goes to `<name>.log` in the state folder."""
        command = [sys.executable, "-c", _PREFECT, str(os.getpid()), *arguments]
        log = self.home / f"{name}.log"
        with running(command, folder=self.home, environment=self.environment, log=log) as process:
            yield process

    @contextlib.contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """Talk to the server, in this process."""
        address = self.environment["PREFECT_API_URL"]
        with temporary_settings(updates={PREFECT_API_URL: address}), get_client(sync_client=True) as client:
            yield client

    def deploy(self, **variables: str) -> None:
        """Call `python -m flows.deploy`."""
        subprocess.run(
            [sys.executable, "-m", "flows.deploy"], cwd=ROOT, env=self.environment | variables, check=True, timeout=300
        )


@contextlib.contextmanager
def team_in(home: Path, **variables: str) -> Iterator[Team]:
    """Start a server with its state in `home`, on a free port."""
    port = str(free_port())
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EQN_", "PREFECT_", "AWS_"))}
    team = Team(
        home,
        kept
        | {
            "EQN_HOME": str(home / "eqn"),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_CLIENT_MAX_RETRIES": "10",  # the server's SQLite may be busy for a while: it answers 503
            "OMP_NUM_THREADS": "1",
            "DO_NOT_TRACK": "1",
        }
        | variables,
    )
    with team.prefect("server", "server", "start", "--host", "127.0.0.1", "--port", port) as server:
        await_answer(f"{team.environment['PREFECT_API_URL']}/health", server, home / "server.log")
        yield team


def until(holds: Callable[[], bool], *, seconds: float, every: float = 0.5) -> None:
    """Wait until something holds; after so many seconds the test fails."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it did not come to hold within {seconds:g} seconds"
        time.sleep(every)


class Receiver:
    """Where messages arrive."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []

    def having(self, words: str) -> list[str]:
        """Give the messages in which `words` stand."""
        return [message["text"] for message in list(self.messages) if words in message["text"]]


@contextlib.contextmanager
def receiver() -> Iterator[tuple[Receiver, str]]:
    """Run a receiver of messages on loopback; gives it and its address."""
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json"
            received.messages.append(json.loads(content))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield received, f"http://127.0.0.1:{server.server_port}/messages"
    finally:
        server.shutdown()
        server.server_close()
