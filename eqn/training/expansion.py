"""Label expansion, EQN's idea: cells nobody labelled get the energy that a first model sees in them.

The published code (arXiv 2411.06160, eqn.py of 2025-06-26) predicts the rows on which stage A was trained, loses the
labels of multi-label rows, and keeps targets outside [0, 1]. The recipe `eqn` predicts only rows that stage A never
saw, takes the mean of label and prediction in every cell, and clips targets to [0, 1]; `paper` does as published, but
for the lost labels.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def assign_folds(texts: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """Give each row's fold, 0 to folds - 1, drawn from its text: the order of the rows does not matter.

    Rows of equal texts share a fold, or a model would be asked for what it was taught. The different texts are dealt
    out in equal numbers.
    """
    drawn = sorted(set(texts), key=lambda text: hashlib.sha256(f"{seed}:{text}".encode()).digest())
    fold_of = {text: rank % folds for rank, text in enumerate(drawn)}
    return np.fromiter((fold_of[text] for text in texts), dtype=np.int64, count=len(texts))


def expand(
    gold: NDArray[np.float32],
    predicted: NDArray[np.float32],
    *,
    expansion: float = 1.0,
    bounded: bool = True,
    blend: bool = False,
) -> NDArray[np.float32]:
    """Give stage B's targets from labels and predictions, both (rows, 28); `bounded` clips them to [0, 1].

    A labelled cell stays 1, and any other becomes `expansion` times its prediction; with `blend` every cell becomes
    the mean of label and prediction, in which the prediction has the weight `expansion`.

    >>> expand(np.float32([[1, 0, 0]]), np.float32([[0.3, 0.4, -0.1]]), expansion=0.5).tolist()
    [[1.0, 0.20000000298023224, 0.0]]
    >>> expand(np.float32([[1, 0]]), np.float32([[0.5, 0.5]]), expansion=0.5, blend=True).tolist()
    [[0.75, 0.25]]

    Raises:
        ValueError: the shapes differ, a label is neither 0 nor 1, or a prediction is no number.

    """
    if gold.shape != predicted.shape:
        raise ValueError(f"expected predictions of shape {gold.shape}, got {predicted.shape}")
    if not np.isin(gold, (0, 1)).all():
        raise ValueError("expected labels of 0 and 1")
    if not np.isfinite(predicted).all():
        raise ValueError("expected predictions that are numbers")
    energies = np.clip(predicted, 0, 1) if bounded else predicted
    kept = (1 - expansion) * gold if blend else 0
    targets = kept + expansion * energies
    return (targets if blend else np.where(gold == 1, 1, targets)).astype(np.float32)


def smooth(targets: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Replace a `share` of each target, (rows, 28), by its label's mean: label smoothing towards the prior."""
    smoothed: NDArray[np.float32] = ((1 - share) * targets + share * targets.mean(axis=0)).astype(np.float32)
    return smoothed


def without_multiple_labels(gold: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the labels, (rows, 28), with none in the rows that have several.

    That is what the published code makes of them: it looks a row's label string up as a whole, and "3,27" is no label.
    """
    single: NDArray[np.float32] = np.where(gold.sum(axis=1, keepdims=True) > 1, 0, gold).astype(np.float32)
    return single


def hold_out(rows: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the rows to train on and the held-out ones: the split that scikit-learn's `train_test_split` draws.

    The published code calls it with a share of 0.1 and the seed 42.
    """
    drawn = np.random.RandomState(seed).permutation(rows)
    held_out = math.ceil(share * rows)
    return drawn[held_out:], drawn[:held_out]
