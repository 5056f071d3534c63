"""The way to MLflow when it is not there, refuses, is full, or is asked by several at once."""

import contextlib
import http.server
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy

from eqn.errors import EqnError, StorageFull, StoreUnavailable, UsageError
from eqn.registry import tracking
from eqn.registry.connection import connect, shown, transferring
from eqn.registry.versions import list_versions
from eqn.settings import Settings


def answering(status: int, body: bytes = b"") -> type[http.server.BaseHTTPRequestHandler]:
    """Give a server that is in good health and answers everything else in this way."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Answer


class Silence(http.server.BaseHTTPRequestHandler):
    """A server that is in good health and leaves everything else without an answer."""

    asked: ClassVar[list[str]] = []
    ended = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/health":
            self.send_response(200)
            self.end_headers()
        else:
            self.asked.append(self.path)
            self.ended.wait(60)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback while the block runs, and give the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def at(settings: Settings, address: str) -> Settings:
    """Give the same settings with another address of MLflow."""
    return settings.model_copy(update={"tracking_uri": address})


def in_processes(code: str, count: int) -> list[subprocess.CompletedProcess[str]]:
    """Run `code` in several processes at once and give what they printed."""
    command = [sys.executable, "-c", code]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(count)
    ]
    outputs = [process.communicate() for process in running]
    return [
        subprocess.CompletedProcess(command, process.returncode, *output)
        for process, output in zip(running, outputs, strict=True)
    ]


def test_a_closed_port_is_reported_at_once(settings: Settings) -> None:
    """A server that is not there costs no minutes of retries, and the error says what to do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://user:secret@127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        connect(at(settings, address))

    assert time.monotonic() - started < 5
    assert "secret" not in str(caught.value)
    assert caught.value.exit_code == 5
    assert "cannot be reached" in str(caught.value)
    assert "EQN_TRACKING_URI" in str(caught.value)


def test_a_silent_server_is_given_up(settings: Settings) -> None:
    """A server that accepts and never answers is reported after seconds."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            connect(at(settings, f"http://127.0.0.1:{silent.getsockname()[1]}"))

    assert time.monotonic() - started < 15


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"", b'{"error_code": "PERMISSION_DENIED", "message": "not for you"}'])
def test_a_server_that_refuses_is_not_called_a_bug(settings: Settings, status: int, body: bytes) -> None:
    """Wrong credentials are a store that refuses us, with the variables to check."""
    with (
        serving(answering(status, body)) as address,
        pytest.raises(StoreUnavailable, match="refuses access") as caught,
        tracking.run(at(settings, address), "refused"),
    ):
        pytest.fail("the block must not be entered")

    assert "MLFLOW_TRACKING_PASSWORD" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (503, b"<html>a gateway's words</html>"), (200, b"<html>another server</html>")]
)
def test_a_server_that_is_out_of_order_is_one_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes
) -> None:
    """Neither its errors nor a page of somebody else's server end in a traceback: exit code 5."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with serving(answering(status, body)) as address, pytest.raises(StoreUnavailable) as caught:
        list_versions(at(settings, address))

    assert caught.value.what.startswith(f"MLflow at {address} cannot be reached: ")
    assert "\n" not in caught.value.what


