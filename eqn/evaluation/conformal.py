"""Label sets with a stated coverage: of the rows that carry an emotion, at least 9 in 10 have it in their set.

Split conformal prediction, for each emotion by itself (class-conditional: Vovk, Conditional Validity of Inductive
Conformal Predictors, 2012): the emotion is in the set when its intensity reaches a limit that all but the lowest tenth
of the calibrating rows with that emotion reach. With n such rows the limit is the k-th lowest of their intensities,
k = floor((n + 1) * (1 - coverage)). The promise holds for rows of the same kind, on average over calibrating rows.

Where k is 0 no limit can promise anything: there are too few rows, fewer than 9 for a coverage of 0.9. Such an emotion
would have to be in every set; it is left out of all of them instead, and named, since the one would be as empty as the
other and less useful.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from eqn.emotions import EMOTIONS
from eqn.evaluation.arrays import Flags, Floats

COVERAGE = 0.9


@dataclasses.dataclass(frozen=True, slots=True)
class Conformal:
    """The limits of each emotion, and what they rest on."""

    coverage: float
    """Of the rows that carry an emotion, the share that has it in its set."""
    limits: Mapping[str, float]
    """The intensity from which an emotion is in the set; an emotion without a promise has none."""
    rows: Mapping[str, int]
    """Calibrating rows that carry each emotion."""

    @property
    def without(self) -> tuple[str, ...]:
        """The emotions for which nothing can be promised."""
        return tuple(name for name in EMOTIONS if name not in self.limits)

    def sets(self, scores: Floats) -> Flags:
        """Tell which emotions are in the set of each row of `scores` (rows, 28)."""
        return scores >= np.array([self.limits.get(name, np.inf) for name in EMOTIONS])


def fit_conformal(gold: Floats, scores: Floats, *, coverage: float = COVERAGE) -> Conformal:
    """Find the limits on calibrating rows: `gold`, 0 or 1, and `scores`, both (rows, 28)."""
    limits = {}
    for i, name in enumerate(EMOTIONS):
        carried = np.sort(scores[gold[:, i] > 0, i])
        # A hair is added, since (n + 1) * (1 - 0.9) is a little less than the whole number it stands for.
        k = int((len(carried) + 1) * (1 - coverage) + 1e-9)
        if k:
            limits[name] = float(carried[k - 1])
    rows = dict(zip(EMOTIONS, gold.sum(axis=0).astype(int).tolist(), strict=True))
    return Conformal(coverage=coverage, limits=limits, rows=rows)
