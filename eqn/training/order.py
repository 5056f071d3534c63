"""The order in which rows are trained: random, and where the recipe asks for it with rows of like length together."""

from collections.abc import Sequence

import numpy as np


def epoch_batches(lengths: Sequence[int], batch_size: int, *, pool: int, seed: Sequence[int]) -> list[list[int]]:
    """Give the batches of one epoch; the same arguments give the same batches. Every row is in exactly one.

    Rows are shuffled, cut into pools of `pool` batches, sorted by length within a pool and cut into batches, whose
    order is shuffled again: little padding, and nearly the randomness of plain shuffling, which a pool of 1 is.
    """
    generator = np.random.default_rng(list(seed))
    shuffled = generator.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), batch_size * pool):
        drawn = sorted(shuffled[start : start + batch_size * pool].tolist(), key=lambda row: lengths[row])
        batches += [drawn[at : at + batch_size] for at in range(0, len(drawn), batch_size)]
    return [batches[position] for position in generator.permutation(len(batches))]
