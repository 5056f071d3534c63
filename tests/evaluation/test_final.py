"""Promises about the one door to the test labels."""

import dataclasses

import numpy as np
import pytest

from eqn.corpus.goemotions import Corpus
from eqn.errors import UsageError
from eqn.evaluation.final import split_to_report


def test_the_labels_of_test_are_read_for_a_report_alone(readable_corpus: Corpus) -> None:
    """The corpus keeps them sealed, a report gets them, and the corpus' own split stays sealed."""
    with pytest.raises(PermissionError, match="the labels of test are sealed"):
        readable_corpus.test.targets()
    reported = split_to_report(readable_corpus, "test")
    assert reported.targets().sum(axis=1).min() >= 1
    assert (reported.ids, reported.texts) == (readable_corpus.test.ids, readable_corpus.test.texts)
    with pytest.raises(PermissionError):
        readable_corpus.test.targets()


def test_the_other_splits_are_open(readable_corpus: Corpus) -> None:
    """A report on dev is on dev as it is."""
    for name in ("train", "dev"):
        assert split_to_report(readable_corpus, name) is readable_corpus.split(name)


def test_a_seal_is_kept_wherever_it_is(readable_corpus: Corpus) -> None:
    """Any split may be sealed, and a part of a sealed one is sealed as well."""
    sealed = dataclasses.replace(readable_corpus.dev, sealed=True)
    corpus = dataclasses.replace(readable_corpus, dev=sealed)
    with pytest.raises(PermissionError, match="the labels of dev are sealed"):
        sealed.part(np.arange(3)).targets()
    np.testing.assert_array_equal(split_to_report(corpus, "dev").targets(), readable_corpus.dev.targets())


def test_an_unknown_split_cannot_be_reported(readable_corpus: Corpus) -> None:
    """A wrong call."""
    with pytest.raises(UsageError, match="expected a split among train, dev, test"):
        split_to_report(readable_corpus, "validation")
