"""Any order of operations keeps the invariants: sequences that Hypothesis makes up, on a directory."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.machine import Releases
from tests.faults.mutants import VARIABLE
from tests.faults.promises import Trials
from tests.release.publishers import Publisher


@pytest.fixture
def machine() -> Iterator[type[Releases]]:
    """The machine with two processes that do its work."""
    with Publisher() as one, Publisher() as other:
        assert [one.hear(), other.hear()] == ["started", "started"]

        class Running(Releases):
            publishers = (one, other)

        yield Running


@pytest.mark.promise(11)
@pytest.mark.parametrize(
    ("sequences", "length"), [(50, 20), pytest.param(1000, 50, marks=pytest.mark.faults)], ids=["50x20", "1000x50"]
)
@pytest.mark.timeout(7200)
def test_any_order_of_operations_keeps_the_invariants(
    machine: type[Releases], trials: Trials, sequences: int, length: int
) -> None:
    """Publishing, dying, standing still, rivals, promotions, removals, reconciliations; and reading after each."""
    options = settings(
        max_examples=sequences,
        stateful_step_count=length,
        derandomize=length == 20,  # what a commit breaks is to be found again
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # That there is a failure is all that is asked where a mutant is planted.
        phases=[Phase.generate] if os.environ.get(VARIABLE) else [Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(machine, settings=options)
    trials(sequences, f"sequences of up to {length} operations", store="directory")
    trials(machine.operations, "operations", store="directory")
