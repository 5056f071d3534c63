"""Per-emotion thresholds, chosen on dev, and held back where dev has too few rows to choose by.

The F1 of a rare emotion (13 rows of grief in GoEmotions' dev) jumps with every single row, so its best threshold on
dev says little about other data. Each emotion's own best threshold is therefore drawn towards the best common one, the
more the fewer rows carry the emotion: t = (n * own + k * common) / (n + k).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eqn.evaluation.arrays import Floats
from eqn.evaluation.metrics import macro_f1

PULL = 50.0
"""k: with that many rows on dev, an emotion's own threshold and the common one weigh the same."""

_GRID = np.arange(0.02, 0.99, 0.01)


def choose_thresholds(gold: Floats, scores: Floats, *, pull: float = PULL) -> NDArray[np.float64]:
    """Choose the 28 thresholds from dev's `gold` and `scores`, both (rows, 28).

    An intensity that reaches its threshold counts as a label.
    """
    curves = np.stack([_f1_curve(gold[:, i], scores[:, i]) for i in range(gold.shape[1])])
    common = _GRID[int(np.argmax(_smooth(curves.mean(axis=0))))]
    own = _GRID[np.argmax(np.apply_along_axis(_smooth, 1, curves), axis=1)]
    support = gold.sum(axis=0)
    weight = support / np.maximum(support + pull, 1)  # without any row and pull: 0, not 0 / 0
    chosen: NDArray[np.float64] = weight * own + (1 - weight) * common
    return np.round(chosen, 4)


def dev_score(gold: Floats, scores: Floats) -> float:
    """Give the figure by which checkpoints are compared: dev's macro-F1 under thresholds chosen the usual way."""
    return macro_f1(gold, scores >= choose_thresholds(gold, scores))


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
