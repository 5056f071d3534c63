"""Promises about the figures: each equals scikit-learn's, and the groups are worked out by hand."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, precision_recall_fscore_support

from eqn.corpus.goemotions import Corpus
from eqn.emotions import EKMAN, EMOTIONS, INDEX, SENTIMENT
from eqn.evaluation.calibration import calibration_error, equal_width_error
from eqn.evaluation.metrics import (
    average_precision,
    brier_score,
    evaluate_scores,
    group_figures,
    macro_f1,
    mean_average_precision,
)

Case = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]
HALVES = np.full(28, 0.5)


@pytest.fixture(params=range(6))
def random_case(request: pytest.FixtureRequest) -> Case:
    """Gold, scores with many ties, and thresholds; some emotions stand in no row, some are never called, some always.

    Of the six cases the last has a single row.
    """
    draw = np.random.default_rng(request.param)
    rows = 1 if request.param == 5 else 150
    gold = (draw.random((rows, 28)) < draw.choice([0.0, 0.03, 0.3, 0.9], 28)).astype(np.float32)
    scores = np.round(0.3 * gold + 0.7 * draw.random((rows, 28)), request.param % 3 + 1).astype(np.float32)
    return gold, scores, draw.choice([0.0, 0.25, 0.5, 0.75, 1.5], 28)


def _sklearn(gold: Any, predicted: Any, average: str | None) -> Any:
    return precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)


def test_precision_recall_and_f1_equal_scikit_learns(random_case: Case) -> None:
    """Per emotion, macro and micro; what is undefined counts as 0, as there."""
    gold, scores, thresholds = random_case
    figures = evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES).emotions
    predicted = scores >= thresholds
    per_emotion = np.array([(f.precision, f.recall, f.f1, f.support) for f in figures.labels.values()]).T
    np.testing.assert_allclose(per_emotion, np.array(_sklearn(gold, predicted, None)), atol=1e-12)
    assert list(figures.labels) == list(EMOTIONS)
    macro = (figures.macro_precision, figures.macro_recall, figures.macro_f1)
    assert macro == pytest.approx(_sklearn(gold, predicted, "macro")[:3], abs=1e-12)
    micro = (figures.micro_precision, figures.micro_recall, figures.micro_f1)
    assert micro == pytest.approx(_sklearn(gold, predicted, "micro")[:3], abs=1e-12)


def test_the_macro_f1_of_training_is_that_of_evaluation(random_case: Case) -> None:
    """The short way to one figure gives what the long way and scikit-learn give."""
    gold, scores, thresholds = random_case
    predicted = scores >= thresholds
    short = macro_f1(gold, predicted)
    assert short == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0), abs=1e-12)
    assert short == evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES).emotions.macro_f1


def test_average_precision_equals_scikit_learns(random_case: Case) -> None:
    """Ties are called together; an emotion that no row carries has none, and takes no part in the mean."""
    gold, scores, thresholds = random_case
    ours = np.array([average_precision(gold[:, i], scores[:, i]) for i in range(28)])
    occurs = gold.any(axis=0)
    assert not occurs.all()
    expected = [average_precision_score(gold[:, i], scores[:, i]) for i in np.flatnonzero(occurs)]
    assert np.isnan(ours[~occurs]).all()
    np.testing.assert_allclose(ours[occurs], expected, atol=1e-12)
    evaluation = evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES)
    assert evaluation.map == pytest.approx(np.mean(expected), abs=1e-12)


def test_the_brier_score_equals_scikit_learns(random_case: Case) -> None:
    """The mean squared difference over all rows and emotions."""
    gold, scores, _ = random_case
    assert brier_score(gold, scores) == pytest.approx(
        brier_score_loss(gold.ravel(), scores.ravel().astype(float)), abs=1e-12
    )


def test_the_brier_skill_compares_with_the_prior() -> None:
    """Answering the prior has skill 0, being right has 1, and half the squared error of the prior has a half."""
    gold = np.zeros((4, 28), dtype=np.float32)
    gold[:2] = 1
    for scores, skill in ((HALVES, 0.0), (gold, 1.0), (np.abs(gold - math.sqrt(0.125)), 0.5)):
        evaluation = evaluate_scores(gold, np.broadcast_to(scores, gold.shape), thresholds=HALVES, prior=HALVES)
        assert evaluation.brier_skill == pytest.approx(skill)


def test_a_prior_that_is_never_wrong_leaves_nothing_to_gain() -> None:
    """Where every row has the same labels, in training too, the skill is 0, and no division by 0."""
    gold = np.zeros((3, 28), dtype=np.float32)
    gold[:, 27] = 1
    assert evaluate_scores(gold, gold, thresholds=HALVES, prior=gold[0]).brier_skill == 0
    assert evaluate_scores(gold, 0.9 * gold, thresholds=HALVES, prior=gold[0]).brier_skill == 0


def test_the_calibration_error_is_the_mean_of_the_emotions_own(random_case: Case) -> None:
    """28 errors of single emotions, not one of all cells pooled."""
    gold, scores, thresholds = random_case
    evaluation = evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES, resamples=1)
    expected = [calibration_error(gold[:, i], scores[:, i]) for i in range(28)]
    assert list(evaluation.calibration_error.items()) == list(zip(EMOTIONS, expected, strict=True))
    assert evaluation.ece == pytest.approx(np.mean(expected))
    assert evaluation.ece_10 == pytest.approx(np.mean([equal_width_error(gold[:, i], scores[:, i]) for i in range(28)]))


def test_the_mean_average_precision_of_training_is_that_of_evaluation(random_case: Case) -> None:
    """The short way to one figure gives what the long way and scikit-learn give."""
    gold, scores, thresholds = random_case
    short = mean_average_precision(gold, scores)
    there = gold.any(axis=0)
    expected = average_precision_score(gold[:, there], scores[:, there], average="macro")
    assert short == pytest.approx(expected, abs=1e-12)
    assert short == pytest.approx(evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES, resamples=1).map)


def test_the_mean_average_precision_of_no_labels_is_0() -> None:
    """A checkpoint of a dev half without labels has a score all the same, and no warning is given."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_average_precision(np.zeros((3, 28)), np.ones((3, 28))) == 0


