"""What a model must beat: the training prior, and TF-IDF with logistic regression."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.goemotions import Corpus
from eqn.evaluation.final import split_to_report
from eqn.evaluation.metrics import Evaluation, evaluate_scores
from eqn.evaluation.thresholds import choose_thresholds


def baseline_evaluations(corpus: Corpus, *, split: str = "test") -> dict[str, Evaluation]:
    """Evaluate the baselines on `split` of `corpus`: fitted on train, thresholds from dev as for every model.

    Needs scikit-learn.
    """
    held_out = split_to_report(corpus, split)
    prior = corpus.train.targets().mean(axis=0)
    tfidf = tfidf_scores(corpus.train.texts, corpus.train.targets(), [corpus.dev.texts, held_out.texts])
    candidates = {
        "prior": (np.tile(prior, (len(corpus.dev), 1)), np.tile(prior, (len(held_out), 1))),
        "TF-IDF + logistic": (tfidf[0], tfidf[1]),
    }
    return {
        name: evaluate_scores(
            held_out.targets(),
            scores,
            thresholds=choose_thresholds(corpus.dev.targets(), dev_scores),
            prior=prior,
        )
        for name, (dev_scores, scores) in candidates.items()
    }


def tfidf_scores(
    texts: Sequence[str], targets: NDArray[np.float32], others: Sequence[Sequence[str]]
) -> list[NDArray[np.float32]]:
    """Fit one logistic regression per emotion on TF-IDF of words and word pairs; score each of `others`."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=50_000)
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError:  # no word stands in two of the texts
        vectorizer.set_params(min_df=1)
        features = vectorizer.fit_transform(texts)
    transformed = [vectorizer.transform(other) for other in others]
    scores = [np.zeros((len(other), targets.shape[1]), dtype=np.float32) for other in others]
    for column in range(targets.shape[1]):
        gold = targets[:, column]
        if gold.min() == gold.max():  # nothing to learn: the constant is the answer
            for score in scores:
                score[:, column] = gold[0]
            continue
        model = LogisticRegression(C=5.0, solver="liblinear", random_state=0).fit(features, gold)
        for score, matrix in zip(scores, transformed, strict=True):
            score[:, column] = model.predict_proba(matrix)[:, 1]
    return scores
