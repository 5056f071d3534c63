"""Promotions that die or stand still at any failpoint: there is one champion, and in the end it is the best model."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from eqn.model.package import Package
from eqn.registry.champions import rollback, set_champion
from eqn.registry.promotion import promote
from eqn.registry.resolution import resolve
from eqn.settings import Settings
from tests.faults.points import points
from tests.faults.promises import Trials
from tests.registry.test_promotion_races import (
    SHORT_LEASE,
    Helper,
    arena,
    champion,
    contend,
    package,
    settings,
)

__all__ = ["package", "settings"]

POINTS = [name for name in points() if name.startswith("promotion.")]
STOPS = [name for name in POINTS if name.partition(".")[2] in {"lease-taken", "move-announced", "lease-checked"}]


def quick_or_not(names: list[str], quick: str) -> list[Any]:
    """Each point costs a lease's time; one of them is tried with every commit, where the alias is just moving."""
    return [name if name == quick else pytest.param(name, marks=pytest.mark.faults) for name in names]


FORKING = """
import json, os, signal, sys
from eqn.registry.promotion import promote
from eqn.settings import Settings
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        os.environ["EQN_FAILPOINT"] = order["failpoint"]
        promote(order["version"], Settings.model_validate(order["settings"]), lease_seconds=order["lease"])
        os._exit(0)
    while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
        print(json.dumps({"stopped": True}), flush=True)
        sys.stdin.readline()
        os.kill(child, signal.SIGCONT)
    print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)
"""


@pytest.fixture(scope="module")
def forking() -> Iterator[Helper]:
    """A process whose children promote, and come to failpoints."""
    helper = Helper(FORKING)
    yield helper
    helper.end()


def begun(settings: Settings, package: Package, forking: Helper, failpoint: str) -> tuple[Settings, int, int, int]:
    """Three versions, each better than the one before: the first is champion, the second one's promotion is begun."""
    ours = arena(settings, failpoint.replace(":", " "))
    first, better, best = (contend(ours, package, figure) for figure in (0.3, 0.4, 0.5))
    set_champion(first, ours)
    forking.ask(version=better, settings=ours.model_dump(mode="json"), failpoint=failpoint, lease=SHORT_LEASE)
    return ours, first, better, best


@pytest.mark.promise(29)
@pytest.mark.parametrize("point", quick_or_not(POINTS, "promotion.alias-moved"))
def test_a_promotion_that_dies_at_a_point_leaves_a_champion(
    settings: Settings, package: Package, forking: Helper, trials: Trials, point: str
) -> None:
    """One verified model annotates; the next promotions take the lease over, decide right and blame nobody."""
    ours, first, better, best = begun(settings, package, forking, f"{point}:kill")
    assert forking.answer() == {"status": -signal.SIGKILL}
    assert resolve("champion", ours).version in {first, better}

    decisions = [promote(version, ours, lease_seconds=SHORT_LEASE) for version in (better, best)]
    assert champion(ours) == best
    assert (decisions[1].promote, decisions[1].champion) == (True, better)
    assert "by hand" not in str(decisions)
    assert (rollback(ours).after, rollback(ours).after) == (better, first)
    trials(1, "deaths at failpoints", store="directory")


@pytest.mark.promise(10, 29)
@pytest.mark.parametrize("point", quick_or_not(STOPS, "promotion.lease-checked"))
def test_a_promotion_that_stood_still_past_its_lease_takes_nothing_back(
    settings: Settings, package: Package, forking: Helper, trials: Trials, point: str
) -> None:
    """A better model becomes champion meanwhile, and stays it."""
    ours, _, _, best = begun(settings, package, forking, f"{point}:stop")
    assert forking.answer() == {"stopped": True}
    assert promote(best, ours, lease_seconds=SHORT_LEASE).promote
    forking.ask()
    assert forking.answer() == {"status": 0}
    assert champion(ours) == best
    assert resolve("champion", ours).version == best
    trials(1, "promotions that were stopped past their lease", store="directory")
