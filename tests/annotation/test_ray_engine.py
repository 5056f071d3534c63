"""Annotating on a real Ray cluster of two nodes: the same bytes, whichever node dies."""

import contextlib
import dataclasses
import io
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.annotation import ray_cluster
from eqn.annotation.annotator import Annotator
from eqn.annotation.columns import output_schema
from eqn.annotation.dispatch import Dispatch
from eqn.annotation.engine import Engine
from eqn.annotation.ray_cluster import connected
from eqn.annotation.ray_engine import RayEngine
from eqn.cli import run
from eqn.corpus.inputs import find_inputs
from eqn.errors import StoreUnavailable, UsageError
from eqn.records import ModelRef
from eqn.release import plan as plans
from eqn.release.catalog import read_manifest, verify
from eqn.release.plan import make_plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore

pytestmark = pytest.mark.stack
PROJECT = Path(__file__).parents[2]
# The nodes listen on the network. Ray reads this once, when it is imported: no fixture would be early enough.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
ROWS = 300
SHARD = 8


@dataclasses.dataclass
class Nodes:
    """The cluster, in a process of its own."""

    process: "subprocess.Popen[str]"
    address: str
    temporary: Path
    """The temporary folder of its nodes."""
    added: int = 0

    def tell(self, command: str) -> int:
        """Carry out a command; gives how many actors annotate now."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        self.added += command.startswith("add") - (command == "kill")
        return int(self.process.stdout.readline())

    def require_no_actors(self) -> None:
        """All actors end soon, without being asked again."""
        until = time.monotonic() + 60
        while self.tell("actors"):
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """A cluster of one node with one CPU."""
    folder = tempfile.mkdtemp(prefix="eqn-ray-")  # paths of sockets may have 107 characters
    temporary = Path(folder) / "temporary"
    temporary.mkdir()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    with (Path(folder) / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.annotation.ray_nodes", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=PROJECT,
            env=environment,
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                pytest.fail((Path(folder) / "log").read_text())
            yield Nodes(process, address, temporary)
        finally:
            process.communicate(timeout=120)


@pytest.fixture
def nodes(cluster: Nodes) -> Iterator[Nodes]:
    """The cluster, without what a test added to it."""
    yield cluster
    while cluster.added:
        cluster.tell("kill")


@pytest.fixture
def letters(tmp_path: Path, texts: list[str]) -> Path:
    """A file of 300 rows."""
    path = tmp_path / "letters.parquet"
    rows = {"id": [f"{n:05}" for n in range(ROWS)], "text": [f"{texts[n % 60]} {n}" for n in range(ROWS)]}
    pq.write_table(pa.table(rows | {"stars": list(range(ROWS))}), path)
    return path


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rows make a shard, so that 300 are many."""
    monkeypatch.setattr(plans, "ROWS", SHARD)


