"""The family of errors: exit codes, what a person reads, and the way through a pickle."""

import copy
import pickle

import pytest

from eqn import errors
from eqn.errors import (
    ArtifactRefused,
    CommitUnknown,
    Conflict,
    DataRefused,
    EqnError,
    StorageFull,
    StoreUnavailable,
    Transient,
    UsageError,
)

EXIT_CODES = {
    EqnError: 1,
    UsageError: 2,
    DataRefused: 3,
    Conflict: 4,
    StoreUnavailable: 5,
    StorageFull: 6,
    CommitUnknown: 7,
    ArtifactRefused: 8,
}


def test_every_error_has_its_exit_code() -> None:
    """Scripts rely on the numbers: each error of the family has the one that the architecture names."""
    family = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, EqnError)}

    assert {kind: kind.exit_code for kind in family} == EXIT_CODES
    assert errors.INTERRUPTED == 130


def test_only_an_unavailable_store_is_worth_another_try() -> None:
    """A retry of anything else would fail again, or hide a fault."""
    assert [kind for kind in EXIT_CODES if issubclass(kind, Transient)] == [StoreUnavailable]


def test_a_message_lists_all_faults_and_ends_with_what_to_do() -> None:
    """What was expected, every fault on a line of its own, then the way on."""
    error = DataRefused("expected texts.", faults=["a.csv: none", "b.csv: none"], todo="Add some.")

    assert str(error) == "expected texts.\n  - a.csv: none\n  - b.csv: none\nAdd some."
    assert str(UsageError("expected texts.")) == "expected texts."


@pytest.mark.parametrize("kind", EXIT_CODES)
def test_an_error_survives_a_process_boundary(kind: type[EqnError]) -> None:
    """A worker's error arrives with its faults and its advice."""
    error = kind("what", faults=["one", "two"], todo="do")
    error.add_note("noted")

    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301  our own bytes
        assert type(twin) is kind
        assert (twin.what, twin.faults, twin.todo, str(twin)) == ("what", ("one", "two"), "do", str(error))
        assert twin.__notes__ == ["noted"]
