"""Promises about the embedded sample, 1,464 comments written for EQN."""

import re
from collections import Counter

import numpy as np
import pytest

from eqn.corpus.choice import choose_corpus
from eqn.corpus.contract import SPLITS
from eqn.corpus.goemotions import Corpus
from eqn.emotions import EMOTIONS


@pytest.fixture(scope="module")
def sample_corpus() -> Corpus:
    return choose_corpus(None)


@pytest.fixture(scope="module")
def sample_texts(sample_corpus: Corpus) -> list[str]:
    return [text for split in SPLITS for text in sample_corpus.split(split).texts]


def test_there_are_as_many_comments_as_are_spoken_of(sample_texts: list[str]) -> None:
    """1,464, as `sample_directory` says: enough to train on for a first look."""
    assert len(sample_texts) == 1464


def test_every_emotion_stands_in_every_split(sample_corpus: Corpus) -> None:
    """Each of the 28 can be learnt, given a threshold, and measured."""
    for split in SPLITS:
        carried = sample_corpus.split(split).opened().targets().sum(axis=0)
        assert [name for name, rows in zip(EMOTIONS, carried, strict=True) if rows == 0] == []


def test_a_third_of_the_comments_carries_several_emotions(sample_corpus: Corpus) -> None:
    """Two or more labels stand on at least a third of the rows, over all and in training."""
    for rows in (
        sample_corpus.train.labels,
        [labels for split in SPLITS for labels in sample_corpus.split(split).labels],
    ):
        assert np.mean([len(labels) > 1 for labels in rows]) >= 1 / 3


def test_neutral_stands_alone(sample_corpus: Corpus) -> None:
    """A comment without emotion has no other."""
    neutral = EMOTIONS.index("neutral")
    rows = [labels for split in SPLITS for labels in sample_corpus.split(split).labels]
    assert [labels for labels in rows if neutral in labels and len(labels) > 1] == []


def test_no_two_comments_share_a_run_of_five_words(sample_texts: list[str]) -> None:
    """The comments come from no template: a test comment cannot be answered by remembering a training comment."""
    runs: Counter[tuple[str, ...]] = Counter()
    for text in sample_texts:
        words = re.findall("[a-z0-9']+", text.lower())
        runs.update({tuple(words[start : start + 5]) for start in range(len(words) - 4)})
    assert len(runs) > 5000
    assert [" ".join(run) for run, comments in runs.items() if comments > 1] == []


def test_ids_and_texts_are_unique(sample_corpus: Corpus, sample_texts: list[str]) -> None:
    """Over all splits, and also when case and spaces are ignored."""
    ids = [identifier for split in SPLITS for identifier in sample_corpus.split(split).ids]
    assert len(set(ids)) == len(ids)
    assert len({" ".join(text.lower().split()) for text in sample_texts}) == len(sample_texts)