def test_the_figures_lie_in_their_intervals() -> None:
    """With rows enough for a bootstrap; the interval is the same each time, and so is the whole evaluation."""
    draw = np.random.default_rng(0)
    gold = (draw.random((300, 28)) < 0.2).astype(np.float32)
    scores = np.clip(0.3 * gold + 0.6 * draw.random((300, 28)), 0, 1).astype(np.float32)
    evaluation = evaluate_scores(gold, scores, thresholds=HALVES, prior=HALVES)
    figures = evaluation.summary()
    for name in evaluation.intervals:
        assert figures[f"{name}_low"] < figures[name] < figures[f"{name}_high"]
    for name, ends in evaluation.f1_intervals.items():
        assert ends.low < evaluation.emotions.labels[name].f1 < ends.high
    assert evaluate_scores(gold, scores, thresholds=HALVES, prior=HALVES) == evaluation


def _flags(*rows: str) -> NDArray[np.bool_]:
    flags = np.zeros((len(rows), 28), dtype=bool)
    for row, names in enumerate(rows):
        flags[row, [INDEX[name] for name in names.split()]] = True
    return flags


GOLD = _flags("anger annoyance", "joy", "neutral", "fear", "joy sadness")
PREDICTED = _flags("disapproval", "love fear", "joy", "", "sadness")
# Ekman, by hand:         anger      joy fear    joy      -    sadness    (row 0: anger for disapproval is a hit)
# anger P 1/1 R 1/1   joy P 1/2 R 1/2   fear P 0/1 R 0/1   sadness P 1/1 R 1/1   neutral P 0/0 R 0/1
# Sentiment, by hand:  negative | positive negative | positive | - | negative
# positive P 1/2 R 1/2   negative P 2/3 R 2/3   neutral P 0/0 R 0/1   ambiguous nothing


