"""Promotions that meet, and promotions that are killed: real processes, one MLflow on SQLite, one store."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eqn.model.package import Package, read_package
from eqn.registry.champions import rollback, set_champion
from eqn.registry.connection import connect
from eqn.registry.promotion import promote
from eqn.registry.resolution import resolve
from eqn.registry.versions import _tags, list_versions
from eqn.settings import PromotionPolicy, Settings
from tests.faults.promises import Trials
from tests.registry.conftest import write_package

PROMOTERS = 4
SHORT_LEASE = 2.0
"""Seconds: so long is waited for the dead, and in half of it the living must move an alias on a busy machine."""
FIGURES = [0.3, 0.4, 0.5, 0.6, 0.7, math.nan]
"""Few enough for ties; a gain of any size is enough, so the best of them must win in whatever order they are judged."""

PROMOTER = """
import json, sys, time
from eqn.errors import Transient
from eqn.registry.promotion import promote
from eqn.settings import Settings
from mlflow import MlflowClient

original = MlflowClient.set_registered_model_alias
gap = 0.0

def slow(self, *arguments):
    time.sleep(gap)  # between reading who is champion and moving the alias
    return original(self, *arguments)

MlflowClient.set_registered_model_alias = slow
for line in sys.stdin:
    order = json.loads(line)
    gap = order["gap"]
    settings = Settings.model_validate(order["settings"])
    answer = {"error": "too many attempts"}
    for _ in range(3):  # as the flows do
        try:
            decision = promote(order["version"], settings)
            answer = {"promote": decision.promote, "reasons": decision.reasons}
            break
        except Exception as error:
            answer = {"error": repr(error)}
            if not isinstance(error, Transient):
                break
    print(json.dumps(answer), flush=True)
"""

MORTAL = """
import json, os, signal, sys
from eqn.registry.promotion import promote
from eqn.settings import Settings
from eqn.store.directory import DirectoryStore
from mlflow import MlflowClient
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store

WRITES = [
    *((MlflowClient, f"{verb}_registered_model_alias") for verb in ("set", "delete")),
    (MlflowClient, "set_model_version_tag"),
    (DirectoryStore, "put_if_absent"),
]

def work(order):
    done = []

    def mortal(original):
        def call(self, *arguments):
            if len(done) == order["writes"]:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(arguments[{"put_if_absent": 0, "set_model_version_tag": 2}.get(original.__name__, 1)])
            return original(self, *arguments)
        return call

    for place, name in WRITES:
        setattr(place, name, mortal(getattr(place, name)))
    promote(order["version"], Settings.model_validate(order["settings"]))
    return done

for line in sys.stdin:
    order = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(work(order)).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with open(reading, "rb") as answer:
        told = answer.read()
    print(json.dumps({"signal": os.WTERMSIG(status), "writes": json.loads(told or "[]")}), flush=True)
