"""The champion alias and the way back."""

from typing import Any

import pytest

from eqn.errors import ArtifactRefused, UsageError
from eqn.registry.champions import Moved, leases_of, rollback, set_champion
from eqn.registry.connection import connect
from eqn.registry.resolution import resolve
from eqn.registry.versions import list_versions
from eqn.settings import Settings
from tests.registry.conftest import Trainer


def test_going_back_twice_goes_back_two_champions(settings: Settings, trained: Trainer) -> None:
    """Each version remembers the champion that it replaced."""
    for version in (1, 2, 3):
        trained()
        set_champion(version, settings)

    assert rollback(settings) == Moved(3, 2)
    assert rollback(settings) == Moved(2, 1)
    assert resolve("champion", settings).version == 1
    with pytest.raises(UsageError, match="no champion before"):
        rollback(settings)


def test_any_version_can_be_named(settings: Settings, trained: Trainer) -> None:
    """Forward, back, and to a version that never was champion; the history stays a line."""
    for version in (1, 2, 3):
        trained()
        if version < 3:
            set_champion(version, settings)

    assert rollback(settings, to=1) == Moved(2, 1)
    assert rollback(settings, to=2) == Moved(1, 2)
    assert rollback(settings) == Moved(2, 1)
    assert rollback(settings, to=3) == Moved(1, 3)
    assert rollback(settings) == Moved(3, 1)


def test_the_present_champion_may_be_named(settings: Settings, trained: Trainer) -> None:
    """Moving the alias to where it stands changes nothing."""
    trained()
    set_champion(1, settings)
    before = list_versions(settings)

    assert set_champion(1, settings) == Moved(1, 1)
    assert list_versions(settings) == before


def test_a_champion_is_no_longer_the_challenger(settings: Settings, trained: Trainer) -> None:
    """The two aliases never stand on one version after a move."""
    trained()
    assert list_versions(settings)[0].aliases == ("challenger",)

    set_champion(1, settings)
    assert list_versions(settings)[0].aliases == ("champion",)


def test_a_version_whose_files_are_damaged_never_becomes_champion(settings: Settings, trained: Trainer) -> None:
    """The files are read back and verified before the alias moves."""
    for _ in (1, 2):
        trained()
    set_champion(1, settings)
    for weights in settings.artifacts.rglob("model.safetensors"):
        weights.write_bytes(b"damaged")

    with pytest.raises(ArtifactRefused):
        set_champion(2, settings)
    assert resolve("champion", settings).version == 1


def test_an_alias_moved_by_hand_is_respected_and_can_be_taken_back(settings: Settings, trained: Trainer) -> None:
    """What somebody set in MLflow's page is champion; going back leads to the last champion that EQN set."""
    for version in (1, 2, 3):
        trained()
        if version < 3:
            set_champion(version, settings)
    client: Any = connect(settings)
    client.set_registered_model_alias("eqn", "champion", "3")

    assert resolve("champion", settings).version == 3
    assert rollback(settings) == Moved(3, 2)


def test_a_former_champion_set_by_hand_can_be_taken_back(settings: Settings, trained: Trainer) -> None:
    """Going back leads to the last one that EQN made champion, also from a version that was champion before that."""
    for version in (1, 2, 3):
        trained()
        set_champion(version, settings)
    client: Any = connect(settings)
    client.set_registered_model_alias("eqn", "champion", "2")

    assert rollback(settings) == Moved(2, 3)
    assert rollback(settings) == Moved(3, 2)


def test_a_champion_that_was_removed_by_hand_can_be_brought_back(settings: Settings, trained: Trainer) -> None:
    """Without an alias nobody is champion; going back leads to the last one that was."""
    for version in (1, 2):
        trained()
        set_champion(version, settings)
    client: Any = connect(settings)
    client.delete_registered_model_alias("eqn", "champion")

    assert rollback(settings) == Moved(None, 2)


def test_people_take_turns_too(settings: Settings, trained: Trainer) -> None:
    """A move by hand of the command waits for the promoter at work, and passes over one that died."""
    for _ in (1, 2):
        trained()
    set_champion(1, settings)
    leases_of(settings).take()

    assert set_champion(2, settings, lease_seconds=2.0) == Moved(1, 2)
    assert rollback(settings) == Moved(2, 1)
    assert max(leases_of(settings).listed()[""]) >= 4


def test_a_version_that_is_not_there_is_a_usage_error(settings: Settings, trained: Trainer) -> None:
    """The message lists the versions there are."""
    trained()
    with pytest.raises(UsageError, match="versions: 1"):
        rollback(settings, to=9)
    with pytest.raises(UsageError, match="no champion before"):
        rollback(settings)
