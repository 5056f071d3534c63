"""A trained model reads plain sentences as anybody does; the rarest emotions are looked at one by one."""

from collections.abc import Callable

import pytest

from tests.model.behaviour.capability import Capability
from tests.model.behaviour.minimum_functionality import CAPABILITIES

pytestmark = pytest.mark.behaviour


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda capability: capability.name)
def test_a_plain_sentence_is_read_as_anybody_reads_it(
    hold: Callable[[Capability], None], capability: Capability
) -> None:
    """Each capability's own promise, such as: at least 90 % of plain sentences have their emotion in the top 3."""
    hold(capability)
