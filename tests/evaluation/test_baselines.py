"""Promises about what a model must beat."""

import numpy as np
import pytest

from eqn.corpus.goemotions import Corpus
from eqn.evaluation.baselines import baseline_evaluations, tfidf_scores
from eqn.evaluation.metrics import Evaluation


def _tfidf(evaluations: dict[str, Evaluation]) -> Evaluation:
    """Give the baseline that learns, whatever it is called."""
    (name,) = evaluations.keys() - {"prior"}
    return evaluations[name]


@pytest.fixture(scope="module")
def toy_baselines(readable_corpus: Corpus) -> dict[str, Evaluation]:
    return baseline_evaluations(readable_corpus)


def test_words_that_name_the_emotion_are_learnt(toy_baselines: dict[str, Evaluation]) -> None:
    """TF-IDF finds far more than the prior on a corpus that can be read, by F1, average precision and Brier."""
    prior, tfidf = toy_baselines["prior"], _tfidf(toy_baselines)
    assert tfidf.emotions.macro_f1 > prior.emotions.macro_f1 + 0.3
    assert tfidf.map > prior.map + 0.3
    assert tfidf.brier < prior.brier
    assert tfidf.brier_skill > 0


def test_the_prior_knows_nothing(toy_baselines: dict[str, Evaluation], readable_corpus: Corpus) -> None:
    """Its skill is 0 and its average precision each emotion's share of the rows."""
    prior = toy_baselines["prior"]
    shares = readable_corpus.test.opened().targets().mean(axis=0)
    assert prior.brier_skill == pytest.approx(0, abs=1e-6)
    assert list(prior.average_precision.values()) == pytest.approx(shares.tolist())


def test_baselines_are_the_same_every_time(toy_baselines: dict[str, Evaluation], readable_corpus: Corpus) -> None:
    """Fitted twice, they give the same figures to the last digit."""
    assert baseline_evaluations(readable_corpus) == toy_baselines


def test_baselines_are_measured_on_the_split_that_is_asked_for(readable_corpus: Corpus) -> None:
    """Dev's figures are not test's."""
    on_dev = baseline_evaluations(readable_corpus, split="dev")["prior"]
    expected = readable_corpus.dev.targets().mean(axis=0)
    assert list(on_dev.average_precision.values()) == pytest.approx(expected.tolist())


def test_an_emotion_without_choice_is_answered_by_its_constant() -> None:
    """Where every training row, or none, carries the emotion there is nothing to fit."""
    targets = np.array([[0, 1, 0], [0, 1, 1], [0, 1, 1], [0, 1, 0]], dtype=np.float32)
    (scores,) = tfidf_scores(["bad day", "good day", "good sun", "bad sun"], targets, [["good", "bad"]])
    assert scores[:, :2].tolist() == [[0, 1], [0, 1]]
    assert scores[0, 2] > 0.5 > scores[1, 2]


def test_texts_without_a_common_word_are_no_error() -> None:
    """Where no word stands in two texts, the words of one must do."""
    (scores,) = tfidf_scores(["sun", "rain", "wind", "snow"], np.eye(4, 2, dtype=np.float32), [["sun", "rain"]])
    assert scores[0, 0] > scores[1, 0]
    assert scores[1, 1] > scores[0, 1]


@pytest.mark.goemotions
def test_tfidf_reaches_its_known_macro_f1_on_goemotions(official_corpus: Corpus) -> None:
    """0.44 to 0.46 on test: the figure that every model's card is compared with."""
    figures = baseline_evaluations(official_corpus)
    assert 0.44 <= _tfidf(figures).emotions.macro_f1 <= 0.46
    assert figures["prior"].emotions.macro_f1 < 0.1
