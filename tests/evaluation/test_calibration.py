"""Promises about the calibration error: worked out by hand, and indifferent to the order of rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eqn.evaluation.calibration import BINS, calibration_error, equal_width_error, reliability


def test_two_bins_worked_out_by_hand() -> None:
    """Scores .1 .2 .3 with one label in three, and .6 .7 .8 with two in three."""
    gold, scores = np.array([0, 1, 0, 1, 0, 1.0]), np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.8])
    bins = reliability(gold, scores, bins=2)
    assert bins.mean_score.tolist() == pytest.approx([0.2, 0.7])
    assert bins.share.tolist() == pytest.approx([1 / 3, 2 / 3])
    assert bins.rows.tolist() == [3, 3]
    assert calibration_error(gold, scores, bins=2) == pytest.approx((abs(0.2 - 1 / 3) + abs(0.7 - 2 / 3)) / 2)


def test_bins_hold_equally_many_rows_by_rising_score() -> None:
    """Distinct scores, however skewed: no bin is more than a row larger than another."""
    draw = np.random.default_rng(0)
    scores = draw.random(1000) ** 8
    bins = reliability((draw.random(1000) < scores).astype(float), scores)
    assert bins.rows.sum() == 1000
    assert len(bins.rows) == BINS
    assert bins.rows.max() - bins.rows.min() <= 1
    assert (np.diff(bins.mean_score) > 0).all()


def test_rows_with_one_score_share_a_bin() -> None:
    """Whatever order they come in, the figures are the same to the last digit; bins differ in size instead."""
    draw = np.random.default_rng(1)
    scores = np.round(draw.random(500) ** 2, 1)
    gold = (draw.random(500) < 0.3).astype(float)
    bins = reliability(gold, scores)
    order = draw.permutation(500)
    shuffled = reliability(gold[order], scores[order])
    assert len(bins.rows) <= len(np.unique(scores)) < BINS
    assert bins.rows.tolist() == shuffled.rows.tolist()
    assert bins.share.tolist() == shuffled.share.tolist()
    assert bins.mean_score.tolist() == shuffled.mean_score.tolist()
    sizes = {float(score): int((scores == score).sum()) for score in np.unique(scores)}
    for mean, rows in zip(bins.mean_score, bins.rows, strict=True):
        within = [score for score in sizes if round(score, 6) == round(float(mean), 6)]
        assert not within or sizes[within[0]] == rows  # a bin of one score holds all rows of it


def test_a_constant_is_as_far_off_as_its_distance_from_the_share() -> None:
    """A single bin; the right share is perfectly calibrated, though it ranks nothing."""
    gold = np.array([1.0, 0, 0, 0])
    assert reliability(gold, np.full(4, 0.9)).rows.tolist() == [4]
    assert calibration_error(gold, np.full(4, 0.9)) == pytest.approx(0.65)
    assert calibration_error(gold, np.full(4, 0.25)) == 0


def test_probabilities_are_calibrated_and_exaggerations_are_not() -> None:
    """Labels drawn by the scores themselves leave little error; scores pushed to the ends leave much."""
    draw = np.random.default_rng(2)
    scores = draw.random(20_000)
    gold = (draw.random(20_000) < scores).astype(float)
    assert calibration_error(gold, scores) < 0.02
    assert calibration_error(gold, np.where(scores > 0.5, 0.99, 0.01)) == pytest.approx(0.24, abs=0.02)


def test_a_label_that_no_row_carries_has_an_error() -> None:
    """Its mean score, all of which is too much; and a single row has one, too."""
    assert calibration_error(np.zeros(30), np.linspace(0, 0.2, 30)) == pytest.approx(0.1)
    assert calibration_error(np.ones(1), np.array([0.75])) == pytest.approx(0.25)


def _equal_width_by_hand(gold: NDArray[np.float64], scores: NDArray[np.float64], bins: int) -> float:
    """Bin by bin: its share of the rows times how far its mean score is from its share of labels."""
    error = 0.0
    for number in range(bins):
        last = number == bins - 1
        rows = [row for row, score in enumerate(scores) if math.floor(score * bins) == number or (last and score == 1)]
        if rows:
            apart = np.mean([scores[row] for row in rows]) - np.mean([gold[row] for row in rows])
            error += len(rows) / len(scores) * abs(apart)
    return error


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 200),
    bins=st.sampled_from([1, 8, 10, 15]),
    sixteenths=st.booleans(),
    form=st.sampled_from([np.float32, np.float64]),
)
def test_the_error_of_equal_bins_is_that_of_the_definition(
    seed: int, rows: int, bins: int, *, sixteenths: bool, form: type[np.floating]
) -> None:
    """Also where scores stand on the edges of bins, at 0 and at 1."""
    draw = np.random.default_rng(seed)
    scores = (draw.integers(0, 17, rows) / 16 if sixteenths else draw.random(rows) ** 3).astype(form)
    gold = (draw.random(rows) < 0.3).astype(form)
    if sixteenths and bins in {10, 15}:
        bins = 16  # edges that binary numbers can stand on exactly
    assert equal_width_error(gold, scores, bins=bins) == pytest.approx(
        _equal_width_by_hand(gold, scores, bins), abs=1e-6
    )


def test_three_of_ten_bins_worked_out_by_hand() -> None:
    """Two rows in the first bin, half a label too few; one in the fourth and one at the very end, both right."""
    gold, scores = np.array([0, 1, 0, 1.0]), np.array([0.02, 0.06, 0.3, 1.0])
    assert equal_width_error(gold, scores) == pytest.approx((2 * abs(0.04 - 0.5) + 0.3 + 0) / 4)


def test_equal_bins_are_blind_where_all_scores_are_small() -> None:
    """A rare emotion's scores all fall into the first bin; bins of equally many rows see that they say nothing."""
    draw = np.random.default_rng(3)
    scores = draw.random(5000) * 0.09
    gold = (draw.random(5000) < scores[::-1]).astype(float)
    assert equal_width_error(gold, scores) < 0.005
    assert calibration_error(gold, scores) > 0.015
