"""Promises about bootstrap intervals: each draw's figures are scikit-learn's, and the intervals keep what 95 % says."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from eqn.emotions import EMOTIONS
from eqn.evaluation import draws
from eqn.evaluation.intervals import Interval, bootstrap, drawn_figures, interval, paired_difference
from eqn.evaluation.metrics import evaluate_scores

Case = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]


@pytest.fixture(params=range(4))
def case(request: pytest.FixtureRequest) -> Case:
    """Gold, scores with many ties in half of the cases, and thresholds; some emotions stand in no row."""
    draw = np.random.default_rng(request.param)
    gold = (draw.random((90, 28)) < draw.choice([0.0, 0.02, 0.3, 0.9], 28)).astype(np.float32)
    scores = np.round(0.3 * gold + 0.7 * draw.random((90, 28)), 1 + 3 * (request.param % 2)).astype(np.float32)
    return gold, scores, draw.choice([0.0, 0.25, 0.5, 0.75], 28)


def made_up(rows: int, *, seed: int, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give gold and scores of a model that is the worse the more noise there is; every emotion stands in 20 %."""
    draw = np.random.default_rng(seed)
    gold = draw.random((rows, 28)) < 0.2
    scores = 1 / (1 + np.exp(-(2.5 * gold - 2 + noise * draw.standard_normal((rows, 28)))))
    return gold.astype(np.float32), scores.astype(np.float32)


HALVES = np.full(28, 0.5)


def test_a_draws_figures_equal_scikit_learns_on_the_copied_rows(case: Case) -> None:
    """A row that was drawn three times counts as three rows would, one that was not drawn as none."""
    gold, scores, thresholds = case
    picked = [np.random.default_rng(number).integers(90, size=90) for number in range(12)]
    weights = np.stack([np.bincount(rows, minlength=90) for rows in picked], axis=1).astype(np.float32)

    drawn = drawn_figures(gold, scores, thresholds=thresholds, weights=weights)

    for number, rows in enumerate(picked):
        copied, called = gold[rows], scores[rows] >= thresholds
        expected = f1_score(copied, called, average=None, zero_division=0)
        np.testing.assert_allclose(drawn.f1[:, number], expected, atol=1e-12)
        assert drawn.macro_f1[number] == pytest.approx(np.mean(expected), abs=1e-12)
        assert drawn.micro_f1[number] == pytest.approx(f1_score(copied, called, average="micro"), abs=1e-12)
        there = np.flatnonzero(copied.any(axis=0))
        precisions = [average_precision_score(copied[:, i], scores[rows][:, i]) for i in there]
        assert drawn.map[number] == pytest.approx(np.mean(precisions), abs=1e-12)
        assert drawn.brier[number] == pytest.approx(np.mean((scores[rows].astype(float) - copied) ** 2), abs=1e-12)


def test_every_row_once_gives_the_evaluations_own_figures(case: Case) -> None:
    """The figure and its interval are of the same formula."""
    gold, scores, thresholds = case
    evaluation = evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES, resamples=1)
    once = drawn_figures(gold, scores, thresholds=thresholds, weights=np.ones((90, 1), dtype=np.float32))
    assert once.macro_f1[0] == pytest.approx(evaluation.emotions.macro_f1, abs=1e-12)
    assert once.micro_f1[0] == pytest.approx(evaluation.emotions.micro_f1, abs=1e-12)
    assert once.map[0] == pytest.approx(evaluation.map, abs=1e-12)
    assert once.brier[0] == pytest.approx(evaluation.brier, abs=1e-12)


def test_an_interval_is_the_middle_of_a_plain_bootstraps_figures() -> None:
    """Beside a loop that copies rows and asks scikit-learn: the same within the chance of 400 draws."""
    gold, scores = made_up(300, seed=1)
    draw = np.random.default_rng(9)
    figures = []
    for _ in range(400):
        rows = draw.integers(300, size=300)
        figures.append(f1_score(gold[rows], scores[rows] >= 0.5, average="macro"))
    ours = interval(bootstrap(gold, scores, thresholds=HALVES).macro_f1)
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(figures, [0.025, 0.975])), abs=0.003)


