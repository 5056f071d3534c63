"""The stack of `make up` for all tests in here, and a team that uses it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pages.conftest import browser
from tests.stack.team import CORPUS, FlowRun, Team

__all__ = ["browser"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.team)


@pytest.fixture(scope="session")
def team(stack: Any) -> Iterator[Team]:
    """A member of the team, whose shell has read the stack's environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "EQN_", "PREFECT_", "MLFLOW_TRACKING"))]:
            patch.delenv(name)
        for name, value in stack.environment.items():
            patch.setenv(name, value)
        member = Team(stack.environment, stack.home)
        member.healthy()
        for one in member.api("post", "/automations/filter", {}):
            if one["name"] == "eqn drift retraining":  # it would train beside the tests, whose releases do differ
                member.api("patch", f"/automations/{one['id']}", {"enabled": False})
        yield member


@pytest.fixture(scope="session")
def life(team: Team) -> dict[str, FlowRun]:
    """The runs that lead to a champion: validate, train a tiny network, promote."""
    validated = team.press("validate/corpus", directory=CORPUS)
    trained = team.press("train/gpu", directory=CORPUS, recipe="plain", backbone="tiny")
    promoted = team.press("promote/challenger", directory=CORPUS)
    return {"validate": validated, "train": trained, "promote": promoted}


@pytest.fixture(scope="session")
def champion(life: dict[str, FlowRun]) -> str:
    """The champion's alias, once there is one."""
    assert {name: run.state for name, run in life.items()} == dict.fromkeys(life, "COMPLETED")
    return "champion"