def published(
    store: DirectoryStore,
    letters: Path,
    annotator: Annotator,
    *,
    engine: Engine | None = None,
    report: Callable[[int, int], None] = lambda rows, tokens: None,
) -> str:
    """Publish the letters; gives the digest of all that was written."""
    model = ModelRef(str(annotator.package.path), annotator.package.digest)
    plan = make_plan(store, "letters", find_inputs([str(letters)]), model=model, annotator=annotator)
    publish(store, plan, annotator, engine=engine, report=report)
    manifest = read_manifest(store, "letters")
    assert len(manifest.inputs[0].parts) == -(-ROWS // SHARD)
    verify(store, manifest)
    return manifest.content_digest


def ids(store: DirectoryStore) -> list[str]:
    folder = Path(store.address(read_manifest(store, "letters").path), "data")
    return [i for part in sorted(folder.iterdir()) for i in pq.read_table(part).column("id").to_pylist()]


def await_actors(engine: RayEngine) -> None:
    while engine._loading:
        engine._settle_one(seconds=None)


def test_two_nodes_write_what_one_process_writes(
    nodes: Nodes, letters: Path, annotator: Annotator, tmp_path: Path
) -> None:
    """Every byte of the release; every row and its tokens are reported once; afterwards no actor is left."""
    nodes.tell("add")
    local: list[tuple[int, int]] = []
    expected = published(
        DirectoryStore(tmp_path / "local"), letters, annotator, report=lambda *heard: local.append(heard)
    )
    heard: list[tuple[int, int]] = []
    with connected(nodes.address):
        with RayEngine(annotator) as engine:
            await_actors(engine)
            assert nodes.tell("actors") == 2
            assert engine.in_flight == 4
            found = published(
                DirectoryStore(tmp_path / "ray"),
                letters,
                annotator,
                engine=engine,
                report=lambda *rows: heard.append(rows),
            )
        nodes.require_no_actors()

    assert found == expected
    assert [rows for rows, _ in heard] == [SHARD] * (ROWS // SHARD) + [ROWS % SHARD]
    assert sum(tokens for _, tokens in heard) == sum(tokens for _, tokens in local)


def test_a_node_that_dies_costs_no_row(
    nodes: Nodes, letters: Path, annotator: Annotator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two nodes is frozen with its shards and killed with SIGKILL: the release is the same to the byte."""
    nodes.tell("add")
    expected = published(DirectoryStore(tmp_path / "local"), letters, annotator)
    lost: list[int] = []
    whole = Dispatch.lost

    def noted(self: Dispatch, worker: int, *, wanted: Container[int], reason: str) -> None:
        lost.append(len(self._held[worker]))
        whole(self, worker, wanted=wanted, reason=reason)

    monkeypatch.setattr(Dispatch, "lost", noted)
    killing: list[threading.Timer] = []

    def freeze(rows: int, tokens: int) -> None:
        if not killing:
            nodes.tell("freeze")
            killing.append(threading.Timer(2, nodes.tell, ["kill"]))  # until then it is handed what it never answers
            killing[0].start()

    store = DirectoryStore(tmp_path / "ray")
    with connected(nodes.address), RayEngine(annotator) as engine:
        await_actors(engine)
        found = published(store, letters, annotator, engine=engine, report=freeze)
    killing[0].join()

    assert lost == [2]
    assert found == expected
    assert ids(store) == [f"{n:05}" for n in range(ROWS)]


def test_a_shard_that_is_let_go_of_takes_no_place(nodes: Nodes, annotator: Annotator, texts: list[str]) -> None:
    """Those that wait, that are computed and that are done: the one that is wanted comes after all of them."""
    rows = pa.table({"id": [str(n) for n in range(60)], "text": texts})
    with connected(nodes.address), RayEngine(annotator) as engine:
        started = [engine.start(rows, output_schema([]), uncertainty=False) for _ in range(6)]
        started[0].cancel()
        started[1].table(lambda *_: None)
        for shard in started[:5]:
            shard.cancel()
        heard: list[int] = []
        table = started[5].table(lambda count, _: heard.append(count))
        while engine._running:
            engine._settle_one(seconds=None)

        assert heard == [60]
        assert table.column("joy").to_pylist() == annotator.scores(texts)[:, 17].tolist()
        assert engine._shards == engine._results == {}


def test_a_node_without_eqn_is_named(
    nodes: Nodes, annotator: Annotator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what is missing, and how to install it."""
    monkeypatch.chdir(tmp_path)  # Ray lets its workers import from where the driver was started
    bare = tmp_path / "bare" / "eqn"
    bare.mkdir(parents=True)
    (bare / "__init__.py").write_text("raise ModuleNotFoundError('none', name='eqn')")
    nodes.tell(f"add {bare.parent}")

    with connected(nodes.address), RayEngine(annotator) as engine, pytest.raises(UsageError) as caught:
        await_actors(engine)
    assert caught.value.what.endswith(f"the node {socket.gethostname()} lacks the package 'eqn'.")
    assert 'pip install "eqn[ray]"' in caught.value.todo
    assert list(nodes.temporary.glob("eqn-*")) == []  # the other node was loading at that time


def test_a_node_that_computes_otherwise_is_refused(nodes: Nodes, annotator: Annotator) -> None:
    """Its rows would not be those that the job's identity promises."""

    class Elsewhere(Annotator):
        @property
        def options(self) -> dict[str, Any]:
            return super().options | {"back_end": "torch cuda"}

    driver = Elsewhere(annotator.package, annotator._back_end)
    with connected(nodes.address), RayEngine(driver) as engine, pytest.raises(UsageError) as caught:
        await_actors(engine)
    assert caught.value.faults == ("back_end: torch cuda here, torch cpu there",)


def call(*arguments: object) -> tuple[int, str]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        code = run([str(argument) for argument in arguments])
    return code, errors.getvalue()


def test_an_address_where_nobody_listens_ends_with_5(
    letters: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message, no traceback, and nothing was written."""
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        options = ["--dataset", "letters", "--model", package, "--engine", "ray", "--address", address]
        code, errors = call("annotate", letters, *options)

    assert code == 5
    assert errors.startswith(f"eqn: expected a Ray cluster at {address}; there is none that can be used")
    assert len(errors.splitlines()) == 2
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "options", [["--address", "auto"], ["--engine", "ray", "--address", "ray://here"], ["--engine", "nowhere"]]
)
def test_an_address_or_engine_that_cannot_be_is_refused(letters: Path, package: Path, options: list[str]) -> None:
    """Before anything is started: exit code 2."""
    code, errors = call("annotate", letters, "--dataset", "letters", "--model", package, *options)

    assert code == 2
    assert options[-1] in errors or "--address with --engine ray" in errors


def test_a_server_that_is_no_cluster_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody listens and never answers: Ray itself would ask for many minutes."""
    monkeypatch.setattr(ray_cluster, "_SECONDS_TO_ANSWER", 3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StoreUnavailable, match="no answer within 3 s"), connected(address):
            pytest.fail("connected to nobody")


def test_ray_on_this_machine_alone_leaves_nothing_behind(letters: Path, package: Path, tmp_path: Path) -> None:
    """Without an address the command starts Ray and ends it: no process and no file of it remains."""
    mark = f"EQN_TEST_RUN={uuid.uuid4()}"
    temporary, user = Path(tempfile.mkdtemp(prefix="eqn-")), tmp_path / "user"
    user.mkdir()
    name, _, value = mark.partition("=")
    environment = {key: there for key, there in os.environ.items() if not key.startswith("RAY_")} | {
        "EQN_HOME": str(tmp_path / "home"),
        "TMPDIR": str(temporary),
        "HOME": str(user),
        name: value,
    }
    options = ["--dataset", "letters", "--model", str(package), "--back-end", "fp32", "--engine", "ray"]
    try:
        subprocess.run(
            [sys.executable, "-m", "eqn.cli", "annotate", str(letters), *options],
            env=environment,
            cwd=PROJECT,
            check=True,
            capture_output=True,
        )
        assert list(temporary.iterdir()) == []
        assert not (user / ".ray").exists()  # where Ray keeps a token that it had to make
    finally:
        shutil.rmtree(temporary)
    assert ids(DirectoryStore(tmp_path / "home" / "releases")) == [f"{n:05}" for n in range(ROWS)]
    until = time.monotonic() + 30
    while left := marked(mark):
        assert time.monotonic() < until, left
        time.sleep(0.2)


def marked(mark: str) -> list[bytes]:
    """Give the command lines of all processes that were started, by whomever, with this environment."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in environment.read_bytes().split(b"\0"):
                found.append(environment.with_name("cmdline").read_bytes())
    return found