def test_ekmans_groups_are_on_when_any_of_their_emotions_is() -> None:
    """The worked example above, group by group."""
    figures = group_figures(GOLD, PREDICTED, EKMAN)
    per_group = {name: (f.precision, f.recall, f.f1, f.support) for name, f in figures.labels.items()}
    assert per_group == {
        "anger": (1.0, 1.0, 1.0, 1),
        "disgust": (0.0, 0.0, 0.0, 0),
        "fear": (0.0, 0.0, 0.0, 1),
        "joy": (0.5, 0.5, 0.5, 2),
        "sadness": (1.0, 1.0, 1.0, 1),
        "surprise": (0.0, 0.0, 0.0, 0),
        "neutral": (0.0, 0.0, 0.0, 1),
    }
    assert figures.macro_f1 == pytest.approx(2.5 / 7)
    assert (figures.micro_precision, figures.micro_recall) == pytest.approx((3 / 5, 3 / 6))
    assert figures.micro_f1 == pytest.approx(2 * 3 / (5 + 6))


def test_sentiments_are_on_when_any_of_their_emotions_is() -> None:
    """The worked example above: two joys in one row count once."""
    figures = group_figures(GOLD, PREDICTED, SENTIMENT)
    per_group = {name: (f.precision, f.recall, f.support) for name, f in figures.labels.items()}
    assert per_group == {
        "positive": (0.5, 0.5, 2),
        "negative": (pytest.approx(2 / 3), pytest.approx(2 / 3), 3),
        "ambiguous": (0.0, 0.0, 0),
        "neutral": (0.0, 0.0, 1),
    }
    assert figures.micro_f1 == pytest.approx(2 * 3 / (5 + 6))


def test_the_summary_holds_the_evaluations_figures_by_their_short_names(random_case: Case) -> None:
    """Nothing in the table of models is another figure than the one it is called by."""
    gold, scores, thresholds = random_case
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluation = evaluate_scores(gold, scores, thresholds=thresholds, prior=HALVES)
    assert evaluation.summary() == {
        "macro_f1": evaluation.emotions.macro_f1,
        "micro_f1": evaluation.emotions.micro_f1,
        "macro_precision": evaluation.emotions.macro_precision,
        "macro_recall": evaluation.emotions.macro_recall,
        "map": evaluation.map,
        "brier": brier_score(gold, scores),
        "brier_skill": evaluation.brier_skill,
        "ekman_macro_f1": evaluation.ekman.macro_f1,
        "sentiment_macro_f1": evaluation.sentiment.macro_f1,
        "ece": evaluation.ece,
        "ece_10": evaluation.ece_10,
        "n": len(gold),
    } | {
        f"{name}_{end}": getattr(evaluation.intervals[name], end)
        for name in ("macro_f1", "micro_f1", "map", "brier")
        for end in ("low", "high")
    }


@pytest.mark.goemotions
def test_the_floors_on_goemotions_are_those_worked_out_beforehand(official_corpus: Corpus) -> None:
    """Brier of the training prior and of nothing; macro-F1 of all labels, and of neutral alone (references.md, 1d)."""
    gold, prior = official_corpus.test.opened().targets(), official_corpus.train.targets().mean(axis=0)
    assert brier_score(gold, np.broadcast_to(prior, gold.shape)) == pytest.approx(0.03638, abs=5e-6)
    assert brier_score(gold, np.zeros_like(gold)) == pytest.approx(0.04165, abs=5e-6)
    assert macro_f1(gold, np.ones(gold.shape, dtype=bool)) == pytest.approx(0.0748, abs=5e-5)
    neutral = np.broadcast_to(np.arange(28) == 27, gold.shape)
    assert macro_f1(gold, neutral) == pytest.approx(0.0177, abs=5e-5)
