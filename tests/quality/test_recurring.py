"""Which ids come again: what counting in dictionaries says, with digests in sorted order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eqn.quality.recurring import Recurring, pairs_of
from tests.memory import peak_bytes

_rows = st.lists(st.tuples(st.sampled_from([b"", b"a", b"b", b"ab", b"\0b", b"\xff"]), st.integers(0, 3)), max_size=20)


@given(_rows)
@example([])
@example([(b"a", 0)] * 3 + [(b"a", 1)])
def test_counts_are_those_of_the_simple_rule(rows: list[tuple[bytes, int]]) -> None:
    """How often a pair stands, and in how many files its id does, whatever bytes a digest has."""
    times, files = Counter(rows), Counter(digest for digest, _ in set(rows))
    pairs = pairs_of(np.array([digest for digest, _ in rows], "S16"), np.array([file for _, file in rows], np.int32))
    recurring = Recurring(bytearray(pairs.tobytes()))

    assert recurring.times_in_file(pairs).tolist() == [times[row] for row in rows]
    assert recurring.files_of_id(pairs).tolist() == [files[digest] for digest, _ in rows]


def test_rows_that_were_left_out_stand_once() -> None:
    """Only ids that come again need to be given."""
    pairs = pairs_of(np.array([b"a", b"b", b"a"], "S16"), np.array([0, 0, 1], np.int32))
    recurring = Recurring(bytearray(pairs[[0, 2]].tobytes()))

    assert recurring.times_in_file(pairs).tolist() == [1, 1, 1]
    assert recurring.files_of_id(pairs).tolist() == [2, 1, 2]


@pytest.mark.parametrize("files", [1, 2, 10])
def test_counting_takes_few_bytes_for_a_row(files: int) -> None:
    """Beside the 20 of the row itself; every id stands in each of the files."""
    rows = 20_000
    digests = np.array([b"%016d" % (row // files) for row in range(rows)], "S16")
    held = bytearray(pairs_of(digests, (np.arange(rows) % files).astype(np.int32)).tobytes())

    assert peak_bytes(lambda: Recurring(held)) < 20 * rows
