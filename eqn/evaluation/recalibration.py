"""Intensities that mean what they say: the network's outputs, mapped so that 0.8 is right in 8 rows of 10.

Each emotion's output z becomes sigmoid(scale * z + shift), fitted on labels (Platt, Probabilistic Outputs for Support
Vector Machines, 1999). The map rises, so it changes no ranking within an emotion; across emotions it is what makes
intensities comparable: 0.2 and 0.8 promise the same share of readers in grief as in joy.

A rare emotion's two numbers cannot be told from a handful of rows. All emotions are therefore fitted together first,
and each one's own map is drawn towards the common one: a squared distance of 1 costs `RIDGE` / 2 nats.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from eqn.evaluation.arrays import Floats

RIDGE = 100.0
"""Chosen on out-of-fold scores of GoEmotions' train split."""
_LEAST_RIDGE = 1.0
"""Of the common map: labels that are told apart without error would make it endless."""
_STEPS = 100
_HALVINGS = 40
_CLOSE = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class Recalibration:
    """The maps of the 28 emotions; z becomes sigmoid(scale * z + shift)."""

    scale: NDArray[np.float64]
    """(28,), above 0."""
    shift: NDArray[np.float64]
    """(28,)."""

    def intensities(self, outputs: Floats) -> NDArray[np.float64]:
        """Give the calibrated intensities, in [0, 1], of the head's outputs (rows, 28)."""
        return sigmoid(self.scale * outputs + self.shift)


def sigmoid(values: Floats) -> NDArray[np.float64]:
    """Give 1 / (1 + exp(-values)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(values, dtype=np.float64)))


def fit_recalibration(gold: Floats, outputs: Floats, *, ridge: float = RIDGE) -> Recalibration:
    """Fit the maps on `gold`, 0 or 1, and the head's `outputs`, both (rows, 28)."""
    common = _fit(gold.ravel(), outputs.ravel(), start=np.array([1.0, 0.0]), ridge=_LEAST_RIDGE)
    if common[0] <= 0:  # outputs that do not rise with the labels: nothing is to be learnt from their size
        common = np.array([1.0, 0.0])
    maps = np.stack([_fit(gold[:, i], outputs[:, i], start=common, ridge=ridge) for i in range(gold.shape[1])])
    falling = maps[:, 0] <= 0  # a map that falls would turn the ranking around
    maps[falling] = common
    return Recalibration(scale=maps[:, 0], shift=maps[:, 1])


def _fit(gold: Floats, outputs: Floats, *, start: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Give scale and shift that minimise the log loss plus `ridge` / 2 times the squared distance from `start`."""
    columns = np.stack([outputs, np.ones_like(outputs)], axis=1).astype(np.float64)

    def cost(point: NDArray[np.float64]) -> float:
        values = columns @ point
        return float((np.logaddexp(0, values) - gold * values).sum() + ridge / 2 * ((point - start) ** 2).sum())

    found, least = start.copy(), cost(start)
    for _ in range(_STEPS):
        probability = sigmoid(columns @ found)
        slope = columns.T @ (probability - gold) + ridge * (found - start)
        bend = (columns.T * (probability * (1 - probability))) @ columns + ridge * np.eye(2)
        step = np.linalg.solve(bend, slope)
        for _ in range(_HALVINGS):  # a whole step may overshoot where the sigmoid is flat
            if cost(found - step) <= least:
                break
            step /= 2
        found = found - step
        least = cost(found)
        if np.abs(step).max() < _CLOSE:
            break
    return found
