"""What is told as a change, and what is left to chance."""

import numpy as np
import pytest

from eqn.emotions import INDEX
from eqn.pages.changes import changes
from eqn.pages.tally import Sums


def sums(rows: int, **labelled: int) -> Sums:
    """Give sums in which only the labels that are named occur."""
    counts = np.zeros(28, dtype=np.int64)
    for name, count in labelled.items():
        counts[INDEX[name]] = count
    return Sums(rows, np.zeros(28), counts)


def plus(one: Sums, two: Sums) -> Sums:
    whole = Sums()
    whole.add(one)
    whole.add(two)
    return whole


def test_a_clear_change_is_told_with_its_direction() -> None:
    before, fresh = sums(2000, anger=100, joy=600), sums(2000, anger=300, joy=300)
    found = changes(before, plus(before, fresh), fresh=fresh)

    assert [(one.emotion, one.notable) for one in found[:2]] == [("joy", True), ("anger", True)]
    assert found[0].difference == pytest.approx(-0.075)
    assert found[1].now == 0.1
    assert not any(one.notable for one in found[2:])


@pytest.mark.parametrize(("rows", "notable"), [(100, False), (10_000, True)])
def test_the_same_difference_needs_enough_texts(rows: int, notable: bool) -> None:  # noqa: FBT001
    """5 % and 9 % may well be the same in 100 texts, not in 10,000."""
    before, fresh = sums(rows, fear=rows * 5 // 100), sums(rows, fear=rows * 9 // 100)

    assert changes(before, fresh, fresh=fresh)[0].notable is notable


def test_a_difference_too_small_to_matter_is_not_told() -> None:
    """However sure it is: 5.0 % and 5.3 % of ten million."""
    before, fresh = sums(10_000_000, fear=500_000), sums(10_000_000, fear=530_000)

    assert not any(one.notable for one in changes(before, fresh, fresh=fresh))


def test_chance_alone_is_rarely_told() -> None:
    """Two draws of the same texts, 300 times: 27 labels each, far fewer than one in a hundred is told."""
    random = np.random.default_rng(1)
    shares = np.linspace(0.01, 0.3, 28)
    told = 0
    for _ in range(300):
        one, two = (Sums(1000, np.zeros(28), random.binomial(1000, shares)) for _ in range(2))
        told += sum(change.notable for change in changes(one, plus(one, two), fresh=two))

    assert told < 300 * 28 * 0.01


def test_where_nothing_is_new_what_is_gone_is_compared() -> None:
    left, gone = sums(1000, anger=20), sums(1000, anger=400)
    found = changes(plus(left, gone), left, fresh=Sums())

    assert (found[0].emotion, found[0].notable) == ("anger", True)
    assert not any(one.notable for one in changes(left, left, fresh=Sums()))
