"""Batch plans: which rows are computed together. Pure functions of lengths, so that equal work gives equal bytes.

Comments are short and their lengths vary (GoEmotions: 12.7 words on average, longest 33): padding everything to 128
tokens would spend 80-90 % of the work on padding.
"""

import dataclasses
from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class BatchPlan:
    """How many rows and tokens, padding included, may be computed together."""

    rows: int = 64
    tokens: int = 4096

    def __str__(self) -> str:
        return f"length-sorted, at most {self.rows} rows and {self.tokens} tokens"


def padded_width(length: int) -> int:
    """Give the width to which rows of at most `length` tokens are padded: the next multiple of 8.

    The libraries below keep prepared kernels for each shape they meet, and with every length a shape of its own that
    memory grows without end.
    """
    return -(-length // 8) * 8


def sorted_batches(lengths: Sequence[int], plan: BatchPlan) -> Iterator[list[int]]:
    """Give batches of positions, longest rows first, each within the plan's limits.

    >>> list(sorted_batches([3, 9, 4, 3], BatchPlan(rows=2, tokens=16)))
    [[1], [2, 0], [3]]
    """
    order = sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))
    batch: list[int] = []
    for position in order:
        width = padded_width(lengths[batch[0] if batch else position])
        if batch and (len(batch) == plan.rows or width * (len(batch) + 1) > plan.tokens):
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch
