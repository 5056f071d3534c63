"""Behaviour tests of a trained model: the one that EQN_MODEL names, else the champion.

They are marked `behaviour` and run by `make test-model`. Without the model nothing runs; at the end stands a table.
A promise that is kept but short of what is wanted counts as an expected failure, not as passed; `-v` lists its cases.
"""

import os
from collections.abc import Callable, Generator

import pytest

from eqn.annotation.annotator import Annotator
from tests.model.behaviour import direction, invariance, minimum_functionality
from tests.model.behaviour.capability import Capability, Outcome, Reading, table
from tests.model.behaviour.reading import load_model, read

_CAPABILITIES = invariance.CAPABILITIES + direction.CAPABILITIES + minimum_functionality.CAPABILITIES
_ANNOTATOR = pytest.StashKey[Annotator]()
_OUTCOMES = pytest.StashKey[list[Outcome]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Load the model once it is known that behaviour tests will run: without it, there is one sentence to read."""
    if session.config.option.collectonly or not any(item.get_closest_marker("behaviour") for item in session.items):
        return
    session.config.stash[_ANNOTATOR] = load_model(os.environ.get("EQN_MODEL") or "champion")
    session.config.stash[_OUTCOMES] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    """Show the table below everything else that pytest tells."""
    yield
    outcomes = config.stash.get(_OUTCOMES, [])
    if not outcomes:
        return
    if config.get_verbosity() > 0:
        for outcome in [outcome for outcome in outcomes if outcome.falls_short]:
            terminalreporter.section(f"short: {outcome.capability.name}")
            terminalreporter.write_line(str(outcome))
    package = config.stash[_ANNOTATOR].package
    name, backbone = package.recipe.get("name"), package.backbone.get("name")
    terminalreporter.section(f"behaviour of {name}, {backbone}, {package.digest[:12]}")
    for line in table(outcomes):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def readings(pytestconfig: pytest.Config) -> dict[str, Reading]:
    """What the model makes of every text of every capability."""
    return read(pytestconfig.stash[_ANNOTATOR], _CAPABILITIES)


@pytest.fixture
def hold(pytestconfig: pytest.Config, readings: dict[str, Reading]) -> Callable[[Capability], None]:
    """Give a function that fails when a promise is broken, and passes only when nothing is left to be wanted."""

    def hold(capability: Capability) -> None:
        outcome = capability.measure(readings)
        pytestconfig.stash[_OUTCOMES].append(outcome)
        if not outcome.is_kept:
            pytest.fail(str(outcome), pytrace=False)
        if outcome.falls_short:
            pytest.xfail(outcome.summary())

    return hold


@pytest.fixture(scope="session")
def capabilities() -> tuple[Capability, ...]:
    return _CAPABILITIES
