"""Promises about thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eqn.evaluation.metrics import macro_f1
from eqn.evaluation.thresholds import (
    CALIBRATED_PULL,
    PULL,
    choose_calibrated_thresholds,
    choose_thresholds,
    expected_thresholds,
)

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


def test_an_expected_threshold_worked_out_by_hand() -> None:
    """Of 0.9, 0.5 and 0.1 the first alone has an expected F1 of 1.8 / 2.5, two have 2.8 / 3.5, and all 3 / 4.5."""
    scores = np.repeat([[0.5], [0.1], [0.9]], 28, axis=1)
    scores[:, OFTEN] = 1.0, 0.0, 0.0  # the certain one alone
    scores[:, RARELY] = 0.2, 0.2, 0.2  # all or nothing: all
    expected = np.full(28, 0.5)
    expected[[OFTEN, RARELY]] = 1.0, 0.2
    assert expected_thresholds(scores).tolist() == expected.tolist()


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 60), digits=st.integers(1, 6))
def test_no_other_threshold_has_a_larger_expected_f1(seed: int, rows: int, digits: int) -> None:
    """Tried out one by one, for each emotion; at the best one the lowest score called is at least half of that F1."""
    draw = np.random.default_rng(seed)
    scores = np.clip(np.round(draw.beta(0.3, 1.5, (rows, 28)) + 1e-3, digits), 10.0**-digits, 1)

    def expected_f1(column: NDArray[np.float64], threshold: float) -> float:
        called = column[column >= threshold]
        return 2 * float(called.sum()) / float(len(called) + column.sum())

    for column, chosen in zip(scores.T, expected_thresholds(scores), strict=True):
        best = max(expected_f1(column, threshold) for threshold in np.unique(column))
        assert expected_f1(column, chosen) == pytest.approx(best)
        assert chosen >= best / 2 - 1e-9
        assert (column[column < chosen] <= best / 2 + 1e-9).all()


def test_a_calibrated_threshold_is_drawn_to_the_expected_one(separable: Arrays) -> None:
    """By hand: (150 x 0.23 + 400 x 0.6) / 550 and (10 x 0.53 + 400 x 0.6) / 410; without a row, 0.6 itself."""
    like = np.repeat([[0.6], [0.6], [0.1]], 28, axis=1)
    thresholds = choose_calibrated_thresholds(*separable, like=like)
    assert CALIBRATED_PULL == 400
    assert expected_thresholds(like).tolist() == [0.6] * 28
    assert thresholds[OFTEN] == pytest.approx((150 * 0.23 + 400 * 0.6) / 550, abs=1e-4)
    assert thresholds[RARELY] == pytest.approx((10 * 0.53 + 400 * 0.6) / 410, abs=1e-4)
    assert np.delete(thresholds, [OFTEN, RARELY]).tolist() == [0.6] * 26
    own = choose_calibrated_thresholds(*separable, like=like, pull=0)
    assert own[[OFTEN, RARELY]].tolist() == pytest.approx([0.23, 0.53])


def test_calibrated_scores_need_no_labels_to_find_good_thresholds() -> None:
    """Labels drawn by the scores: the expected thresholds lose next to nothing against the best that labels can find.

    Emotions have shares of 1 % to 30 %, and thresholds that differ as much.
    """
    draw = np.random.default_rng(0)
    strength = np.geomspace(0.02, 0.6, 28)
    scores = draw.beta(0.4 * strength, 1.2 - strength, (20_000, 28))
    gold = (draw.random(scores.shape) < scores).astype(np.float32)
    expected, best = expected_thresholds(scores), choose_thresholds(gold, scores, pull=0)
    common = np.full(28, 0.5)
    f1 = [macro_f1(gold, scores >= thresholds) for thresholds in (expected, best, common)]
    assert f1[0] > f1[1] - 0.01
    assert f1[0] > f1[2] + 0.01


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


@settings(deadline=None, max_examples=50)
@given(arrays=_arrays(), pull=st.floats(0, 1e6))
def test_calibrated_thresholds_lie_between_an_emotions_own_and_the_expected_one(arrays: Arrays, pull: float) -> None:
    """And so always in 0 ... 1, whatever the scores."""
    own, expected = choose_thresholds(*arrays, pull=0), expected_thresholds(arrays[1])
    chosen = choose_calibrated_thresholds(*arrays, like=arrays[1], pull=pull)
    carried = arrays[0].any(axis=0)
    low, high = np.minimum(own, expected), np.maximum(own, expected)
    assert ((chosen >= low - 1e-4) & (chosen <= high + 1e-4))[carried].all()
    np.testing.assert_allclose(chosen[~carried], expected[~carried], atol=1e-4)
    assert ((chosen >= 0) & (chosen <= 1)).all()


@settings(deadline=None, max_examples=20)
@given(arrays=_arrays(), seed=st.integers(0, 100))
def test_the_order_of_the_rows_is_of_no_account(arrays: Arrays, seed: int) -> None:
    """Shuffled rows give the same thresholds, of either kind."""
    gold, scores = arrays
    order = np.random.default_rng(seed).permutation(len(gold))
    np.testing.assert_array_equal(choose_thresholds(gold, scores), choose_thresholds(gold[order], scores[order]))
    calibrated = choose_calibrated_thresholds(gold, scores, like=scores)
    shuffled = choose_calibrated_thresholds(gold[order], scores[order], like=scores[order][::-1])
    np.testing.assert_allclose(shuffled, calibrated, atol=1e-4)