"""


class Helper:
    """A process that answers each line with a line: MLflow is imported once and not for each promotion."""

    def __init__(self, code: str) -> None:
        environment = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True, env=environment
        )

    def ask(self, **order: object) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    """Settings whose state folder is in memory where that can be: a kill loses nothing there, and syncing is free."""
    memory = Path("/dev/shm")  # noqa: S108  random names in it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        home = Path(folder, "home")
        shutil.copytree(settings.home, home)
        yield settings.model_copy(
            update={"home": home, "store": str(home / "releases"), "tracking_uri": f"sqlite:///{home}/mlflow/mlflow.db"}
        )


@pytest.fixture(scope="module")
def promoters() -> Iterator[list[Helper]]:
    """Four processes that promote what they are told to."""
    helpers = [Helper(PROMOTER) for _ in range(PROMOTERS)]
    yield helpers
    for helper in helpers:
        helper.end()


@pytest.fixture(scope="module")
def mortal() -> Iterator[Helper]:
    """A process whose children die at the write that they are told to."""
    helper = Helper(MORTAL)
    yield helper
    helper.end()


@pytest.fixture
def package(settings: Settings) -> Package:
    """One package that is on this machine already: it is what all versions of these tests consist of."""
    written = read_package(write_package(settings.models / "new"))
    return read_package(shutil.move(written.path, settings.models / written.digest))


def arena(settings: Settings, model: str) -> Settings:
    """Give settings with a registered model of their own, and a policy by which the best one wins."""
    policy = PromotionPolicy(primary="macro_f1", least_gain=0, guards={}, least_train_share=0)
    registry = settings.registry.model_copy(update={"registered_model": model, "promotion": policy})
    ours = settings.model_copy(update={"registry": registry})
    client: Any = connect(ours)
    client.create_registered_model(model)
    return ours


def contend(settings: Settings, package: Package, figure: float) -> int:
    """Register a version with that macro-F1, without the seconds that logging a model takes."""
    tags = _tags(package) | {"eqn.dev.macro_f1": repr(figure)}
    client: Any = connect(settings)
    return int(client.create_model_version(settings.registry.registered_model, str(package.path), tags=tags).version)


def champion(settings: Settings) -> int | None:
    """Give the version at the alias."""
    return next((row.version for row in list_versions(settings) if "champion" in row.aliases), None)


def race(settings: Settings, package: Package, promoters: list[Helper], rounds: int) -> None:
    """Let the promoters judge a candidate each at the same moment, and look who is champion."""
    choices = np.random.default_rng(7)
    for number in range(rounds):
        ours = arena(settings, f"round {number}")
        figures = [float(figure) for figure in choices.choice(FIGURES, PROMOTERS)]
        versions = [contend(ours, package, figure) for figure in figures]
        told = ours.model_dump(mode="json")
        for helper, version in zip(promoters, versions, strict=True):
            helper.ask(settings=told, version=version, gap=float(choices.uniform(0, 0.02)))
        answers = [helper.answer() for helper in promoters]

        assert [answer.get("error") for answer in answers] == [None] * PROMOTERS
        best = max((figure for figure in figures if math.isfinite(figure)), default=None)
        winner = champion(ours)
        assert (None if winner is None else figures[versions.index(winner)]) == best, figures
        assert winner is None or answers[versions.index(winner)]["promote"]
        assert "by hand" not in json.dumps(answers)
        for row in list_versions(ours):
            assert json.loads(row.decision)["reasons"] == answers[versions.index(row.version)]["reasons"]
            assert bool(row.champion_since) == answers[versions.index(row.version)]["promote"]


@pytest.mark.promise(28)
@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=[pytest.mark.faults, pytest.mark.timeout(3600)])])
def test_the_best_of_four_candidates_wins_every_race(
    settings: Settings, package: Package, promoters: list[Helper], trials: Trials, rounds: int
) -> None:
    """Ties and NaN among them, the first promotion ever in each round, and a gap between reading and moving."""
    race(settings, package, promoters, rounds)
    trials(rounds, "races of four promoters")


@pytest.mark.promise(29)
def test_a_promotion_that_is_killed_anywhere_leaves_a_champion(
    settings: Settings, package: Package, mortal: Helper, trials: Trials
) -> None:
    """Killed at any write: one verified model annotates, and the next promotions decide right and blame nobody."""
    writes: list[str] = []
    for number in range(20):
        ours = arena(settings, f"killed at {number}")
        first, better, best = (contend(ours, package, figure) for figure in (0.3, 0.4, 0.5))
        set_champion(first, ours)
        mortal.ask(version=better, settings=ours.model_dump(mode="json"), writes=number)
        answer = mortal.answer()
        assert resolve("champion", ours).version in {first, better}
        if answer["signal"] == 0:
            writes = answer["writes"]
            break

        assert answer["signal"] == signal.SIGKILL
        decisions = [promote(version, ours, lease_seconds=SHORT_LEASE) for version in (better, best)]
        assert champion(ours) == best
        assert (decisions[1].promote, decisions[1].champion) == (True, better)
        assert "by hand" not in str(decisions)
        assert (rollback(ours).after, rollback(ours).after) == (better, first)
        assert not promote(better, ours).promote

    assert [name.rpartition("/")[2] for name in writes] == [
        *("2.json", "2.move.json", "champion"),
        *("eqn.champion_before", "eqn.champion_since", "eqn.decision", "2.released.json"),
    ]
    trials(len(writes), "kills, at every write")
