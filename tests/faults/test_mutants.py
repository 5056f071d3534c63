"""The harness sees bugs: each of seven deliberate mistakes makes a test of the suite fail, for its own reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS, VARIABLE
from tests.faults.promises import Trials

ROOT = Path(__file__).parents[2]
DIES = "tests/faults/test_failpoints.py::test_a_publisher_that_dies_at_a_point_is_followed_by_a_whole_release"
ORDER = "tests/faults/test_durability.py::test_every_name_comes_after_its_bytes_and_every_part_before_the_manifest"
UNKNOWN = "tests/release/test_commit.py::test_a_commit_that_never_arrived_is_finished_by_reconcile"

CAUGHT = {
    "append-and-progress-file": (f"{DIES}[publish.part-written]", "content_digest == golden"),
    "manifest-first": (f"{DIES}[commit.manifest-written]", "README.md: missing"),
    "in-place-shard": (ORDER, "written in place"),
    "check-then-rename": (
        "tests/store/test_interface.py::test_of_racing_writers_exactly_one_wins[directory]",
        "AssertionError",
    ),
    "no-commit-id-check": ("tests/release/test_races.py::test_one_of_four_publishers_wins", "len(winners) == 1"),
    "cleanup-on-timeout": (UNKNOWN, "'incomplete'"),
    "no-duplicate-check": (f"{DIES}[commit.manifest-written]", "[1, 2, 3] == [1, 2]"),
}
"""The test that must fail with each mutant, and a word of its reason."""


def run_tests(tests: str, mutant: str) -> subprocess.CompletedProcess[str]:
    """Run tests of the suite with a mutant in the library, or without one."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.faults.mutants", "-p", "no:cacheprovider"]
    command += tests.split()
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | {VARIABLE: mutant}, capture_output=True, text=True, check=False
    )


def test_each_mutant_has_its_test() -> None:
    """Seven of them."""
    assert CAUGHT.keys() == MUTANTS.keys()
    assert len(CAUGHT) == 7


@pytest.mark.promise(4)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_caught(mutant: str, trials: Trials) -> None:
    """By a test that fails because of it, not by one that cannot start."""
    tests, reason = CAUGHT[mutant]
    done = run_tests(tests, mutant)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert reason in done.stdout, done.stdout
    trials(1, "mutants caught", store="")


@pytest.mark.promise(4, 11)
@pytest.mark.parametrize("mutant", ["no-duplicate-check", pytest.param("manifest-first", marks=pytest.mark.faults)])
def test_the_state_machine_finds_a_mutant(mutant: str) -> None:
    """An order of operations that shows the mistake is found and told."""
    done = run_tests("tests/faults/test_machine.py", mutant)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "Failing test case" in done.stdout, done.stdout


@pytest.mark.promise(4)
@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_the_code_as_it_is_passes_the_same_tests(trials: Trials) -> None:
    """None of them fails without a mutant; here they run as they do with one."""
    selection = sorted({tests for tests, _ in CAUGHT.values()})
    done = run_tests(" ".join(selection), "")
    assert done.returncode == 0, done.stdout
    trials(len(selection), "tests passed without a mutant", store="")
