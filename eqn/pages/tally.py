"""Sums over the rows of a release: how much of each emotion, how strong, and which come together. Memory is fixed."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from eqn.emotions import EMOTIONS, INDEX, SENTIMENT

BINS = 20
"""Bins of a histogram, each 1 / BINS wide; an intensity of 1 counts in the last."""

CLOSE = 0.1
"""A threshold is told where an intensity with the label and one without are no further apart."""

_N = len(EMOTIONS)
_GROUPS = {group: np.array([INDEX[name] for name in names]) for group, names in SENTIMENT.items()}
_NOT_NEUTRAL = np.array([INDEX[name] for name in EMOTIONS if name != "neutral"])


def _counts(*shape: int) -> NDArray[np.int64]:
    return np.zeros(shape, dtype=np.int64)


@dataclasses.dataclass(slots=True)
class Sums:
    """What two releases are compared by."""

    rows: int = 0
    total: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros(_N))
    """Sum of each emotion's intensity (28,)."""
    labelled: NDArray[np.int64] = dataclasses.field(default_factory=lambda: _counts(_N))
    """Rows that carry each emotion as a label (28,)."""

    def add(self, other: "Sums") -> None:
        """Take in other rows."""
        self.rows += other.rows
        self.total = self.total + other.total
        self.labelled = self.labelled + other.labelled

    def without(self, other: "Sums") -> "Sums":
        """Give the sums of the rows that are not in `other`, whose rows are all in here."""
        return Sums(self.rows - other.rows, self.total - other.total, self.labelled - other.labelled)

    def mean(self, emotion: str) -> float:
        """Give an emotion's mean intensity, in [0, 1]."""
        return float(self.total[INDEX[emotion]]) / max(self.rows, 1)

    def share(self, emotion: str) -> float:
        """Give the share of rows that carry the label, in [0, 1]."""
        return int(self.labelled[INDEX[emotion]]) / max(self.rows, 1)


@dataclasses.dataclass(slots=True)
class Tally:
    """Everything about a release's rows that its page draws."""

    sums: Sums = dataclasses.field(default_factory=Sums)
    truncated: int = 0
    """Rows whose text was longer than the model reads."""
    unlabelled: int = 0
    """Rows without a label."""
    emotional: int = 0
    """Rows with a label other than neutral."""
    together: NDArray[np.int64] = dataclasses.field(default_factory=lambda: _counts(_N, _N))
    """Rows that carry both labels (28, 28); on the diagonal, the one."""
    histogram: NDArray[np.int64] = dataclasses.field(default_factory=lambda: _counts(_N, BINS))
    """Rows per emotion and bin of intensity (28, BINS)."""
    groups: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(SENTIMENT, 0))
    """Rows with at least one label of the sentiment."""
    weakest_labelled: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.full(_N, np.inf))
    """Each emotion's lowest intensity with the label (28,); infinite where no row has it."""
    strongest_missed: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.full(_N, -np.inf))
    """Each emotion's highest intensity without the label (28,); minus infinite where every row has it."""

    def add(self, scores: NDArray[np.float64], flags: NDArray[np.bool_], truncated: int) -> Sums:
        """Take in intensities (rows, 28) and labels (rows, 28); gives the sums of these rows alone."""
        sums = Sums(len(scores), scores.sum(axis=0), flags.sum(axis=0, dtype=np.int64))
        self.sums.add(sums)
        self.truncated += truncated
        self.unlabelled += int((~flags.any(axis=1)).sum())
        self.emotional += int(flags[:, _NOT_NEUTRAL].any(axis=1).sum())
        ones = flags.astype(np.float64)  # exact up to 2**53 rows, and a product of floats is fast
        self.together += (ones.T @ ones).astype(np.int64)
        bins = np.clip((np.rint(scores * 10_000).astype(np.int64) * BINS) // 10_000, 0, BINS - 1)
        flat = (bins + BINS * np.arange(_N)).ravel()
        self.histogram += np.bincount(flat, minlength=_N * BINS).reshape(_N, BINS)
        for group, positions in _GROUPS.items():
            self.groups[group] += int(flags[:, positions].any(axis=1).sum())
        lowest = np.where(flags, scores, np.inf).min(axis=0, initial=np.inf)
        highest = np.where(flags, -np.inf, scores).max(axis=0, initial=-np.inf)
        self.weakest_labelled = np.minimum(self.weakest_labelled, lowest)
        self.strongest_missed = np.maximum(self.strongest_missed, highest)
        return sums

    def threshold(self, emotion: str) -> float | None:
        """Give about the intensity from which the emotion is a label; None where the rows do not show it closely."""
        lowest, highest = self.weakest_labelled[INDEX[emotion]], self.strongest_missed[INDEX[emotion]]
        # Where parts of two models meet, the two may overlap.
        return float((lowest + highest) / 2) if abs(lowest - highest) <= CLOSE else None


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """Two emotions that meet as labels of one text."""

    first: str
    second: str
    rows: int
    lift: float
    """How many times as often they meet as they would if they knew nothing of each other."""


def pairs(tally: Tally, *, least_rows: int) -> list[Pair]:
    """Give the pairs that meet in at least so many rows and more often than by chance, the most surprising first."""
    rows, labelled = tally.sums.rows, tally.sums.labelled
    found = []
    for i, first in enumerate(EMOTIONS):
        for j, second in enumerate(EMOTIONS[:i]):
            both = int(tally.together[i, j])
            if both >= least_rows:
                lift = both * rows / (int(labelled[i]) * int(labelled[j]))
                if lift > 1:
                    found.append(Pair(second, first, both, lift))
    return sorted(found, key=lambda pair: (-pair.lift, -pair.rows, pair.first))


def conditional(tally: Tally, given: str, other: str) -> float:
    """Give the share, in [0, 1], of the rows labelled `given` that are labelled `other` too."""
    i, j = INDEX[given], INDEX[other]
    return int(tally.together[i, j]) / max(int(tally.sums.labelled[i]), 1)
