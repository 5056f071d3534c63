"""What Prefect adds to annotating: the flow `annotate` beside the bare command `eqn annotate`, on the same rows.

    pip install 'eqn[pipeline]'
    python bench/orchestration.py --data DIR                 100,000 rows, three rounds
    python bench/orchestration.py --data DIR --quick         10,000 rows: what a run costs once weighs ten times as much
    python bench/orchestration.py --rows 50000 --markdown    the tables of bench/orchestration.md

    bare     python -m eqn.cli annotate FOLDER --dataset inbox
    flow     python -m prefect.engine, the process in which a worker runs a flow run of a deployment; its inbox,
             dataset and model are the same

Both are timed from the start of their process to its end, imports and all, by turns, each time in a state folder and a
store of its own; the choice of a back end is made once before and laid into each. The release must be the same, byte
for byte. Prefect's server is a real one that is started here (SQLite, in a folder of its own), or that of
PREFECT_API_URL; there, a deployment and a work pool stand for as long as this runs.

The flow does more than the command: behind the release come drift and its page. What is orchestration and
what is work is told apart by the task runs' own times: orchestration is what the flow's process takes without the tasks
behind the release, less what the command takes. What the worker adds before a run's process is there is measured apart,
on short runs that a real worker picks up: it is the same for any number of rows.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console

from bench.annotating.machine import machine_facts
from bench.annotating.ours import write_input
from bench.annotating.report import markdown
from bench.annotating.workload import length_facts, repeated
from eqn.corpus.choice import choose_corpus
from eqn.errors import EqnError, StoreUnavailable, UsageError
from eqn.exits import ending
from eqn.registry.resolution import resolve
from eqn.release.catalog import read_manifest
from eqn.release.manifest import content_digest
from eqn.settings import load_settings
from eqn.store.directory import DirectoryStore
from eqn.terminal import table

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

ROOT = Path(__file__).parents[1]
ROWS, QUICK_ROWS = 100_000, 10_000
MOST = 0.05
"""How much longer than the command the flow may take."""
BARE, FLOW = "bare", "flow"
_DATASET = "inbox"
_RELEASE = "publish"
"""The task whose work is that of the command."""
_ENTRYPOINT = "flows/annotate.py:annotate"
_AS_DEPLOYED = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json"}
"""What `prefect.yaml` gives a run's process."""
_FIRST = 64
"""Rows of the runs that are not counted, and of those that the worker gets."""
_WORKER_RUNS = 3
_SECONDS_TO_START = 180.0
_SECONDS_TO_PICK_UP = 300.0

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Timed:
    """One run of one way."""

    seconds: float
    """On the clock, from the start of the process to its end."""
    processor_seconds: float
    """Of the process and those it waited for, on all cores."""
    release: str
    """Digest of the files of data and quarantine that it published."""
    tasks: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Seconds of each task of the flow."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pickup:
    """What comes before a run's process does its work, in seconds, when a worker picks the run up."""

    waited: float
    """From the request until the worker had seen it."""
    started: float
    """From there until the flow ran: processes, imports, calls to the server."""


