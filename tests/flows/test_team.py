"""A team's server, its workers and its messages: overlapping runs, a killed worker, and what people are told."""

import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.events.worker import EventsWorker

from eqn.corpus.choice import choose_corpus
from eqn.corpus.goemotions import Split
from eqn.records import Decision, Drift, DriftComparison, DriftMeasure
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.store.interface import open_store
from eqn.training.recipes import recipe_named
from eqn.training.run import Order, train
from flows.events import tell_decision, tell_drift
from infra.stack.processes import marked
from tests.faults.promises import Trials
from tests.flows.serving import Receiver, Team, receiver, team_in, until

pytestmark = pytest.mark.team

TICKS = 20
DROPS = 8
PART_ROWS = 8192
ROUND_ROWS = 3 * PART_ROWS
NOTICED_WITHIN = timedelta(seconds=120)
"""By the server's own clock; a run that says nothing for 90 seconds counts as lost."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    torch.set_num_threads(1)
    whole = choose_corpus(None)
    splits = (
        Split(split.name, split.ids[:60], split.texts[:60], split.labels[:60])
        for split in (whole.train, whole.dev, whole.test)
    )
    folder = tmp_path_factory.mktemp("model")
    recipe = recipe_named("plain", epochs=1, least_steps=60, learning_rate=1e-2, checks=1)
    corpus = type(whole)(whole.ref, *splits)
    return train(Order(corpus=corpus, recipe=recipe, backbone="tiny", seed=0, out=folder / "0", backbones=folder)).path


@pytest.fixture(scope="module")
def messages() -> Iterator[tuple[Receiver, str]]:
    with receiver() as pair:
        yield pair


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, messages: tuple[Receiver, str]) -> Iterator[Team]:
    """A server on which everything is deployed.

    A run asks for the slot again after 30 seconds, as everywhere: asked more often by twenty, the server's SQLite stays
    busy until it answers 503, and workers take the run that they were about to start for crashed.
    """
    with team_in(tmp_path_factory.mktemp("team")) as running:
        running.deploy(EQN_WEBHOOK_URL=messages[1])
        yield running


def _start(client: SyncPrefectClient, deployment: str, **parameters: Any) -> UUID:
    known = client.read_deployment_by_name(deployment)
    return client.create_flow_run_from_deployment(known.id, parameters=parameters).id


def _ended(client: SyncPrefectClient, run: UUID) -> bool:
    state = client.read_flow_run(run).state
    return state is not None and state.is_final()


def _drop(inbox: Path, number: int, rows: int) -> None:
    """Put a file into the inbox, whole or not at all."""
    inbox.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"Thank you for number {number}, {row}!\n" for row in range(rows))
    hidden = inbox.parent / f"dropping-{number}"
    hidden.write_text(lines, "utf-8")
    hidden.rename(inbox / f"drop-{number:02}.txt")


def _annotated(client: SyncPrefectClient, run: UUID) -> int:
    """How many rows a run annotated, by its progress bar."""
    bars = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["annotation-progress"])))
    told = [bar.description or "" for bar in bars if bar.flow_run_id == run]
    return sum(int(re.findall(r"([\d,]+) rows", words)[0].replace(",", "")) for words in told)


@pytest.mark.promise(32)
@pytest.mark.timeout(1800)
def test_twenty_ticks_at_once_do_the_work_once(team: Team, package: Path, trials: Trials) -> None:
    """While files arrive, 20 runs are asked for together: one runs at a time, each file is annotated by one of them."""
    inbox, dropped = team.home / "ticks", 0
    with team.client() as client, team.worker():
        options = {"inbox": str(inbox), "dataset": "ticks", "model": str(package)}
        started = [_start(client, "annotate/nightly", **options) for _ in range(TICKS)]
        waiting = set(started)
        deadline = time.monotonic() + 1500
        while waiting:
            for _ in range(min(DROPS, TICKS - len(waiting) + 1) - dropped):  # one more for each run that has ended
                _drop(inbox, dropped, 40)
                dropped += 1
            time.sleep(2)
            asked = FlowRunFilter(id=FlowRunFilterId(any_=list(waiting)))
            waiting -= {
                run.id for run in client.read_flow_runs(flow_run_filter=asked) if run.state and run.state.is_final()
            }
            assert time.monotonic() < deadline
        runs = [client.read_flow_run(run) for run in started]
        annotated = [_annotated(client, run.id) for run in runs]

    assert [run.state_name for run in runs] == ["Completed"] * TICKS
    _assert_one_after_the_other(runs)
    store = open_store(team.home / "eqn" / "releases")
    numbers = release_numbers(store, "ticks")
    manifests = [read_manifest(store, "ticks", number) for number in numbers]
    inputs = [{entry.name for entry in manifest.inputs} for manifest in manifests]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 1 < len(numbers) <= DROPS
    assert all(before < after for before, after in itertools.pairwise(inputs))
    assert manifests[-1].rows_out == sum(annotated) == DROPS * 40
    for manifest in manifests:
        verify(store, manifest)
        assert store.exists(f"ticks/reports/{manifest.release}/index.html")
    trials(TICKS, "ticks at once")


def _assert_one_after_the_other(runs: list[FlowRun]) -> None:
    spans = sorted((run.start_time, run.end_time) for run in runs if run.start_time and run.end_time)
    assert len(spans) == len(runs)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


@pytest.mark.promise(32)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.faults)])
def test_three_ticks_while_a_run_is_slow_do_the_work_once(
    team: Team, package: Path, trials: Trials, rounds: int
) -> None:
    """In each round a file, three ticks and one release more; in each fourth the run that holds the slot is killed."""
    name = f"slow-{rounds}"
    inbox, store, killed = team.home / name, open_store(team.home / "eqn" / "releases"), 0
    options = {"inbox": str(inbox), "dataset": name, "model": str(package)}
    with team.client() as client, team.worker():
        for number in range(rounds):
            _drop(inbox, number, ROUND_ROWS)
            before = _parts(team, name) + number * ROUND_ROWS // PART_ROWS  # as many are carried over
            ticks = [_start(client, "annotate/nightly", **options) for _ in range(3)]
            left = 0
            if number % 4 == 0:
                until(lambda: _begun(client, team, name, before, ticks), seconds=300, every=0.1)  # noqa: B023  called at once
                holders = [run for run in ticks if client.read_flow_run(run).state_name == "Running"]
                for process in marked(PREFECT__FLOW_RUN_ID=str(holders[0])):
                    os.kill(process, signal.SIGKILL)
                left, killed = (_parts(team, name) - before) * PART_ROWS, killed + 1
            until(lambda: all(_ended(client, run) for run in ticks), seconds=900, every=1)  # noqa: B023  called at once
            runs = [client.read_flow_run(run) for run in ticks]
            manifest = read_manifest(store, name)

            assert sorted(run.state_name or "" for run in runs) == ["Completed"] * (2 + (not left)) + [
                "Crashed"
            ] * bool(left)
            _assert_one_after_the_other(runs)
            assert release_numbers(store, name) == list(range(1, number + 2))
            assert manifest.rows_out == (number + 1) * ROUND_ROWS
            annotated = sum(_annotated(client, run.id) for run in runs if run.state_name == "Completed")
            assert annotated <= ROUND_ROWS - left + PART_ROWS * bool(left)
            verify(store, manifest)
    trials(rounds * 3, "ticks while a run is slow")
    trials(killed, "runs killed that held the slot")


def _begun(client: SyncPrefectClient, team: Team, dataset: str, parts: int, runs: list[UUID]) -> bool:
    """Tell whether one of `runs` has written a part beyond `parts`, or ended."""
    return _parts(team, dataset) > parts or any(_ended(client, run) for run in runs)


def _parts(team: Team, dataset: str) -> int:
    return sum(1 for _ in (team.home / "eqn" / "releases" / dataset / "files").rglob("part-*.parquet"))


@pytest.mark.promise(31)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.faults)])
def test_a_killed_worker_is_noticed_and_the_next_run_finishes(
    team: Team, package: Path, messages: tuple[Receiver, str], trials: Trials, kills: int
) -> None:
    """After kill -9 of a worker and its run the server says Crashed, tells people, and frees the slot for the next,
    whose release is the one that an undisturbed run gives.
    """
    inbox = team.home / "killed"
    if not inbox.exists():
        _drop(inbox, 0, 60_000)
    store = open_store(team.home / "eqn" / "releases")
    with team.client() as client:
        with team.worker():
            golden = _finished(client, team, package, f"undisturbed-{kills}")
        for number in range(kills):
            dataset = f"killed-{kills}-{number}"
            options = {"inbox": str(inbox), "dataset": dataset, "model": str(package)}
            with team.worker() as worker:
                lost = _start(client, "annotate/nightly", **options)
                until(lambda: _parts(team, dataset) > 0 or _ended(client, lost), seconds=300, every=0.1)  # noqa: B023  called at once
                _kill_tree(worker.pid)
                since = datetime.now(UTC)
            assert client.read_flow_run(lost).state_name == "Running"
            with team.worker():
                until(lambda: _ended(client, lost), seconds=300, every=2)  # noqa: B023  called at once
                state = client.read_flow_run(lost).state
                assert state is not None
                assert state.name == "Crashed"
                assert state.timestamp - since <= NOTICED_WITHIN
                assert _finished(client, team, package, dataset) == golden
            assert release_numbers(store, dataset) == [1]
    until(lambda: len(messages[0].having("Nothing was heard of this run")) >= kills, seconds=60)
    trials(kills, "kills of a worker and its run")


def _finished(client: SyncPrefectClient, team: Team, package: Path, dataset: str) -> dict[str, str]:
    """Annotate the file of the killed runs; gives the digests of the release's data."""
    options = {"inbox": str(team.home / "killed"), "dataset": dataset, "model": str(package)}
    run = _start(client, "annotate/nightly", **options)
    until(lambda: _ended(client, run), seconds=600, every=2)
    assert client.read_flow_run(run).state_name == "Completed"
    store = open_store(team.home / "eqn" / "releases")
    manifest = read_manifest(store, dataset)
    verify(store, manifest)
    assert manifest.rows_out == 60_000
    return {name: entry.sha256 for name, entry in manifest.files.items() if name.startswith("data/")}


