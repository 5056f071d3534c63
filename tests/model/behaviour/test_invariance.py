"""A trained model is not moved by what says nothing about feelings: names, places, typos, case, idle sentences."""

from collections.abc import Callable

import pytest

from tests.model.behaviour.capability import Capability
from tests.model.behaviour.invariance import CAPABILITIES

pytestmark = pytest.mark.behaviour


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda capability: capability.name)
def test_what_says_nothing_about_feelings_changes_nothing(
    hold: Callable[[Capability], None], capability: Capability
) -> None:
    """Each capability's own promise, such as: at least 90 % of name swaps move no intensity by more than 0.1."""
    hold(capability)
