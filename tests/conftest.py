"""What all tests share: nothing reaches a hub, and tests that need real data or a device say NOT RUN without it."""

import os
import sys
import warnings
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

# One server of each kind for all tests: a fixture imported in two places would be two.
from tests.faults.promises import Promises, Trials
from tests.infra.running_stack import stack
from tests.store.proxy import FaultProxy
from tests.store.servers import Service, ceph_server, moto_server, moto_store

__all__ = ["ceph_server", "moto_server", "moto_store", "stack"]


_PROMISES = pytest.StashKey[Promises]()


@pytest.fixture
def proxy(moto_server: Service) -> Iterator[FaultProxy]:
    """Stand between a client and moto's server, where a test may lose answers."""
    with FaultProxy(moto_server.endpoint) as between:
        yield between


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Trials:
    """Count what a test tries, for the table of promises: trials(200, "races")."""
    return request.config.stash[_PROMISES].trials_of(request.node)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promise", type=int, action="append", help="run the tests of this row of tests/faults/README.md")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        # pyspark takes a process whose main module came from nowhere for a run of its doctests, and ends it.
        sys.modules["__main__"].__spec__ = ModuleSpec("__main__", None)
    promises = config.stash[_PROMISES] = Promises()
    config.pluginmanager.register(promises)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rows = set(config.getoption("promise") or ())
    if rows:
        items[:] = [item for item in items if any(rows & {*mark.args} for mark in item.iter_markers("promise"))]
    needs = {
        "goemotions": ("EQN_GOEMOTIONS names no directory with the real GoEmotions splits", _goemotions),
        "gpu": ("there is no CUDA device", _cuda),
    }
    missing = {name: why for name, (why, is_there) in needs.items() if _wanted(items, name) and not is_there()}
    for item in items:
        for name, why in missing.items():
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"NOT RUN: {why}"))


def _wanted(items: list[pytest.Item], marker: str) -> bool:
    return any(item.get_closest_marker(marker) for item in items)


def _goemotions() -> bool:
    return Path(os.environ.get("EQN_GOEMOTIONS", ""), "train.tsv").is_file()


def _cuda() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

        return torch.cuda.is_available()
