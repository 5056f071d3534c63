"""Promises about thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eqn.evaluation.metrics import macro_f1
from eqn.evaluation.thresholds import PULL, choose_thresholds, dev_score

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]
OFTEN, RARELY = 3, 16


@pytest.fixture
def separable() -> Arrays:
    """Two emotions that scores tell apart without error: one in 150 of 400 rows, one in 10.

    The first's F1 is 1 from 0.21 to 0.79, the second's from 0.51 to 0.99. A threshold is judged with its two neighbours
    on each side, so the first's best is 0.23 and the second's 0.53, which is also the best that suits both.
    """
    gold = np.zeros((400, 28), dtype=np.float32)
    gold[:150, OFTEN] = 1
    gold[-10:, RARELY] = 1
    scores = np.zeros((400, 28), dtype=np.float32)
    scores[:, OFTEN] = np.where(gold[:, OFTEN] > 0, 0.795, 0.205)
    scores[:, RARELY] = np.where(gold[:, RARELY] > 0, 0.995, 0.505)
    return gold, scores


def test_a_rare_emotions_threshold_is_the_common_one_and_a_frequent_ones_nearly_its_own(separable: Arrays) -> None:
    """By hand: (150 x 0.23 + 50 x 0.53) / 200 = 0.305; emotions that no row carries take the common 0.53."""
    thresholds = choose_thresholds(*separable)
    assert PULL == 50
    assert thresholds[OFTEN] == pytest.approx(0.305)
    assert thresholds[RARELY] == pytest.approx(0.53)
    assert np.delete(thresholds, [OFTEN, RARELY]).tolist() == pytest.approx([0.53] * 26)


def test_without_pull_each_emotion_has_its_own_threshold(separable: Arrays) -> None:
    """With no pull 0.23 stays 0.23, and an emotion that no row carries still has the common one, not NaN."""
    thresholds = choose_thresholds(*separable, pull=0)
    assert thresholds[[OFTEN, RARELY, 0]].tolist() == pytest.approx([0.23, 0.53, 0.53])


def test_a_threshold_may_stand_at_the_edge_of_the_grid(separable: Arrays) -> None:
    """Scores just above nothing: the lowest threshold is the best, although it has no neighbours below."""
    gold, scores = separable
    scores[:, OFTEN] = 0.055 * gold[:, OFTEN]
    assert choose_thresholds(gold, scores, pull=0)[OFTEN] == 0.02


def test_the_fewer_rows_the_nearer_the_common_threshold(separable: Arrays) -> None:
    """The same scores with half the rows of the emotion: its threshold moves from its own towards the common one."""
    gold, scores = separable
    few = np.r_[0:20, 150:400]
    assert 0.305 < choose_thresholds(gold[few], scores[few])[OFTEN] < 0.53


def test_the_score_of_a_checkpoint_is_macro_f1_under_thresholds_so_chosen(separable: Arrays) -> None:
    """Two emotions are found without error, 26 have none to find."""
    assert dev_score(*separable) == pytest.approx(2 / 28)
    gold, scores = separable
    assert dev_score(gold, scores) == macro_f1(gold, scores >= choose_thresholds(gold, scores))


@st.composite
def _arrays(draw: st.DrawFn) -> Arrays:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(1, 60))
    gold = (random.random((rows, 28)) < random.choice([0.0, 0.05, 0.5, 1.0], 28)).astype(np.float32)
    scores = np.clip(random.normal(draw(st.floats(-0.2, 1.2)), 0.3, (rows, 28)), 0, 1).astype(np.float32)
    return gold, np.round(scores, draw(st.integers(1, 4)))


@settings(deadline=None, max_examples=50)
@given(arrays=_arrays(), pulls=st.lists(st.floats(0, 1e6), min_size=3, max_size=6))
def test_more_pull_moves_thresholds_one_way_and_never_off_the_grid(arrays: Arrays, pulls: list[float]) -> None:
    """From an emotion's own threshold (no pull) to the common one (all pull), always in 0.02 ... 0.98."""
    by_pull = np.stack([choose_thresholds(*arrays, pull=pull) for pull in sorted([0, *pulls, 1e12])])
    assert np.isfinite(by_pull).all()
    assert by_pull.min() >= 0.02
    assert by_pull.max() <= 0.98
    assert np.ptp(by_pull[-1]) == 0
    steps = np.diff(by_pull, axis=0)
    assert ((steps >= 0).all(axis=0) | (steps <= 0).all(axis=0)).all()


@settings(deadline=None, max_examples=20)
@given(arrays=_arrays(), seed=st.integers(0, 100))
def test_the_order_of_the_rows_is_of_no_account(arrays: Arrays, seed: int) -> None:
    """Shuffled rows give the same thresholds."""
    order = np.random.default_rng(seed).permutation(len(arrays[0]))
    np.testing.assert_array_equal(choose_thresholds(*arrays), choose_thresholds(arrays[0][order], arrays[1][order]))
