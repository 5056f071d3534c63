"""Promises about folds and label expansion."""

import doctest
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from eqn.training import expansion
from eqn.training.expansion import assign_folds, expand, hold_out, smooth, without_multiple_labels


@settings(deadline=None)
@given(ids=st.lists(st.text(max_size=5), unique=True, max_size=60), folds=st.integers(2, 7), seed=st.integers(0, 99))
def test_folds_are_equal_parts(ids: list[str], folds: int, seed: int) -> None:
    """No fold has more than one row more than another, and every row is in one."""
    sizes = np.bincount(assign_folds(ids, folds, seed), minlength=folds)
    assert sizes.sum() == len(ids)
    assert sizes.max() - sizes.min() <= 1


@settings(deadline=None)
@given(ids=st.lists(st.text(max_size=5), unique=True, min_size=1, max_size=60), seed=st.integers(0, 99))
def test_a_rows_fold_does_not_depend_on_where_it_stands(ids: list[str], seed: int) -> None:
    """Rows in another order are in the same folds."""
    assigned = dict(zip(ids, assign_folds(ids, 3, seed).tolist(), strict=True))
    shuffled = sorted(ids, key=lambda identifier: identifier[::-1])
    assert dict(zip(shuffled, assign_folds(shuffled, 3, seed).tolist(), strict=True)) == assigned


def test_equal_texts_share_a_fold() -> None:
    """A model is never asked about a text on which it was trained under another id."""
    texts = [f"comment {number % 40}" for number in range(100)]
    assigned = assign_folds(texts, 3, 0)
    assert len(set(zip(texts, assigned.tolist(), strict=True))) == 40


def test_folds_are_drawn_by_the_seed_and_not_in_the_ids_order() -> None:
    """Another seed gives other folds; neighbours are not dealt out in turn."""
    ids = [f"row-{number:03}" for number in range(300)]
    first, second = assign_folds(ids, 2, 0), assign_folds(ids, 2, 1)
    assert 0.35 < (first == second).mean() < 0.65
    assert 0.35 < (first[1:] == first[:-1]).mean() < 0.65


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), amount=st.floats(0, 1))
def test_targets_are_intensities_and_keep_every_label(seed: int, amount: float) -> None:
    """All in [0, 1], gold stays 1, and no other cell gets more than its share of the prediction."""
    draw = np.random.default_rng(seed)
    gold = (draw.random((10, 28)) < 0.1).astype(np.float32)
    predicted = draw.normal(0.5, 1, (10, 28)).astype(np.float32)
    targets = expand(gold, predicted, expansion=amount)
    assert targets.dtype == np.float32
    assert targets.min() >= 0
    assert targets.max() <= 1
    assert (targets[gold > 0] == 1).all()
    np.testing.assert_allclose(targets[gold == 0], amount * predicted[gold == 0].clip(0, 1), rtol=1e-6)


def test_without_expansion_targets_are_the_labels() -> None:
    """At 0 stage B trains on what the raters said."""
    gold = np.eye(28, dtype=np.float32)
    np.testing.assert_array_equal(expand(gold, np.full((28, 28), 0.7, dtype=np.float32), expansion=0), gold)


def test_predictions_outside_the_range_are_clipped() -> None:
    """As 1.2 and -0.3 of a regression would be, which the published code keeps."""
    targets = expand(np.float32([[1, 0, 0, 0]]), np.float32([[-0.3, 1.2, -0.3, 0.4]]))
    np.testing.assert_array_equal(targets, np.float32([[1, 1, 0, 0.4]]))


def test_without_bounds_predictions_become_targets_as_they_are() -> None:
    """The published way: below 0 and above 1 too; a labelled cell is 1 all the same."""
    targets = expand(np.float32([[1, 0, 0, 0]]), np.float32([[-0.3, 1.2, -0.3, 0.4]]), bounded=False)
    np.testing.assert_array_equal(targets, np.float32([[1, 1.2, -0.3, 0.4]]))


def _blended(gold: NDArray[np.float32], predicted: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    return expand(gold, predicted, expansion=share, blend=True)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_blended_targets_lie_between_label_and_prediction(seed: int, share: float) -> None:
    """In every cell, labelled or not: as far on the way from the one to the other as the share says."""
    draw = np.random.default_rng(seed)
    gold = (draw.random((10, 28)) < 0.2).astype(np.float32)
    predicted = draw.normal(0.5, 1, (10, 28)).astype(np.float32)
    targets, energies = _blended(gold, predicted, share), predicted.clip(0, 1)
    assert targets.dtype == np.float32
    assert (targets >= np.minimum(gold, energies) - 1e-6).all()
    assert (targets <= np.maximum(gold, energies) + 1e-6).all()
    np.testing.assert_allclose(targets - gold, share * (energies - gold), atol=1e-6)


def test_a_blend_without_expansion_is_the_label_and_a_whole_one_the_prediction() -> None:
    """At 0 what the raters said, at 1 what stage A said, also of labelled cells; clipped unless that is not wanted."""
    gold, predicted = np.float32([[1, 1, 0, 0]]), np.float32([[0.3, 1.2, 0.4, -0.2]])
    np.testing.assert_array_equal(_blended(gold, predicted, 0.0), gold)
    np.testing.assert_array_equal(_blended(gold, predicted, 1.0), np.float32([[0.3, 1, 0.4, 0]]))
    unbounded = expand(gold, predicted, blend=True, bounded=False)
    np.testing.assert_array_equal(unbounded, predicted)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32), share=st.floats(0.01, 1))