def test_nineteen_of_twenty_intervals_hold_the_true_figure() -> None:
    """Of 80 samples from a known population, within the chance of 80: 95 % and 3 standard errors (7 points)."""
    gold, scores = made_up(200_000, seed=2)
    truth = drawn_figures(gold, scores, thresholds=HALVES, weights=np.ones((len(gold), 1), dtype=np.float32))
    held = {"micro_f1": 0, "brier": 0}
    for number in range(80):
        rows = np.random.default_rng(number).integers(len(gold), size=150)
        drawn = bootstrap(gold[rows], scores[rows], thresholds=HALVES, resamples=200)
        for name in held:
            ends = interval(getattr(drawn, name))
            held[name] += ends.low <= getattr(truth, name)[0] <= ends.high
    assert all(70 <= count <= 80 for count in held.values()), held


def test_more_rows_make_an_interval_narrower() -> None:
    """Four times the rows, half the width."""
    widths = []
    for rows in (200, 800):
        ends = interval(bootstrap(*made_up(rows, seed=3), thresholds=HALVES).macro_f1)
        widths.append(ends.high - ends.low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.2)


def test_the_same_rows_give_the_same_intervals_however_many_draws_are_held(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last digit: the bound on memory changes no figure."""
    gold, scores, thresholds = case
    evaluation = evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES, resamples=60)
    monkeypatch.setattr(draws, "_BYTES", 7 * 90 * 4)
    again = evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES, resamples=60)
    assert again.intervals == evaluation.intervals
    assert again.f1_intervals == evaluation.f1_intervals
    assert list(again.f1_intervals) == list(EMOTIONS)


def test_a_draw_without_the_label_is_left_out() -> None:
    """One row in three carries anything: where it was not drawn, no average precision is defined."""
    gold = np.zeros((3, 28), dtype=np.float32)
    gold[0, 5] = 1
    scores = np.linspace(0.9, 0.1, 3, dtype=np.float32)[:, None] * np.ones((1, 28), dtype=np.float32)
    drawn = bootstrap(gold, scores, thresholds=HALVES)
    assert 0.2 < np.isnan(drawn.map).mean() < 0.4  # (2/3)^3 of the draws
    assert interval(drawn.map) == Interval(1.0, 1.0)
    nothing = interval(bootstrap(np.zeros_like(gold), scores, thresholds=HALVES).map)
    assert np.isnan([nothing.low, nothing.high]).all()


def test_a_model_differs_from_itself_by_nothing() -> None:
    """On every draw, so that the interval is a point."""
    gold, scores = made_up(100, seed=4)
    found = paired_difference(gold, (scores, HALVES), (scores, HALVES))
    assert found.keys() == {"macro_f1", "map"}
    for difference in found.values():
        assert (difference.value, difference.interval) == (0, Interval(0, 0))
        assert "these rows do not tell the two apart" in str(difference)


def test_the_better_model_is_told_from_the_worse_one() -> None:
    """Whichever stands first; and the interval is narrower than those of two models on rows of their own."""
    gold, good = made_up(300, seed=5)
    poor = np.clip(good + 0.3 * np.random.default_rng(6).standard_normal(good.shape), 0, 1).astype(np.float32)
    ahead = paired_difference(gold, (good, HALVES), (poor, HALVES))
    behind = paired_difference(gold, (poor, HALVES), (good, HALVES))
    for name, difference in ahead.items():
        one, other = (interval(getattr(bootstrap(gold, scores, thresholds=HALVES), name)) for scores in (good, poor))
        width = difference.interval.high - difference.interval.low
        assert difference.interval.low > 0
        assert behind[name].value == -difference.value
        assert behind[name].interval.high == pytest.approx(-difference.interval.low)
        assert width < np.hypot(one.high - one.low, other.high - other.low)
        assert "more than the choice of rows explains" in str(difference)


def test_a_difference_is_that_of_the_models_own_figures(case: Case) -> None:
    """Each with its own thresholds."""
    gold, scores, thresholds = case
    first, second = (
        evaluate_scores(gold, candidate, thresholds=theirs, prior=HALVES, resamples=1)
        for candidate, theirs in ((scores, thresholds), (1 - scores, HALVES))
    )
    found: Any = paired_difference(gold, (scores, thresholds), (1 - scores, HALVES), resamples=5)
    assert found["macro_f1"].value == pytest.approx(first.emotions.macro_f1 - second.emotions.macro_f1, abs=1e-12)
    assert found["map"].value == pytest.approx(first.map - second.map, abs=1e-12)