def _kill_tree(parent: int) -> None:
    """Kill a process and all that it started, whatever groups they made, without a chance to say anything."""
    os.kill(parent, signal.SIGSTOP)  # so that it does not notice its children's end
    for pid in _family(parent):
        os.kill(pid, signal.SIGKILL)


def _family(parent: int) -> set[int]:
    """Give a process and all that it started, and those started, which still run."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(ppid) for pid, ppid in (line.split() for line in listed.splitlines())}
    family = {parent}
    while added := {pid for pid, ppid in parents.items() if ppid in family} - family:
        family |= added
    return family


def test_people_hear_of_failures_promotions_and_drift(team: Team, messages: tuple[Receiver, str]) -> None:
    """Each is one message with what a person wants to know, whatever letters are in it; drift starts a retraining."""
    received, _ = messages
    drifted = DriftMeasure("anger", 'a "distance"\n', 0.4, 0.1)
    with team.client() as client:
        tell_decision(Decision(promote=True, reasons=('It is <better> & "finer".',), candidate=8, champion=7), "eqn")
        tell_decision(Decision(promote=False, reasons=("Kept.",), candidate=9, champion=8), "eqn")
        tell_drift(Drift("letters", 3, 500, (DriftComparison("release 2", 400, (drifted,)),)))
        tell_drift(Drift("calm", 4, 500, ()))
        EventsWorker.drain_all(timeout=30)
        with team.worker() as worker:
            failed = _start(client, "validate/corpus", directory=str(team.home / "nowhere"))
            until(lambda: _ended(client, failed), seconds=120)
            until(lambda: _family(worker.pid) == {worker.pid}, seconds=60)  # ended on its way out, it would be Crashed
            name = client.read_flow_run(failed).name
        until(
            lambda: bool(received.having(name) and received.having("champion") and received.having("drifted")),
            seconds=90,
        )
        until(lambda: bool(_runs_of_retraining(client)), seconds=60)
        retraining = _runs_of_retraining(client)

    (promotion,) = received.having("is champion now")
    (drift,) = received.having("drifted")
    (failure,) = received.having(name)
    assert promotion == 'EQN: version 8 of eqn is champion now. It is <better> & "finer".'
    assert drift == (
        'EQN: release 3 of letters drifted. anger: a "distance"\n 0.400 from release 2, where 0.1 is the limit'
    )
    assert "validate is Failed" in failure
    assert "expected the splits train.tsv, dev.tsv and test.tsv" in failure
    (run,) = retraining
    assert run.parameters["dataset"] == "letters"


def _runs_of_retraining(client: SyncPrefectClient) -> list[FlowRun]:
    return [
        run
        for run in client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["retrain"])),
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=["weekly"])),
        )
        if not run.auto_scheduled
    ]
