"""What changed since the release before: labels that became more or less frequent, and which of it is more than chance.

A release usually holds the texts of the one before and some more. What both hold says nothing of a change, so the new
texts are compared with the earlier release (or, where there are none, what is left with what is gone): two independent
samples, and the standard error is that of a difference of two such shares.
"""

import dataclasses
import math

from eqn.emotions import EMOTIONS, INDEX
from eqn.pages.tally import Sums

STANDARD_ERRORS = 3.0
LEAST_POINTS = 0.005
"""A share that changed by less is not told, however many rows there are."""


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One emotion in two releases."""

    emotion: str
    before: float
    """Share of texts labelled, in [0, 1]."""
    now: float
    notable: bool
    """True when the change is beyond chance and large enough to tell."""

    @property
    def difference(self) -> float:
        """The change of the share, in [-1, 1]."""
        return self.now - self.before


def changes(before: Sums, now: Sums, *, fresh: Sums) -> list[Change]:
    """Compare two releases, of whose texts `fresh` are new; the largest change first."""
    sides = (before, fresh) if fresh.rows else (before.without(now), now)
    found = [
        Change(name, one, two, notable=abs(two - one) >= LEAST_POINTS and _is_beyond_chance(*sides, name))
        for name in EMOTIONS
        for one, two in [(before.share(name), now.share(name))]
    ]
    return sorted(found, key=lambda change: (-abs(change.difference), change.emotion))


def _is_beyond_chance(one: Sums, two: Sums, emotion: str) -> bool:
    """Tell it by the pooled share: that of a label which nobody carries in one of them has an error as well."""
    if not (one.rows and two.rows):
        return False
    both = int(one.labelled[INDEX[emotion]]) + int(two.labelled[INDEX[emotion]])
    pooled = both / (one.rows + two.rows)
    error = math.sqrt(pooled * (1 - pooled) * (1 / one.rows + 1 / two.rows))
    return abs(two.share(emotion) - one.share(emotion)) > STANDARD_ERRORS * error