@dataclasses.dataclass(slots=True)
class Report:
    """Everything that was measured."""

    machine: Mapping[str, Any]
    server: str
    rows: int
    lengths: Mapping[str, float]
    """Of `length_facts`."""
    bare: list[Timed] = dataclasses.field(default_factory=list)
    flow: list[Timed] = dataclasses.field(default_factory=list)
    pickups: list[Pickup] = dataclasses.field(default_factory=list)

    def tasks(self) -> dict[str, float]:
        """Give the median seconds of each task of the flow."""
        return {name: _median(run.tasks[name] for run in self.flow) for name in self.flow[0].tasks}

    def ratios(self) -> dict[str, float]:
        """Give how much more the flow takes: of orchestration alone, with everything, and of the processors' time."""
        bare = _median(run.seconds for run in self.bare)
        own = _median(run.seconds - _behind_the_release(run) for run in self.flow)
        spent = _median(run.processor_seconds for run in self.flow)
        return {
            "orchestration": own / bare - 1,
            "with drift and page": _median(run.seconds for run in self.flow) / bare - 1,
            "processor time, with drift and page": spent / _median(run.processor_seconds for run in self.bare) - 1,
        }

    def as_json(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        found = dataclasses.asdict(self)
        facts = {"ratios": self.ratios(), "limit": MOST, "met": self.ratios()["orchestration"] <= MOST}
        return facts | {"tasks": self.tasks()} | found

    def about(self) -> str:
        """Say in words what it was measured on."""
        facts = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        able = f" with {', '.join(facts['features'])}" if facts["features"] else ""
        return (
            f"{self.rows:,} texts of {self.lengths['mean']:.0f} characters on average; {facts['cores']} cores{able} "
            f"({facts['processor']}), {facts['threads']} threads; {versions}; Prefect's server: {self.server}."
        )

    def tables(self) -> dict[str, list[dict[str, str]]]:
        """Give the tables that people read, by their titles."""
        ways = {BARE: ("eqn annotate", self.bare), FLOW: ("the flow, as a worker runs it", self.flow)}
        return {
            "More time than the command": [
                {
                    "of": name,
                    "more": f"{ratio:+.1%}",
                    "limit": f"{MOST:.0%}" if name == "orchestration" else "-",
                    "met": ("yes" if ratio <= MOST else "no") if name == "orchestration" else "-",
                }
                for name, ratio in self.ratios().items()
            ],
            "Seconds, medians": [
                {"way": words, "on the clock": _range(runs, "seconds"), "processors": _range(runs, "processor_seconds")}
                for words, runs in ways.values()
            ],
            "Tasks of the flow": [{"task": name, "seconds": f"{took:.1f}"} for name, took in self.tasks().items()],
            "Before a run works": [
                {"what": "until the worker has seen it", "seconds": _range(self.pickups, "waited")},
                {"what": "from there until the flow runs", "seconds": _range(self.pickups, "started")},
            ],
        }


def _behind_the_release(run: Timed) -> float:
    return sum(seconds for name, seconds in run.tasks.items() if name != _RELEASE)


def _median(values: Iterator[float] | Sequence[float]) -> float:
    return statistics.median(values)


def _range(runs: Sequence[Timed] | Sequence[Pickup], field: str) -> str:
    found = [getattr(run, field) for run in runs]
    return f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})"


