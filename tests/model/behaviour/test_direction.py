"""A trained model follows words that strengthen or deny a feeling, in the direction that they have."""

from collections.abc import Callable

import pytest

from tests.model.behaviour.capability import Capability
from tests.model.behaviour.direction import CAPABILITIES

pytestmark = pytest.mark.behaviour


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda capability: capability.name)
def test_an_intensity_follows_the_words_that_strengthen_or_deny_it(
    hold: Callable[[Capability], None], capability: Capability
) -> None:
    """Each capability's own promise, such as: at least 90 % of negated texts have their emotion lower by 0.1."""
    hold(capability)
