"""Promises about the order in which rows are trained."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqn.training.order import epoch_batches


@pytest.fixture(scope="module")
def comment_lengths() -> list[int]:
    """Lengths such as comments have: many short, a few long."""
    return np.random.default_rng(0).geometric(0.06, 3000).clip(3, 128).tolist()


def _computed(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> int:
    return sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 128), max_size=200),
    batch=st.integers(1, 20),
    pool=st.integers(1, 50),
    seed=st.integers(0, 1000),
)
def test_every_row_is_in_exactly_one_batch(lengths: list[int], batch: int, pool: int, seed: int) -> None:
    """And there are as many batches as the recipe counts steps, none of them empty or too large."""
    batches = epoch_batches(lengths, batch, pool=pool, seed=(seed, 0))
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch)
    assert all(1 <= len(rows) <= batch for rows in batches)


def test_the_seed_decides_the_order(comment_lengths: list[int]) -> None:
    """The same seed gives the same batches; another seed, or another epoch, gives others."""
    first = epoch_batches(comment_lengths, 16, pool=40, seed=(1, 0))
    assert epoch_batches(comment_lengths, 16, pool=40, seed=(1, 0)) == first
    assert epoch_batches(comment_lengths, 16, pool=40, seed=(2, 0)) != first
    assert epoch_batches(comment_lengths, 16, pool=40, seed=(1, 1)) != first


def test_rows_meet_other_rows_in_the_next_epoch(comment_lengths: list[int]) -> None:
    """Batches are drawn anew, not only their order: hardly one comes back."""
    first, second = (
        {frozenset(rows) for rows in epoch_batches(comment_lengths, 16, pool=40, seed=(1, epoch))} for epoch in (0, 1)
    )
    assert len(first & second) < 0.02 * len(first)


def test_there_is_far_less_padding_than_in_random_order(comment_lengths: list[int]) -> None:
    """Within a fifth of what an order by length over all rows would compute; random order computes twice that."""
    shuffled = np.random.default_rng(1).permutation(len(comment_lengths)).tolist()
    random_order = [shuffled[start : start + 16] for start in range(0, len(shuffled), 16)]
    ours = _computed(epoch_batches(comment_lengths, 16, pool=40, seed=(1, 0)), comment_lengths)
    assert ours < 1.2 * sum(comment_lengths)
    assert _computed(random_order, comment_lengths) > 2 * sum(comment_lengths)


def test_long_and_short_batches_are_mixed(comment_lengths: list[int]) -> None:
    """Length tells nothing about the place in the epoch: the first half is no longer or shorter than the second."""
    batches = epoch_batches(comment_lengths[:640], 16, pool=40, seed=(1, 0))
    means = [np.mean([comment_lengths[row] for row in rows]) for rows in batches]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.4


def test_a_pool_of_one_batch_is_plain_shuffling(comment_lengths: list[int]) -> None:
    """Batches are drawn without a look at the lengths: their mean length varies as that of any 24 rows would."""
    batches = epoch_batches(comment_lengths, 24, pool=1, seed=(1, 0))
    drawn = {frozenset(rows) for rows in batches}
    shuffled = np.random.default_rng([1, 0]).permutation(len(comment_lengths)).tolist()
    assert drawn == {frozenset(shuffled[start : start + 24]) for start in range(0, len(shuffled), 24)}
    spread = np.std([np.mean([comment_lengths[row] for row in rows]) for rows in batches])
    assert spread == pytest.approx(np.std(comment_lengths) / np.sqrt(24), rel=0.25)
    sorted_ones = epoch_batches(comment_lengths, 24, pool=40, seed=(1, 0))
    assert np.std([np.mean([comment_lengths[row] for row in rows]) for rows in sorted_ones]) > 2 * spread
