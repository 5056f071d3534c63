"""Promises about packing: every token of every text, once, and nothing else."""

import doctest
import itertools

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eqn.model import packing
from eqn.model.packing import BLOCK_TOKENS, Run, packed_blocks

_TEXTS = st.lists(st.lists(st.integers(1, 30_000), min_size=1, max_size=40), max_size=40)
_LIMITS = st.integers(1, 100)


def test_the_example_in_the_docstring_holds() -> None:
    """What the function shows is what it does."""
    assert doctest.testmod(packing) == doctest.TestResults(failed=0, attempted=1)


@settings(deadline=None)
@given(_TEXTS, _LIMITS)
@example([], 1)
@example([[1]] * 40, 7)
def test_every_text_stands_in_one_block_with_its_own_tokens(texts: list[list[int]], limit: int) -> None:
    """What the runs cut out of a block is, in the order of its rows, exactly the texts."""
    rows: list[int] = []
    for block in packed_blocks(texts, tokens=limit):
        found = [
            block.ids[start : start + run.length].tolist()
            for run in block.runs
            for start in range(run.start, run.end, run.length)
        ]
        assert found == [texts[row] for row in block.rows]
        rows += block.rows.tolist()
    assert sorted(rows) == list(range(len(texts)))


@settings(deadline=None)
@given(_TEXTS, _LIMITS)
def test_runs_lie_side_by_side_and_neighbours_differ_in_length(texts: list[list[int]], limit: int) -> None:
    """From the block's first token to its last, without a gap: texts of one length are one dense run."""
    for block in packed_blocks(texts, tokens=limit):
        assert block.runs[0].start == 0
        assert all(one.end == other.start for one, other in itertools.pairwise(block.runs))
        assert all(one.length > other.length for one, other in itertools.pairwise(block.runs))
        assert block.tokens == block.runs[-1].end == sum(len(texts[row]) for row in block.rows)


@settings(deadline=None)
@given(_TEXTS, _LIMITS)
def test_blocks_are_filled_up_to_a_multiple_of_32_with_zeros(texts: list[list[int]], limit: int) -> None:
    """As few as that takes; the places of what fills up are zeros too."""
    for block in packed_blocks(texts, tokens=limit):
        assert len(block.ids) % 32 == 0
        assert 0 <= len(block.ids) - block.tokens < 32
        assert not block.ids[block.tokens :].any()
        assert not block.places()[block.tokens :].any()


@settings(deadline=None)
@given(_TEXTS, _LIMITS)
def test_the_places_count_from_the_start_of_each_text(texts: list[list[int]], limit: int) -> None:
    """0, 1, 2 ... for each of them."""
    for block in packed_blocks(texts, tokens=limit):
        expected = [place for row in block.rows for place in range(len(texts[row]))]
        assert block.places()[: block.tokens].tolist() == expected


@settings(deadline=None)
@given(_TEXTS, _LIMITS)
def test_blocks_hold_as_many_texts_as_fit(texts: list[list[int]], limit: int) -> None:
    """Never more tokens than allowed, but for one text that is longer; and the next text would not have fitted in."""
    blocks = packed_blocks(texts, tokens=limit)
    for block in blocks:
        assert block.tokens <= limit or len(block.rows) == 1
    for block, following in itertools.pairwise(blocks):
        assert block.tokens + len(texts[following.rows[0]]) > limit


@settings(deadline=None)
@given(_TEXTS, _LIMITS)
def test_the_longest_come_first_and_equals_in_their_order(texts: list[list[int]], limit: int) -> None:
    """A function of the lengths alone: equal work is packed equally."""
    order = [row for block in packed_blocks(texts, tokens=limit) for row in block.rows.tolist()]
    assert order == sorted(range(len(texts)), key=lambda row: (-len(texts[row]), row))


def test_a_text_that_is_longer_than_a_block_stands_alone() -> None:
    """It is neither cut nor lost, and the others share a block."""
    blocks = packed_blocks([[7], list(range(1, BLOCK_TOKENS + 10)), [8, 9]])
    assert [block.rows.tolist() for block in blocks] == [[1], [2, 0]]
    assert blocks[0].tokens == BLOCK_TOKENS + 9
    assert np.array_equal(blocks[0].ids[: blocks[0].tokens], np.arange(1, BLOCK_TOKENS + 10))


@given(st.integers(1, 400), st.integers(1, 512))
def test_pieces_of_a_run_cover_its_texts_in_few_sizes(texts: int, length: int) -> None:
    """Every text is in a piece, none is beyond the run, and sizes are powers of four: kernels are kept for each."""
    run = Run(start=7 * length, texts=texts, length=length)
    covered: set[int] = set()
    for piece in run.pieces():
        assert piece.length == length
        assert piece.texts in {1, 4, 16, 64, 256}
        assert (piece.start - run.start) % length == 0
        first = (piece.start - run.start) // length
        covered |= set(range(first, first + piece.texts))
    assert covered == set(range(texts))
