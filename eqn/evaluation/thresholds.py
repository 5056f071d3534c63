"""Per-emotion thresholds, chosen on dev, and held back where dev has too few rows to choose by.

The F1 of a rare emotion (13 rows of grief in GoEmotions' dev) jumps with every single row, so its best threshold on
dev says little about other data. Each emotion's own best threshold is therefore drawn towards an anchor, the more the
fewer rows carry the emotion: t = (n * own + k * anchor) / (n + k).

Where intensities are calibrated, the anchor needs no label: the threshold with the largest F1 to be expected if the
intensities are the probabilities that they claim to be. Else it is the best common threshold.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eqn.evaluation.arrays import Floats

PULL = 50.0
"""k: with that many rows on dev, an emotion's own threshold and the common one weigh the same."""
CALIBRATED_PULL = 400.0
"""The same for the expected one, which is the better guess: chosen on out-of-fold scores of GoEmotions' train split."""

_GRID = np.arange(0.02, 0.99, 0.01)


def choose_thresholds(gold: Floats, scores: Floats, *, pull: float = PULL) -> NDArray[np.float64]:
    """Choose the 28 thresholds from dev's `gold` and `scores`, both (rows, 28), which need not be calibrated.

    An intensity that reaches its threshold counts as a label.
    """
    curves = _smooth_curves(gold, scores)
    common = _GRID[int(np.argmax(curves.mean(axis=0)))]
    return _drawn(curves, gold, np.full(gold.shape[1], common), pull)


def choose_calibrated_thresholds(
    gold: Floats, scores: Floats, *, like: Floats, pull: float = CALIBRATED_PULL
) -> NDArray[np.float64]:
    """Choose the 28 thresholds from dev's `gold` and calibrated `scores`, both (rows, 28).

    `like` are calibrated scores (any rows, 28) of texts of the same kind, whose labels are not needed.
    """
    return _drawn(_smooth_curves(gold, scores), gold, expected_thresholds(like), pull)


def expected_thresholds(scores: Floats) -> NDArray[np.float64]:
    """Give the thresholds, (28,), with the largest expected F1 if calibrated `scores` (rows, 28) are right.

    Calling the k rows with the highest scores p finds sum p of them on average, so that F1 is about 2 * (sum of the k
    highest) / (k + sum of all) (Lipton, Elkan & Naryanaswamy, Optimal Thresholding of Classifiers to Maximize F1
    Measure, 2014, section 4: at the best k the lowest score called is half of that F1).
    """
    falling = -np.sort(-scores.astype(np.float64), axis=0)
    hits, called = np.cumsum(falling, axis=0), np.arange(1, len(falling) + 1)[:, None]
    best = np.argmax(2 * hits / (called + hits[-1]), axis=0)
    chosen: NDArray[np.float64] = falling[best, np.arange(falling.shape[1])]
    return chosen


def _drawn(curves: NDArray[np.float64], gold: Floats, anchor: NDArray[np.float64], pull: float) -> NDArray[np.float64]:
    """Give each emotion's own best threshold, drawn towards its anchor."""
    own, support = _GRID[np.argmax(curves, axis=1)], gold.sum(axis=0)
    weight = support / np.maximum(support + pull, 1)  # without any row and pull: 0, not 0 / 0
    chosen: NDArray[np.float64] = weight * own + (1 - weight) * anchor
    return np.round(chosen, 4)


def _smooth_curves(gold: Floats, scores: Floats) -> NDArray[np.float64]:
    """Give the smoothed F1 of each emotion at each threshold of the grid, (28, thresholds)."""
    return np.stack([_smooth(_f1_curve(gold[:, i], scores[:, i])) for i in range(gold.shape[1])])


def _f1_curve(gold: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
    """Give the F1 at each threshold of the grid."""
    everything = np.sort(scores)
    hits_sorted = np.sort(scores[gold > 0])
    called = len(everything) - np.searchsorted(everything, _GRID, side="left")
    hits = len(hits_sorted) - np.searchsorted(hits_sorted, _GRID, side="left")
    return np.asarray(2 * hits / np.maximum(called + len(hits_sorted), 1), dtype=np.float64)


def _smooth(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over five neighbours: a plateau is a better place than a spike beside a cliff."""
    return np.convolve(np.pad(curve, 2, mode="edge"), np.full(5, 0.2), mode="valid")