def test_targets_blended_with_calibrated_predictions_are_as_many_as_the_labels(seed: int, share: float) -> None:
    """Labels drawn by the predictions themselves: each emotion's mean target is its share of rows.

    Targets that keep every label at 1 promise more than that, the more the larger the expansion.
    """
    draw = np.random.default_rng(seed)
    predicted = draw.beta(0.3, 2, (20_000, 28)).astype(np.float32)
    gold = (draw.random(predicted.shape) < predicted).astype(np.float32)
    blended, kept = _blended(gold, predicted, share), expand(gold, predicted, expansion=share)
    np.testing.assert_allclose(blended.mean(axis=0), gold.mean(axis=0), atol=0.015)
    assert (kept.mean(axis=0) >= gold.mean(axis=0) + 0.4 * share * gold.mean(axis=0)).all()


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0, 0.999), rows=st.integers(1, 40))
def test_smoothing_keeps_every_labels_mean(seed: int, share: float, rows: int) -> None:
    """And moves each cell towards it by its share of the way, so that targets stay intensities."""
    targets = np.random.default_rng(seed).random((rows, 28)).astype(np.float32)
    smoothed = smooth(targets, share)
    assert smoothed.dtype == np.float32
    np.testing.assert_allclose(smoothed.mean(axis=0), targets.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(
        smoothed - targets.mean(axis=0), (1 - share) * (targets - targets.mean(axis=0)), atol=1e-5
    )
    assert smoothed.min() >= 0
    assert smoothed.max() <= 1


def test_without_smoothing_targets_stay_as_they_are() -> None:
    """To the bit; and a tenth of a label in one row of four is by hand 0.925 and 0.025."""
    targets = np.float32([[1, 0], [0, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(smooth(targets, 0.0), targets)
    expected = [[0.925, 0.025], [0.025, 0.025], [0.025, 0.025], [0.025, 0.925]]
    np.testing.assert_allclose(smooth(targets, 0.1), expected, rtol=1e-6)


def test_rows_with_several_labels_can_lose_them_all() -> None:
    """The published code's defect: such a row is all zero, a row with one label or none stays, and nothing is moved."""
    gold = np.float32([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(
        without_multiple_labels(gold), np.float32([[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]])
    )
    assert gold.sum() == 6


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(5, 3000), share=st.sampled_from([0.1, 0.15, 0.5]), seed=st.integers(0, 2**32 - 1))
def test_rows_are_held_out_as_scikit_learn_does(rows: int, share: float, seed: int) -> None:
    """The same rows in the same order, for any number of rows."""
    ours, theirs = hold_out(rows, share, seed), train_test_split(np.arange(rows), test_size=share, random_state=seed)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_the_published_split_of_goemotions_is_that_of_scikit_learn() -> None:
    """43,410 training rows, a tenth held out, seed 42: row by row."""
    kept, held_out = hold_out(43_410, 0.1, 42)
    expected = train_test_split(np.arange(43_410), test_size=0.1, random_state=42)
    assert (len(kept), len(held_out)) == (39_069, 4_341)
    np.testing.assert_array_equal(kept, expected[0])
    np.testing.assert_array_equal(held_out, expected[1])


@pytest.mark.parametrize(
    ("gold", "predicted", "named"),
    [
        ([[1, 0]], [[0.5]], "shape"),
        ([[1, 0]], [[0.5, 0.5], [0.5, 0.5]], "shape"),
        ([[1, 0.5]], [[0.5, 0.5]], "0 and 1"),
        ([[1, np.nan]], [[0.5, 0.5]], "0 and 1"),
        ([[1, 0]], [[0.5, np.nan]], "numbers"),
        ([[1, 0]], [[0.5, np.inf]], "numbers"),
    ],
)
def test_what_are_no_labels_or_predictions_is_an_error(
    gold: Sequence[Sequence[float]], predicted: Sequence[Sequence[float]], named: str
) -> None:
    """Other shapes, soft labels, and values that are no numbers."""
    with pytest.raises(ValueError, match=named):
        expand(np.float32(gold), np.float32(predicted))


def test_the_example_in_the_docstring_holds() -> None:
    """What the function shows is what it does."""
    assert doctest.testmod(expansion) == doctest.TestResults(failed=0, attempted=2)


def _nearest_labels(
    points: NDArray[np.float64], seen: NDArray[np.int64], gold: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Answer every point with the labels of the nearest one that was seen: an estimator that remembers everything."""
    distances = np.linalg.norm(points[:, None] - points[None, seen], axis=2)
    return gold[seen][distances.argmin(axis=1)]


def test_an_estimator_that_remembers_its_rows_tells_nothing_about_them_out_of_fold() -> None:
    """Random labels: seen rows come back exactly, rows of the other folds are hit no more often than by chance."""
    draw = np.random.default_rng(0)
    points, gold = draw.random((300, 4)), np.eye(28, dtype=np.float32)[draw.integers(28, size=300)]
    np.testing.assert_array_equal(_nearest_labels(points, np.arange(300), gold), gold)
    assigned = assign_folds([str(row) for row in range(300)], 3, 0)
    predicted = np.zeros_like(gold)
    for fold in range(3):
        predicted[assigned == fold] = _nearest_labels(points, np.flatnonzero(assigned != fold), gold)[assigned == fold]
    assert (predicted * gold).sum(axis=1).mean() < 0.15
    assert (expand(gold, predicted).sum(axis=1) > 1).mean() > 0.85
