"""`make up`, `make status` and `make down` with the real servers."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.stack.places import Places, recall
from infra.stack.processes import STACK, is_alive, marked
from infra.stack.supervision import look, pid_of
from tests.infra.listening import listening, off_loopback
from tests.infra.running_stack import ROOT, RunningStack

pytestmark = pytest.mark.team

PROGRAMS = {"postgres", "prefect", "mlflow", "metrics", "pages", "worker-cpu", "worker-gpu"}
DAEMONS = ("mon", "osd", "rgw")
VARIABLE = [sys.executable, "-m", "prefect", "variable"]


def test_after_a_start_everything_is_up(stack: RunningStack) -> None:
    """Servers and workers answer where status says they are."""
    done = stack.command("status", "--json")

    parts = {part["name"]: part for part in json.loads(done.stdout)}
    assert done.returncode == 0
    assert {name: part["state"] for name, part in parts.items()} == dict.fromkeys(PROGRAMS | {"s3"}, "up")
    assert b"MLflow" in _read(parts["mlflow"]["address"])
    assert b"Prefect" in _read(parts["prefect"]["address"])
    assert b"<title>Releases</title>" in _read(parts["pages"]["address"])
    assert stack.environment["EQN_PAGES_URL"] == parts["pages"]["address"]


def test_the_environment_leads_to_the_stack(stack: RunningStack) -> None:
    """A shell that reads the file uses its servers and its bucket, and Prefect knows the deployments."""
    file = stack.home / "stack" / "environment"
    command = f". {file} && {sys.executable} -m eqn.cli store doctor && {sys.executable} -m prefect deployment ls"
    said = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    ).stdout

    assert "s3://eqn/releases" in said
    assert "nightly" in said


def test_a_second_start_changes_nothing(stack: RunningStack) -> None:
    """What runs goes on with the same processes and at the same addresses."""
    before = _pids(stack.home), (stack.home / "stack" / "environment").read_text("utf-8")

    done = stack.command("up")

    assert done.returncode == 0
    assert (_pids(stack.home), (stack.home / "stack" / "environment").read_text("utf-8")) == before


def test_whatever_is_killed_comes_back(stack: RunningStack) -> None:
    """Servers, workers and the database are killed all at once; MLflow's own children stay behind and hold its port."""
    before = _pids(stack.home)
    for name in PROGRAMS:
        os.kill(before[name], signal.SIGKILL)

    _wait(lambda: stack.command("status").returncode == 0)

    after = _pids(stack.home)
    assert [name for name in PROGRAMS if after[name] == before[name]] == []


def test_what_supervisord_does_not_watch_is_started_by_the_next_start(stack: RunningStack) -> None:
    """A killed S3 gateway, and a killed supervisord whose programs run on: everything is there once, and up."""
    places = Places(stack.home)
    supervisor = pid_of(places)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    os.kill(_pids(stack.home)["rgw"], signal.SIGKILL)
    _wait(lambda: not is_alive(supervisor, **{STACK: recall(places).identity}))
    assert stack.command("status").returncode == 5

    done = stack.command("up")

    assert done.returncode == 0, done.stderr
    assert stack.command("status").returncode == 0
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in _own(stack.home)]
    assert sum(b"supervisord" in command for command in commands) == 1
    assert sum(b"worker\0start" in command for command in commands) == 2


