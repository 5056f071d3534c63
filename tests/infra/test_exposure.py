"""Every server of the project listens on loopback; where one may listen elsewhere, it asks who is there."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from eqn.cli import run as cli
from eqn.errors import UsageError
from eqn.telemetry.ledger import Ledger
from eqn.telemetry.serve import exporter
from infra.stack.places import Memory, Places
from infra.stack.programs import programs_of
from tests.infra.listening import listening, off_loopback, with_descendants

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-that-nobody-guesses"  # noqa: S105  no real one

EMBEDDED = """
import sys
from prefect.settings import PREFECT_API_URL
from eqn.settings import load_settings
from flows.embedded import server_of
with server_of(load_settings()):
    print(PREFECT_API_URL.value(), file=sys.stderr, flush=True)
    sys.stdin.read()
"""

SERVERS = {
    "release serve": ["-m", "eqn.cli", "release", "serve", "--port", "0"],
    "metrics serve": ["-m", "eqn.cli", "metrics", "serve", "--port", "0"],
    "embedded Prefect": ["-c", EMBEDDED],
}


def test_the_look_at_the_kernel_sees_both_kinds() -> None:
    """A socket on every address is told from one on loopback, in both versions of the protocol."""
    with (
        socket.create_server(("127.0.0.1", 0)) as near,
        socket.create_server(("0.0.0.0", 0)) as far,  # noqa: S104  the proof; closed at once
        socket.socket(socket.AF_INET6) as near6,
    ):
        near6.bind(("::1", 0))
        near6.listen()
        ports = [server.getsockname()[1] for server in (near, far, near6)]
        seen = listening([os.getpid()])

        assert {("127.0.0.1", ports[0]), ("0.0.0.0", ports[1]), ("::1", ports[2])} <= seen  # noqa: S104  expected
        assert ("0.0.0.0", ports[1]) in off_loopback([os.getpid()])  # noqa: S104  expected
        assert not {("127.0.0.1", ports[0]), ("::1", ports[2])} & off_loopback([os.getpid()])


@contextlib.contextmanager
def running(command: list[str], home: Path) -> Iterator[tuple[int, str]]:
    """Run one of the servers until the block ends; gives its process and the address that it says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EQN_", "PREFECT_"))}
    server = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment | {"EQN_HOME": str(home)},
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stderr is not None
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found is not None
        yield server.pid, found[0]
    finally:
        server.terminate()
        server.communicate(timeout=60)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_listens_on_loopback_only(tmp_path: Path, name: str) -> None:
    with running(SERVERS[name], tmp_path / "home") as (process, address):
        family = with_descendants(process)
        port = int(address.removeprefix("http://").partition("/")[0].rpartition(":")[2])

        assert ("127.0.0.1", port) in listening(family)
        assert off_loopback(family) == set()


def test_the_page_server_cannot_be_told_to_listen_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in it asks who is there, so there is no way to open it."""
    assert cli(["release", "serve", "--address", "0.0.0.0"]) == 2  # noqa: S104  refused
    assert "--address" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["0.0.0.0", "::", ""])  # noqa: S104  refused
@pytest.mark.parametrize("token", ["", "too short"])
def test_without_a_token_the_exporter_does_not_listen_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str, token: str
) -> None:
    monkeypatch.setenv("EQN_HOME", str(tmp_path))
    monkeypatch.setenv("EQN_METRICS_TOKEN", token)

    assert cli(["metrics", "serve", "--port", "0", "--address", address]) == 2

    told = capsys.readouterr().err
    assert "EQN_METRICS_TOKEN" in told
    assert not token or token not in told


def test_elsewhere_the_exporter_asks_for_its_token(tmp_path: Path) -> None:
    """Nothing is told without it, with another one, or with a beginning of it."""
    with exporter(Ledger(tmp_path), "0.0.0.0", 0, token=TOKEN) as (address, _):  # noqa: S104  with a token
        local = address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104  as it says
        headers: list[dict[str, str]] = [{}, *({"Authorization": f"{kind}"} for kind in REFUSED)]
        answers = [_status(local, header) for header in headers]
        right = _status(local, {"Authorization": f"Bearer {TOKEN}"})

    assert answers == [(401, False)] * len(headers)
    assert right == (200, True)


REFUSED = ("Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \u00e9")


def test_on_loopback_the_exporter_answers_whoever_asks(tmp_path: Path) -> None:
    with exporter(Ledger(tmp_path), "localhost", 0, token=TOKEN) as (address, _):
        assert _status(address, {}) == (200, True)


def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="expected to listen on"),
        exporter(Ledger(tmp_path), "no.such.name.invalid", 0),
    ):
        pass


def test_what_containers_publish_is_on_loopback() -> None:
    """Each port of compose.yaml names its address; without one Docker opens it to the network."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text("utf-8"))
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]

    assert len(published) == 3
    assert [port for port in published if not str(port).startswith("127.0.0.1:")] == []


def test_no_program_of_the_stack_is_told_to_listen_elsewhere(tmp_path: Path) -> None:
    """`make up` gives every server that takes an address loopback; none of its options opens one."""
    ports = {"prefect": 4200, "mlflow": 5000, "metrics": 9464, "pages": 8480, "postgres": 1, "s3": 2}
    secrets = {"prefect": "p", "mlflow": "m"}
    programs = programs_of(
        Places(tmp_path), Memory("one", ports, cluster="/cluster"),
        s3={}, passwords=secrets, postgres=Path("/postgres"), postgres_user="",
    )  # fmt: skip
    hosts = [
        program.command[program.command.index("--host") + 1]
        for program in programs.values()
        if "--host" in program.command
    ]

    assert hosts == ["127.0.0.1"] * 2
    assert "--address" not in str(programs)
    assert "0.0.0.0" not in str(programs)  # noqa: S104  refused


def _status(address: str, headers: dict[str, str]) -> tuple[int, bool]:
    """Give the answer's status, and whether it tells any figure."""
    request = urllib.request.Request(address, headers=headers)  # noqa: S310  loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  loopback
            return answer.status, b"eqn_telemetry_readable" in answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, b"eqn_" in refused.read()
