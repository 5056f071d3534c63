"""`make ui`: Prefect's and MLflow's pages on the state that the main job left, on loopback, until Ctrl-C."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from eqn.errors import StoreUnavailable, UsageError
from eqn.exits import ending
from eqn.settings import Settings, load_settings

PREFECT_PORT, MLFLOW_PORT = 4200, 5000
_SECONDS_TO_START = 90.0


def main() -> int:
    """Start both servers, say where they are, and end them on Ctrl-C or when one of them ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = load_settings()
    if not settings.home.is_dir():
        raise UsageError(f"there is nothing to show yet: {settings.home} does not exist.", todo="Run `make run` first.")
    prefect, mlflow = _free_port(PREFECT_PORT), _free_port(MLFLOW_PORT)
    with contextlib.ExitStack() as ends:
        servers = [
            ends.enter_context(_running(command, settings, name, prefect_port=prefect))
            for name, command in (("prefect", _prefect(prefect)), ("mlflow", _mlflow(mlflow, settings)))
        ]
        with contextlib.suppress(KeyboardInterrupt):
            _wait(f"http://127.0.0.1:{prefect}/api/health", servers)
            _wait(f"http://127.0.0.1:{mlflow}/health", servers)
            print(f"Prefect  http://127.0.0.1:{prefect}   flow runs and their artifacts")
            print(f"MLflow   http://127.0.0.1:{mlflow}   experiments, figures, registered models")
            print("Ctrl-C ends both.", flush=True)
            while all(server.poll() is None for server in servers):
                time.sleep(0.5)
            raise StoreUnavailable("one of the servers ended.", todo=f"Read the logs in {settings.home / 'logs'}.")
    return 0


def _prefect(port: int) -> list[str]:
    return ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]


def _mlflow(port: int, settings: Settings) -> list[str]:
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [
        *command,
        "--artifacts-destination",
        str(settings.artifacts),
        "--default-artifact-root",
        str(settings.artifacts),
    ]


@contextlib.contextmanager
def _running(
    arguments: Sequence[str], settings: Settings, name: str, *, prefect_port: int
) -> "Iterator[subprocess.Popen[bytes]]":
    logs = settings.home / "logs"
    logs.mkdir(exist_ok=True)
    environment = os.environ | {
        "PREFECT_HOME": str(settings.prefect_home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{prefect_port}/api",  # else its pages ask port 4200
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri,  # not an argument: everybody may read those
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    environment.pop("PREFECT_API_URL", None)
    with Path(logs, f"{name}.log").open("ab") as log:
        server = subprocess.Popen(  # noqa: S603  our own servers
            [sys.executable, *arguments], stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        yield server
    finally:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(timeout=20)


def _free_port(wanted: int) -> int:
    """Give `wanted` if nobody listens there, else one of the next ten that is free."""
    for port in range(wanted, wanted + 10):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise UsageError(f"expected a free port from {wanted} to {wanted + 9}; all are taken.")


def _wait(address: str, servers: "Sequence[subprocess.Popen[bytes]]") -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and all(server.poll() is None for server in servers):
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2):  # noqa: S310  loopback
            return
        time.sleep(0.3)
    raise StoreUnavailable(f"{address} does not answer.", todo="Read the logs in the state folder's logs/.")


if __name__ == "__main__":
    sys.exit(ending(main))