def test_nobody_else_can_read_a_secret(stack: RunningStack) -> None:
    """Files with secrets are their owner's; no command line and no log holds one."""
    folder = stack.home / "stack"
    secrets = [(folder / "secrets" / name).read_bytes() for name in ("postgres", "prefect", "mlflow")]
    secrets.append(stack.environment["AWS_SECRET_ACCESS_KEY"].encode())

    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    private = [folder / "environment", folder / "s3" / "credentials", *(folder / "secrets").iterdir()]
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in private} == {file.name: "0o600" for file in private}
    told = [_command_line(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    told += [log.read_bytes() for log in (folder / "logs").rglob("*") if log.is_file()]
    told += [log.read_bytes() for log in (folder / "s3" / "log").iterdir()]
    told.append((folder / "supervisor" / "configuration.ini").read_bytes())
    assert [text[:200] for text in told for secret in secrets if secret in text] == []


def test_nothing_of_it_listens_where_others_could_come(stack: RunningStack) -> None:
    """As the kernel sees it: every server, worker and daemon of S3 takes connections on loopback only."""
    processes = [*_own(stack.home), *_pids(stack.home).values()]

    assert len(listening(processes)) >= len(PROGRAMS - {"worker-cpu", "worker-gpu"}) + 1
    assert off_loopback(processes) == set()


def test_two_cannot_start_or_end_it_at_the_same_time(stack: RunningStack) -> None:
    """The second is told to wait."""
    with Places(stack.home).locked():
        done = stack.command("down")

    assert done.returncode == 4
    assert "by another command" in done.stderr


@dataclasses.dataclass(frozen=True)
class Ended:
    """A stack after `down`, and what it was before."""

    stack: RunningStack
    done: "subprocess.CompletedProcess[str]"
    pids: dict[str, int]
    orphan: "subprocess.Popen[bytes]"
    """A process as a flow run's, which has lost its worker."""


@pytest.fixture(scope="module")
def ended(stack: RunningStack) -> Iterator[Ended]:
    """The stack, ended; the last test starts it again, for other modules as well."""
    subprocess.run([*VARIABLE, "set", "kept", "yes"], env=stack.environment, cwd=ROOT, check=True)
    pids = _pids(stack.home)
    mark = {STACK: recall(Places(stack.home)).identity}
    orphan = subprocess.Popen(["sleep", "600"], env=mark, start_new_session=True)
    yield Ended(stack, stack.command("down"), pids, orphan)
    orphan.kill()
    if stack.command("status").returncode:
        stack.command("up")


def test_ending_leaves_nothing_running(ended: Ended) -> None:
    """A flow's process that lost its worker ends as well; a second time is no fault."""
    stack = ended.stack

    assert ended.done.returncode == 0
    assert ended.orphan.wait(timeout=10) == -signal.SIGTERM
    assert _own(stack.home) == []
    assert [name for name, pid in ended.pids.items() if _runs_here(pid, stack.home)] == []
    assert stack.command("down").returncode == 0
    assert stack.command("status").returncode == 5


def test_a_database_that_refuses_us_is_one_sentence(ended: Ended) -> None:
    """Secrets that do not belong to the cluster: exit code 5 and what to do, no traceback."""
    file = ended.stack.home / "stack" / "secrets" / "postgres"
    right = file.read_text("utf-8")
    file.write_text("another")

    done = ended.stack.command("up")

    file.write_text(right)
    assert done.returncode == 5
    assert "refuses the password" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_start_shows_its_last_words(ended: Ended) -> None:
    """A cluster that is damaged: PostgreSQL's last lines and its log are shown."""
    assert ended.stack.command("down").returncode == 0
    file = ended.stack.home / "stack" / "postgres" / "cluster" / "global" / "pg_control"
    aside = file.with_name("aside")
    file.rename(aside)

    done = ended.stack.command("up")

    aside.rename(file)
    assert done.returncode == 5
    assert "expected postgres to start" in done.stderr
    assert "could not open file" in done.stderr
    assert "postgres.log" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_later_start_finds_the_data_again(ended: Ended) -> None:
    """What the servers knew before they know again."""
    started = ended.stack.command("up")

    environment = ended.stack.environment
    said = subprocess.run([*VARIABLE, "get", "kept"], env=environment, cwd=ROOT, capture_output=True, check=True)
    assert started.returncode == 0, started.stderr
    assert b"yes" in said.stdout


def _pids(home: Path) -> dict[str, int]:
    places = Places(home)
    daemons = {name: int((places.s3 / "run" / f"{name}.pid").read_text("utf-8")) for name in DAEMONS}
    return {program.name: program.pid for program in look(places)} | daemons


def _own(home: Path) -> list[int]:
    return marked(**{STACK: recall(Places(home)).identity})


def _runs_here(pid: int, home: Path) -> bool:
    return str(home).encode() in _command_line(Path("/proc", str(pid)))


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def _read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  loopback
        content: bytes = answer.read()
    return content


def _wait(until: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(1)