def test_a_server_that_hangs_is_given_up_after_half_a_minute(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is asked, how often and how long in all is bounded; here with a tenth of the seconds for each answer."""
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    Silence.asked.clear()
    with serving(Silence) as address:
        connect(at(settings, address))
        seconds = int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            list_versions(at(settings, address))
        Silence.ended.set()

    assert len(Silence.asked) * seconds <= 30


def test_transfers_of_files_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only while they last, and not where somebody has chosen otherwise."""
    timeout = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    for chosen, during in (("10", "60"), ("3", "3")):
        monkeypatch.setenv(timeout, chosen)
        with transferring("http://127.0.0.1:1"):
            assert os.environ[timeout] == during
        assert os.environ[timeout] == chosen


def test_a_database_server_that_is_away_or_hangs_is_reported_after_seconds(settings: Settings) -> None:
    """MLflow itself would try ten times; the password is not printed."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"postgresql+psycopg2://eqn:secret@127.0.0.1:{silent.getsockname()[1]}/mlflow"
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
                connect(at(settings, address))
            assert time.monotonic() - started < 20
            assert "secret" not in str(caught.value)
            silent.listen()  # the second time it takes the call and says nothing


class Stranger(socketserver.BaseRequestHandler):
    """A PostgreSQL server that knows nobody, as far as its protocol is needed for saying so."""

    def handle(self) -> None:
        self.request.recv(1024)  # may it be encrypted?
        self.request.sendall(b"N")
        self.request.recv(1024)  # who is there?
        fields = b'SFATAL\0C28P01\0Mpassword authentication failed for user "eqn"\0\0'
        self.request.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)


def test_a_database_server_that_refuses_us_is_not_called_unreachable(settings: Settings) -> None:
    """What to correct is the password, not the address."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"postgresql://eqn:secret@127.0.0.1:{server.server_address[1]}/mlflow"
        with pytest.raises(StoreUnavailable, match=r"refuses access.*password authentication failed") as caught:
            connect(at(settings, address))
        server.shutdown()

    assert "secret" not in str(caught.value)
    assert "password in EQN_TRACKING_URI" in str(caught.value)


def test_a_password_in_the_address_is_not_printed() -> None:
    """Addresses are shown without their password."""
    assert shown("https://user:secret@host:5000/path") == "https://user:***@host:5000/path"
    assert shown("sqlite:////home/eqn.db") == "sqlite:////home/eqn.db"


@pytest.mark.parametrize("address", ["mlruns", "file:///tmp/mlruns", "databricks", "htp://host", "sqlite://"])
def test_an_address_of_another_kind_is_refused(settings: Settings, address: str) -> None:
    """MLflow would take such an address and write somewhere else, or fail later."""
    with pytest.raises(UsageError, match="EQN_TRACKING_URI"):
        connect(at(settings, address))


def test_a_file_that_is_no_database_is_left_alone(bare_settings: Settings) -> None:
    """A file that is something else is refused at once and not touched."""
    path = bare_settings.home / "mlflow" / "mlflow.db"
    path.parent.mkdir(parents=True)
    path.write_text("my notes, not a database" * 100, "utf-8")
    with pytest.raises(UsageError, match="something else"):
        connect(bare_settings)

    assert path.read_text("utf-8").startswith("my notes")


def test_a_database_that_cannot_be_opened_is_reported_at_once(bare_settings: Settings) -> None:
    """MLflow's own ten attempts would take more than a minute."""
    (bare_settings.home / "mlflow" / "mlflow.db").mkdir(parents=True)
    with pytest.raises(EqnError):
        connect(bare_settings)


def test_a_full_disk_is_storage_full(settings: Settings) -> None:
    """SQLite's "database or disk is full" becomes exit code 6."""

    def fill(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes it as: what is there, and no page more

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", fill)
    try:
        with pytest.raises(StorageFull) as caught, tracking.run(settings, "full") as run:  # noqa: PT012
            for step in range(1000):
                run.metrics({f"metric/{step}/{n}": n for n in range(100)}, step=step)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", fill)

    assert caught.value.exit_code == 6


def test_several_processes_create_one_database(bare_settings: Settings) -> None:
    """Processes that all find no database do not break it: each gets through, and nothing is left beside it."""
    code = f"""
from pathlib import Path
from eqn.registry import tracking
from eqn.settings import Settings
settings = Settings.model_validate_json({bare_settings.model_dump_json()!r})
with tracking.run(settings, "at once") as run:
    run.metrics({{"x": 1.0}}, step=0)
"""
    done = in_processes(code, 2)

    assert [(process.returncode, process.stdout, process.stderr) for process in done] == [(0, "", "")] * 2
    client: Any = connect(bare_settings)
    runs = client.search_runs([tracking.experiment_id(client, bare_settings)])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert sorted(path.name for path in (bare_settings.home / "mlflow").iterdir()) == ["mlflow.db", "mlflow.db.lock"]


@pytest.mark.parametrize("module", ["tracking", "versions", "resolution", "champions", "promotion", "logged_model"])
def test_importing_the_registry_imports_no_mlflow(module: str, tmp_path: Path) -> None:
    """MLflow takes more than a second to import: only who uses it pays."""
    code = f"import sys, eqn.registry.{module}; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
