"""What the stack's commands rest on, and what they say where there is no stack: without servers."""

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from eqn.errors import UsageError
from infra.stack.__main__ import _page
from infra.stack.places import Places, free_port, recall, remember, write_private
from infra.stack.processes import PROGRAM, STACK, end_marked, is_alive, marked
from infra.stack.programs import Program, programs_of, team_environment
from infra.stack.status import status
from infra.stack.supervision import configure
from tests.infra.running_stack import ROOT, call

S3 = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "canary-of-s3"}
PASSWORDS = {"postgres": "canary-of-postgres", "prefect": "canary-of-prefect", "mlflow": "canary-of-mlflow"}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "%d")  # a per cent sign means something to supervisord
    made.make()
    return made


@pytest.fixture
def programs(places: Places) -> dict[str, Program]:
    memory = recall(places)
    memory.ports = {"prefect": 4200, "mlflow": 5000, "metrics": 9464, "pages": 8480, "postgres": 5432, "s3": 9000}
    return programs_of(places, memory, s3=S3, passwords=PASSWORDS, postgres=Path("/usr/bin"), postgres_user="postgres")


def test_no_secret_is_on_a_command_line_or_in_supervisords_configuration(
    places: Places, programs: dict[str, Program]
) -> None:
    """They are in one file, for its owner; passwords of the database do not reach the workers."""
    configure(places, recall(places), programs)

    configuration = (places.supervisor / "configuration.ini").read_text("utf-8")
    commands = [part for program in programs.values() for part in program.command]
    assert [text for text in [configuration, *commands] if "canary" in text] == []
    assert "canary-of-prefect" in programs["prefect"].environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert [name for name, program in programs.items() if "canary-of-mlflow" in str(program.environment)] == ["mlflow"]
    assert places.programs.stat().st_mode & 0o777 == 0o600
    assert "canary-of-prefect" in places.programs.read_text("utf-8")


def test_supervisord_reads_back_what_was_configured(places: Places, programs: dict[str, Program]) -> None:
    """Paths with a per cent sign included."""
    from supervisor.options import ServerOptions  # type: ignore[import-untyped]

    configure(places, recall(places), programs)
    options = ServerOptions()
    options.realize(["-c", str(places.supervisor / "configuration.ini"), "-n"])

    read = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert read.keys() == programs.keys()
    assert str(places.programs) in read["prefect"].command
    assert read["mlflow"].stdout_logfile == str(places.logs / "mlflow.log")
    assert [name for name, one in read.items() if one.autostart or not one.autorestart] == []


def test_a_changed_environment_looks_changed_to_supervisord(places: Places, programs: dict[str, Program]) -> None:
    """Otherwise it would let the program run on with the old one."""
    memory = recall(places)
    remember(places, memory)
    configure(places, memory, programs)
    before = (places.supervisor / "configuration.ini").read_text("utf-8")

    configure(places, memory, programs | {"mlflow": Program(programs["mlflow"].command, {"OTHER": "value"})})

    after = (places.supervisor / "configuration.ini").read_text("utf-8")
    changed = [line for line, old in zip(after.splitlines(), before.splitlines(), strict=True) if line != old]
    assert len(changed) == 1
    assert 'EQN_STACK_PROGRAM="mlflow"' in changed[0]


def test_the_team_uses_the_stack_and_nothing_of_its_passwords(places: Places) -> None:
    memory = recall(places)
    memory.ports = {"prefect": 4321, "mlflow": 5432, "pages": 8485}

    variables = team_environment(places, memory, S3)

    assert variables["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert variables["EQN_TRACKING_URI"] == variables["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5432"
    assert variables["EQN_PAGES_URL"] == "http://127.0.0.1:8485"
    assert S3.items() <= variables.items()
    assert "127.0.0.1" in variables["NO_PROXY"]
    assert [value for value in variables.values() if any(one in value for one in PASSWORDS.values())] == []


def test_only_processes_with_the_mark_are_ended() -> None:
    """By what they started with: one that ignores the request is ended by force, a like one without the mark lives."""
    identity = str(uuid.uuid4())
    plain = subprocess.Popen(["sleep", "600"], env={STACK: identity, PROGRAM: "a"})
    ignoring = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    )
    stubborn = subprocess.Popen(
        [sys.executable, "-c", ignoring], env={STACK: identity, PROGRAM: "b"}, stdout=subprocess.PIPE
    )
    other = subprocess.Popen(["sleep", "600"], env={STACK: f"{identity}0"})
    try:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        assert marked(**{STACK: identity, PROGRAM: "b"}) == [stubborn.pid]

        assert end_marked(seconds=0.2, **{STACK: identity}) == 2

        assert (plain.wait(10), stubborn.wait(10)) == (-signal.SIGTERM, -signal.SIGKILL)
        assert marked(**{STACK: identity}) == []
        assert is_alive(other.pid, **{STACK: f"{identity}0"})
    finally:
        for process in (plain, stubborn, other):
            process.kill()
            process.communicate()


def test_a_taken_port_is_not_chosen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert free_port(port) != port
    assert free_port(port) == port
    assert free_port(port, {port}) != port


def test_what_is_written_for_the_owner_is_never_there_for_others(tmp_path: Path) -> None:
    """Neither a wide umask nor a file that was there before opens it."""
    file = tmp_path / "secret"
    file.touch(mode=0o644)
    before = os.umask(0)
    try:
        write_private(file, "canary")
    finally:
        os.umask(before)

    assert (file.stat().st_mode & 0o777, file.read_text("utf-8")) == (0o600, "canary")
    assert list(tmp_path.iterdir()) == [file]


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="shorter path"):
        Places(tmp_path / ("long" * 30)).make()


def test_without_a_stack_status_says_what_starts_one(tmp_path: Path) -> None:
    """Everything is down: exit code 5; nothing is made by asking."""
    done = call(tmp_path / "none", "status", "--json")

    assert done.returncode == 5
    assert {part["state"] for part in json.loads(done.stdout)} == {"down"}
    assert "make up" in done.stderr
    assert not (tmp_path / "none").exists()


def test_without_a_stack_there_is_nothing_to_end(tmp_path: Path) -> None:
    done = call(tmp_path / "none", "down")

    assert (done.returncode, done.stdout) == (0, "There is no stack here.\n")


def test_every_command_of_the_makefile_is_in_its_help() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"up", "status", "down", "deploy"} <= {line.split()[0] for line in told.splitlines()}


def test_a_stack_of_an_earlier_version_has_no_page_server_yet(tmp_path: Path) -> None:
    """Its status says so; the next start gives it a port."""
    places = Places(tmp_path)
    places.make()
    memory = recall(places)
    memory.ports = {"prefect": 1, "mlflow": 1, "metrics": 1, "postgres": 1, "s3": 1}
    remember(places, memory)

    parts = {part.name: part for part in status(places)}
    assert (parts["pages"].state, parts["pages"].address) == ("down", "")


def test_the_page_of_the_stack_leads_to_every_page(places: Places) -> None:
    memory = recall(places)
    memory.ports = {"prefect": 4200, "mlflow": 5000, "metrics": 9464, "pages": 8480}

    told = _page(places, memory)
    assert [port for port in memory.ports.values() if f"http://127.0.0.1:{port}" not in told] == []
