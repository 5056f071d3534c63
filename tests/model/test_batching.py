"""Promises about batch plans."""

import doctest

from hypothesis import given, settings
from hypothesis import strategies as st

from eqn.model import batching
from eqn.model.batching import BatchPlan, padded_width, sorted_batches

_LENGTHS = st.lists(st.integers(1, 600), max_size=80)
_PLANS = st.builds(BatchPlan, rows=st.integers(1, 20), tokens=st.integers(1, 2000))


@settings(deadline=None)
@given(lengths=_LENGTHS, plan=_PLANS)
def test_every_row_is_in_exactly_one_batch(lengths: list[int], plan: BatchPlan) -> None:
    """Nothing is lost or computed twice, and no batch is empty."""
    batches = list(sorted_batches(lengths, plan))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(batches)


@settings(deadline=None)
@given(lengths=_LENGTHS, plan=_PLANS)
def test_no_batch_exceeds_the_plan(lengths: list[int], plan: BatchPlan) -> None:
    """Rows, and tokens with all padding, stay within the limits; only a row that is too long by itself may not."""
    for batch in sorted_batches(lengths, plan):
        assert len(batch) <= plan.rows
        width = padded_width(max(lengths[row] for row in batch))
        assert len(batch) == 1 or len(batch) * width <= plan.tokens


@settings(deadline=None)
@given(lengths=_LENGTHS, plan=_PLANS)
def test_no_batch_could_take_the_next_row(lengths: list[int], plan: BatchPlan) -> None:
    """Batches are as large as the plan allows: a row starts a new one only where it did not fit."""
    batches = list(sorted_batches(lengths, plan))
    for batch in batches[:-1]:
        width = padded_width(lengths[batch[0]])
        assert len(batch) == plan.rows or (len(batch) + 1) * width > plan.tokens


@settings(deadline=None)
@given(lengths=_LENGTHS, plan=_PLANS)
def test_the_longest_rows_come_first_and_equals_in_their_order(lengths: list[int], plan: BatchPlan) -> None:
    """The plan is a function of the lengths alone, so that equal work gives equal batches."""
    rows = [row for batch in sorted_batches(lengths, plan) for row in batch]
    assert rows == sorted(rows, key=lambda row: (-lengths[row], row))


@settings(deadline=None)
@given(st.integers(1, 1000))
def test_rows_are_padded_to_the_next_multiple_of_eight(length: int) -> None:
    """At most seven tokens are added, and a multiple of eight stays."""
    assert padded_width(length) % 8 == 0
    assert 0 <= padded_width(length) - length < 8


def test_the_example_in_the_docstring_holds() -> None:
    """What the function shows is what it does."""
    assert doctest.testmod(batching) == doctest.TestResults(failed=0, attempted=1)


def test_a_plan_says_its_limits() -> None:
    """The sentence stands in a release's manifest: other limits must read otherwise."""
    assert str(BatchPlan(rows=3, tokens=50)) == "length-sorted, at most 3 rows and 50 tokens"
