"""The order in which rows are trained: random, yet with rows of like length in one batch."""

from collections.abc import Sequence

import numpy as np

_POOL = 40
"""Batches that are drawn together, sorted by length, and shuffled again."""


def epoch_batches(lengths: Sequence[int], batch_size: int, *, seed: Sequence[int]) -> list[list[int]]:
    """Give the batches of one epoch; the same arguments give the same batches. Every row is in exactly one.

    Rows are shuffled, cut into pools of 40 batches, sorted by length within a pool and cut into batches, whose order is
    shuffled again: little padding, and nearly the randomness of plain shuffling.
    """
    generator = np.random.default_rng(list(seed))
    shuffled = generator.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), batch_size * _POOL):
        pool = sorted(shuffled[start : start + batch_size * _POOL].tolist(), key=lambda row: lengths[row])
        batches += [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
    return [batches[position] for position in generator.permutation(len(batches))]
