"""How much there is to multiply, and how much of it is padding. Pure functions of lengths in tokens.

A network of L layers with states of width h and inner states of width i (4h in BERT) multiplies, for a row of n tokens,

    linear layers    2 * n * (4 h^2 + 2 h i) * L        12 h^2 in the brackets where i = 4h
    attention        4 * n * n * h * L                  queries by keys, and weights by values
    head             2 * h * 28                         once for each text

floating-point operations. Rows of padding are counted where they are multiplied: that is what the processor did.
"""

import dataclasses
from collections.abc import Sequence

from eqn.emotions import EMOTIONS
from eqn.model.packing import Block


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """What decides how much a network multiplies."""

    layers: int
    width: int
    inner: int

    def operations(self, *, rows: int, products: int, texts: int) -> int:
        """Give the operations for linear layers of so many `rows`, attention of so many `products` n * n, and heads."""
        linear = 2 * rows * (4 * self.width**2 + 2 * self.width * self.inner)
        return self.layers * (linear + 4 * products * self.width) + 2 * texts * self.width * len(EMOTIONS)

    def packed(self, blocks: Sequence[Block]) -> int:
        """Give the operations for packed blocks, with the rows that fill them up."""
        runs = [run for block in blocks for run in block.runs]
        return self.operations(
            rows=sum(len(block.ids) for block in blocks),
            products=sum(run.texts * run.length**2 for run in runs),
            texts=sum(run.texts for run in runs),
        )


def padded_rows(lengths: Sequence[int], batch: int, *, width: int = 0) -> int:
    """Give the rows of batches in the order given, padded to their longest text or to `width`.

    >>> padded_rows([2, 3, 9], 2)
    15
    """
    batches = [lengths[start : start + batch] for start in range(0, len(lengths), batch)]
    return sum(len(part) * (width or max(part)) for part in batches)


def waste(tokens: int, rows: int) -> float:
    """Give the share of rows that are no tokens."""
    return 1 - tokens / rows
