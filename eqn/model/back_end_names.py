"""The names of the back ends, apart from what they need to be imported."""

from typing import Final

NAMES: Final = ("int8", "bf16", "fp32")
"""From the fastest, as a rule, to the one that runs everywhere; see `eqn.model.back_ends`."""
AUTO: Final = "auto"
"""The fastest one here; see `eqn.annotation.choice`."""
