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


def sorted_batches(lengths: Sequence[int], plan: BatchPlan) -> Iterator[list[int]]:
    """Give batches of positions, longest rows first, each within the plan's limits.

    >>> list(sorted_batches([3, 9, 4, 3], BatchPlan(rows=2, tokens=16)))
    [[1], [2, 0], [3]]
    """
    order = sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))
    batch: list[int] = []
    for position in order:
        longest = lengths[batch[0]] if batch else lengths[position]
        if batch and (len(batch) == plan.rows or longest * (len(batch) + 1) > plan.tokens):
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch
