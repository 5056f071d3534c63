"""Texts packed one behind the other, without padding: what a packed network computes at once.

The rows are sorted by length, so that texts of equal length stand side by side: a run of them is one dense block for
attention, and for everything else a text's neighbours do not matter. Pure functions of ids, so that equal work gives
equal bytes.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_TOKENS = 1024
"""Tokens of a block, at most: its states (1024 x 1536 numbers in MiniLM's widest layer) stay near a core's cache."""
_MULTIPLE = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring texts of one length."""

    start: int
    """Place of their first token in the block."""
    texts: int
    length: int
    """Tokens of each."""

    @property
    def end(self) -> int:
        """Give the place behind their last token."""
        return self.start + self.texts * self.length

    def pieces(self) -> "Iterator[Run]":
        """Give runs of 1, 4, 16 ... texts that cover this one; the last of them may overlap the one before.

        The library below prepares a kernel of more than half a megabyte for every number of texts and every length of
        a batched product, and keeps it: with any number of texts, that memory would grow for millions of rows.
        """
        texts = 1
        while texts * 4 <= self.texts and texts * 4 * self.length <= BLOCK_TOKENS:
            texts *= 4
        firsts = [*range(0, self.texts - texts, texts), self.texts - texts]
        return (Run(self.start + first * self.length, texts, self.length) for first in firsts)


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Some packed texts."""

    rows: NDArray[np.int64]
    """(texts,), where each of them stood in the caller's order."""
    ids: NDArray[np.int64]
    """(tokens,), the number of tokens rounded up to a multiple of 32 with zeros."""
    runs: tuple[Run, ...]

    @property
    def tokens(self) -> int:
        """Give the number of tokens, without the zeros."""
        return self.runs[-1].end

    def places(self) -> NDArray[np.int64]:
        """Give the place of each token in its text, (tokens,); zeros for the rest."""
        places = np.zeros_like(self.ids)
        for run in self.runs:
            places[run.start : run.end] = np.tile(np.arange(run.length), run.texts)
        return places


def packed_blocks(ids: Sequence[Sequence[int]], *, tokens: int = BLOCK_TOKENS) -> list[Block]:
    """Pack texts, given as token ids, into blocks of at most `tokens` tokens, longest texts first.

    A text that is longer than `tokens` has a block of its own.

    >>> [block.rows.tolist() for block in packed_blocks([[1], [1, 2, 3], [1, 2], [4]], tokens=4)]
    [[1], [2, 0, 3]]
    """
    if not ids:
        return []
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    flat = np.fromiter(itertools.chain.from_iterable(ids[row] for row in order.tolist()), np.int64, int(ends[-1]))
    blocks, first = [], 0
    while first < len(order):
        start = int(ends[first] - lengths[order[first]])
        last = max(int(np.searchsorted(ends, start + tokens, side="right")), first + 1)
        rows = order[first:last]
        blocks.append(Block(rows, _filled(flat[start : int(ends[last - 1])]), _runs(lengths[rows])))
        first = last
    return blocks


def _filled(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fill up with zeros: the libraries below prepare a kernel for each number of rows that they meet, and keep it."""
    return np.pad(ids, (0, -len(ids) % _MULTIPLE))


def _runs(lengths: NDArray[np.int64]) -> tuple[Run, ...]:
    """Give the runs of texts with these lengths, which fall or stay."""
    runs, start = [], 0
    for length, group in itertools.groupby(lengths.tolist()):
        texts = sum(1 for _ in group)
        runs.append(Run(start, texts, length))
        start += texts * length
    return tuple(runs)
