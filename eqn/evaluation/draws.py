"""The draws of every bootstrap: rows are drawn anew, with replacement, as many as there are.

A draw is an integer weight for each row, so that no row is ever copied.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_BYTES = 8_000_000
"""Of the weights that are held at a time."""

Number = TypeVar("Number", np.float32, np.float64)


def row_draws(
    rows: int, resamples: int, *, seed: int | Sequence[int], dtype: type[Number]
) -> Iterator[NDArray[Number]]:
    """Draw `rows` rows `resamples` times; give how often each was drawn, (rows, draws), some draws at a time.

    However many are held at a time, they are the same. float32 holds and adds every whole number below 2^24.
    """
    generator = np.random.default_rng(seed)
    at_once = max(1, _BYTES // (np.dtype(dtype).itemsize * max(rows, 1)))
    for start in range(0, resamples, at_once):
        weights = np.empty((rows, min(at_once, resamples - start)), dtype=dtype)
        for draw in range(weights.shape[1]):
            weights[:, draw] = np.bincount(generator.integers(rows, size=rows), minlength=rows)
        yield weights
