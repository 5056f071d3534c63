"""Distances are 0 for what is alike and 1 for what has nothing in common, and chance is known beforehand."""

import numpy as np
import pytest

from eqn.drift.distances import jensen_shannon, merged_bins, noise_of_counts, noise_of_separability, separability

SHARES = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02])


def test_equal_shares_have_no_distance_and_strangers_the_largest() -> None:
    """Whatever the numbers of rows; and it is a distance: it does not matter which comes first."""
    assert jensen_shannon([10, 20, 0], [1, 2, 0]) == pytest.approx(0, abs=1e-7)
    assert jensen_shannon([10, 0], [0, 1]) == pytest.approx(1)
    assert jensen_shannon([9, 1], [5, 5]) == jensen_shannon([5, 5], [9, 1])


@pytest.mark.parametrize(("first", "second"), [(500, 500), (200, 5000)])
def test_two_samples_of_one_distribution_exceed_the_noise_as_often_as_stated(first: int, second: int) -> None:
    """Neither much more often, which would be false alarms, nor much more seldom, which would be blindness."""
    generator = np.random.default_rng(0)
    pairs = [
        merged_bins(generator.multinomial(first, SHARES).tolist(), generator.multinomial(second, SHARES).tolist())
        for _ in range(1000)
    ]

    shares = {
        beyond: np.mean([jensen_shannon(*pair) > noise_of_counts(*pair, beyond=beyond) for pair in pairs])
        for beyond in (0.01, 0.3)
    }

    assert shares[0.01] < 0.025
    assert 0.2 < shares[0.3] < 0.4


def test_sparse_bins_are_merged_and_no_row_is_lost() -> None:
    """Whatever the sides: what one of them has many of stands by itself, also where the other has none."""
    assert merged_bins([500, 0, 0], [400, 99, 1]) == ([500, 0], [400, 100])
    assert merged_bins([3, 1], [2, 2]) == ([4], [4])
    assert merged_bins([0, 0, 100], [0, 0, 100]) == ([100], [100])
    assert merged_bins([1, 1, 100], [1, 1, 100]) == ([102], [102])


def test_counts_in_a_single_bin_have_no_noise() -> None:
    """All texts are of one length: there is nothing to differ in."""
    assert noise_of_counts([5, 0], [9, 0], beyond=0.001) == 0


def test_what_is_alike_cannot_be_told_apart() -> None:
    """Drawn from one distribution, or the very same rows."""
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(600, 16)).astype(np.float32)

    assert separability(rows[:300], rows[300:]) <= noise_of_separability(300, 300, beyond=0.01)
    assert separability(rows, rows) == 0


def test_what_was_shifted_is_told_apart_and_always_equally_well() -> None:
    """By any classifier worth its name; nothing in it is random."""
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(400, 16)).astype(np.float32)
    shifted = rows[200:] + np.float32(1.0)

    value = separability(rows[:200], shifted)

    assert value > 0.9
    assert value == separability(rows[:200], shifted)


def test_noise_falls_with_rows() -> None:
    """Of both distances, for the smaller side above all."""
    assert noise_of_separability(100, 100, beyond=0.001) > noise_of_separability(1000, 1000, beyond=0.001)
    assert noise_of_counts([50, 50], [50, 50], beyond=0.001) > noise_of_counts([50, 50], [5000, 5000], beyond=0.001)