class Bench:
    """Both ways, and a worker, with a deployment that lasts as long as its context."""

    def __init__(self, client: "SyncPrefectClient", folder: Path, model: Path) -> None:
        self._client, self._folder, self._model = client, folder, model
        self._name = f"bench-{uuid.uuid4().hex[:8]}"
        self._deployment: uuid.UUID | None = None
        self._choices = folder / "back_ends"
        self._prefect = {"PREFECT_API_URL": str(client.api_url), "PREFECT_HOME": str(folder / "prefect")} | _AS_DEPLOYED

    def __enter__(self) -> Self:
        from prefect.client.schemas.actions import WorkPoolCreate

        from flows.annotate import annotate

        self._client.create_work_pool(WorkPoolCreate(name=self._name, type="process"))
        self._deployment = self._client.create_deployment(
            self._client.create_flow_from_name(annotate.name),
            self._name,
            work_pool_name=self._name,
            # As in prefect.yaml; a path here would be copied for each run, environments and all.
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
            entrypoint=_ENTRYPOINT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._deployment is not None:
            self._client.delete_deployment(self._deployment)
        self._client.delete_work_pool(self._name)

    def bare(self, inbox: Path) -> Timed:
        """Run the command."""
        with self._state() as home:
            command = ["eqn.cli", "annotate", str(inbox), "--dataset", _DATASET, "--model", str(self._model), "--json"]
            seconds, processors = self._timed(command, _clean() | {"EQN_HOME": str(home)})
            return Timed(seconds, processors, _published(home))

    def flow(self, inbox: Path) -> Timed:
        """Run the flow in the process that a worker would start."""
        with self._state() as home:
            run = self._requested(inbox)
            environment = _clean() | self._prefect | {"EQN_HOME": str(home), "PREFECT__FLOW_RUN_ID": str(run)}
            seconds, processors = self._timed(["prefect.engine"], environment)
            return Timed(seconds, processors, _published(home), self._tasks(run))

    def pickups(self, inbox: Path, tell: Tell) -> Iterator[Pickup]:
        """Let a real worker run some short runs, one after the other."""
        command = ["prefect", "worker", "start", "--pool", self._name, "--type", "process", "--name", "bench"]
        with self._state() as home, _process(command, _clean() | self._prefect, self._folder / "worker.log"):
            for turn in range(_WORKER_RUNS):
                run = self._requested(inbox, {"EQN_HOME": str(home)})
                self._await_end(run)
                times = {state.type.name: state.timestamp for state in self._client.read_flow_run_states(run)}
                found = Pickup(
                    (times["PENDING"] - times["SCHEDULED"]).total_seconds(),
                    (times["RUNNING"] - times["PENDING"]).total_seconds(),
                )
                tell(f"worker, run {turn + 1}: seen after {found.waited:.1f} s, running {found.started:.1f} s later")
                yield found

    @contextlib.contextmanager
    def _state(self) -> Iterator[Path]:
        home = Path(tempfile.mkdtemp(dir=self._folder))
        if self._choices.is_dir():
            shutil.copytree(self._choices, home / "back_ends")
        try:
            yield home
            if not self._choices.is_dir():
                shutil.copytree(home / "back_ends", self._choices)
        finally:
            shutil.rmtree(home)

    def _requested(self, inbox: Path, environment: Mapping[str, str] | None = None) -> uuid.UUID:
        if self._deployment is None:
            raise RuntimeError("enter the context first")
        run = self._client.create_flow_run_from_deployment(
            self._deployment,
            parameters={"inbox": str(inbox), "dataset": _DATASET, "model": str(self._model)},
            job_variables={"env": dict(environment)} if environment else None,
        )
        return run.id

    def _timed(self, module: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
        log = self._folder / "run.log"
        started = time.perf_counter()
        with log.open("wb") as output:
            command = [sys.executable, "-m", *module]
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)  # noqa: S603
            _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status:
            last = log.read_text("utf-8", errors="replace").strip().splitlines()[-8:]
            raise EqnError(f"expected python -m {module[0]} to end well; it did not.", faults=last)
        return seconds, used.ru_utime + used.ru_stime

    def _tasks(self, run: uuid.UUID) -> dict[str, float]:
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        found = self._client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
        return {
            str(task.name).rpartition("-")[0]: task.total_run_time.total_seconds()
            for task in sorted(found, key=lambda task: str(task.start_time))
        }

    def _await_end(self, run: uuid.UUID) -> None:
        deadline = time.monotonic() + _SECONDS_TO_PICK_UP
        while time.monotonic() < deadline:
            state = self._client.read_flow_run(run).state
            if state is not None and state.is_final():
                if state.is_completed():
                    return
                raise EqnError(f"expected the worker's run to complete; it ended {state.name}: {state.message}")
            time.sleep(0.2)
        raise StoreUnavailable(f"expected a worker to end a short run within {_SECONDS_TO_PICK_UP:.0f} s.")


def measure(report: Report, bench: Bench, inbox: Path, short: Path, *, rounds: int, tell: Tell) -> None:
    """Fill `report`: both ways by turns, after one of each on `short` that is not counted, and then the worker.

    Raises:
        EqnError: a run fails, or the two ways publish different releases.

    """
    tell("warming up")
    bench.bare(short)
    bench.flow(short)
    for turn in range(rounds):
        for way in (BARE, FLOW) if turn % 2 == 0 else (FLOW, BARE):
            done = bench.bare(inbox) if way == BARE else bench.flow(inbox)
            (report.bare if way == BARE else report.flow).append(done)
            tell(f"round {turn + 1} of {rounds}: {way} {done.seconds:.1f} s, processors {done.processor_seconds:.1f} s")
    if len({run.release for run in [*report.bare, *report.flow]}) != 1:
        raise EqnError("expected the flow and the command to publish the same bytes; they did not.")
    report.pickups = list(bench.pickups(short, tell))


def _published(home: Path) -> str:
    """Give the digest of what readers of the latest release get; Data Docs beside it tell when they were made."""
    files = read_manifest(DirectoryStore(home / "releases"), _DATASET).files
    return content_digest({name: entry for name, entry in files.items() if name.startswith(("data/", "quarantine/"))})


def _clean() -> dict[str, str]:
    """Give this environment without what would lead a run to somebody's state."""
    mine = {"EQN_INBOX", "EQN_STORE", "EQN_TRACKING_URI", "EQN_GOEMOTIONS", "MLFLOW_TRACKING_URI"}
    return {name: value for name, value in os.environ.items() if name not in mine}


@contextlib.contextmanager
def _process(module: Sequence[str], environment: Mapping[str, str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a program until the context ends."""
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", *module], env=environment, stdout=output, stderr=output)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Give the address of Prefect's API: PREFECT_API_URL, or that of a server of our own."""
    if address := os.environ.get("PREFECT_API_URL"):
        yield address
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "server.log"
    with _process(command, _clean() | own, log) as server:
        deadline = time.monotonic() + _SECONDS_TO_START
        while server.poll() is None and time.monotonic() < deadline:
            address = f"http://127.0.0.1:{port}/api"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310
                yield address
                return
            time.sleep(0.2)
        last = log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]
        raise StoreUnavailable("expected Prefect's server to start; it did not.", faults=last)


def _inbox(folder: Path, name: str, texts: Sequence[str]) -> Path:
    """Write texts into a folder of their own."""
    place = folder / name
    place.mkdir()
    write_input(place / "texts.csv", iter(texts))
    return place


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="champion", help="a package directory, a version, or an alias")
    parser.add_argument("--data", type=Path, help="directory with GoEmotions; else EQN_GOEMOTIONS, else the sample")
    parser.add_argument("--rows", type=int, help=f"texts; default {ROWS:,}, with --quick {QUICK_ROWS:,}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON value")
    form.add_argument("--markdown", action="store_true", help="print the tables of bench/orchestration.md")
    said = parser.parse_args()
    rows = said.rows or (QUICK_ROWS if said.quick else ROWS)
    if min(rows, said.rounds) < 1:
        raise UsageError("expected --rows and --rounds of at least 1.")
    settings, people = load_settings(), Console(stderr=True)
    texts = repeated(choose_corpus(said.data or settings.goemotions).test.texts, rows, seed=0)
    model = Path(resolve(said.model, settings).path).absolute()
    with tempfile.TemporaryDirectory(prefix="eqn-orchestration-") as name, _server(Path(name)) as address:
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL, temporary_settings

        folder = Path(name)
        server = "that of PREFECT_API_URL" if os.environ.get("PREFECT_API_URL") else "its own, on SQLite"
        report = Report(machine_facts(), server, rows, length_facts(texts))
        inboxes = (_inbox(folder, "inbox", texts), _inbox(folder, "short", texts[:_FIRST]))
        with (
            temporary_settings({PREFECT_API_URL: address}),
            get_client(sync_client=True) as client,
            Bench(client, folder, model) as bench,
        ):
            measure(
                report, bench, *inboxes, rounds=said.rounds,
                tell=lambda message: people.print(message, markup=False, highlight=False),
            )  # fmt: skip
    _show(report, said)
    return 0


def _show(report: Report, said: argparse.Namespace) -> None:
    if said.json:
        print(json.dumps(report.as_json(), indent=2))
        return
    print(report.about())
    for title, rows in report.tables().items():
        if said.markdown:
            print(f"\n**{title}**\n\n{markdown(rows)}")
        else:
            Console().print(table(title, rows))


if __name__ == "__main__":
    sys.exit(ending(main))
