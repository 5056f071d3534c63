"""Sums over a release's rows, held against counting one by one."""

import itertools

import numpy as np
import pytest

from eqn.emotions import EMOTIONS, INDEX, SENTIMENT
from eqn.pages.tally import BINS, Sums, Tally, conditional, pairs

RANDOM = np.random.default_rng(7)
SCORES = np.round(RANDOM.beta(0.3, 2.0, size=(400, 28)), 4)
FLAGS = SCORES > 0.35


@pytest.fixture
def tally() -> Tally:
    """The rows in three parts, one of them empty."""
    made = Tally()
    for rows in (slice(0, 150), slice(150, 150), slice(150, 400)):
        made.add(SCORES[rows], FLAGS[rows], truncated=1)
    return made


def test_it_counts_what_one_by_one_counting_counts(tally: Tally) -> None:
    assert (tally.sums.rows, tally.truncated) == (400, 3)
    assert tally.unlabelled == sum(not row.any() for row in FLAGS)
    for name, i in INDEX.items():
        assert tally.sums.mean(name) == pytest.approx(SCORES[:, i].mean())
        assert tally.sums.share(name) == FLAGS[:, i].mean()
    for group, names in SENTIMENT.items():
        assert tally.groups[group] == sum(any(row[INDEX[name]] for name in names) for row in FLAGS)
    assert tally.emotional == sum(any(row[INDEX[name]] for name in EMOTIONS if name != "neutral") for row in FLAGS)


def test_it_counts_which_labels_come_together(tally: Tally) -> None:
    for first, second in itertools.product(range(28), repeat=2):
        assert tally.together[first, second] == (FLAGS[:, first] & FLAGS[:, second]).sum()
    both = (FLAGS[:, INDEX["joy"]] & FLAGS[:, INDEX["love"]]).sum()
    assert conditional(tally, "joy", "love") == both / FLAGS[:, INDEX["joy"]].sum()


def test_bins_begin_exactly_at_their_edges() -> None:
    """0.35 is not below 0.35, though as a 32-bit number it is; 1 counts in the last bin."""
    edges = np.array([bin_ / BINS for bin_ in range(BINS + 1)]).astype(np.float32).astype(np.float64)
    made = Tally()
    made.add(np.repeat(edges[:, None], 28, axis=1), np.zeros((BINS + 1, 28), dtype=bool), 0)

    assert made.histogram[0].tolist() == [1] * (BINS - 1) + [2]
    assert made.histogram.sum() == 28 * (BINS + 1)


def test_the_threshold_lies_between_the_rows_on_its_sides(tally: Tally) -> None:
    for name in EMOTIONS:
        assert tally.threshold(name) == pytest.approx(0.35, abs=0.02)


def test_an_emotion_without_a_label_has_no_threshold() -> None:
    made = Tally()
    made.add(np.full((3, 28), 0.1), np.zeros((3, 28), dtype=bool), 0)

    assert made.threshold("joy") is None
    assert Tally().threshold("joy") is None


def test_pairs_are_ranked_by_surprise_and_rest_on_enough_rows() -> None:
    """Fear and grief meet in all 10 of 100 rows; joy and love no more often than by chance; anger and pride in 2."""
    flags = np.zeros((100, 28), dtype=bool)
    flags[:10, [INDEX["fear"], INDEX["grief"]]] = True
    flags[:50, INDEX["joy"]] = True
    flags[25:75, INDEX["love"]] = True
    flags[98:, [INDEX["anger"], INDEX["pride"]]] = True
    made = Tally()
    made.add(flags * 0.5, flags, 0)

    found = pairs(made, least_rows=5)

    assert next((pair.first, pair.second, pair.rows, pair.lift) for pair in found) == ("fear", "grief", 10, 10.0)
    assert {"anger", "pride"}.isdisjoint({name for pair in found for name in (pair.first, pair.second)})
    assert ("joy", "love") not in {(pair.first, pair.second) for pair in found}


def test_sums_add_up_and_come_apart() -> None:
    one, two = Sums(2, np.full(28, 1.0), np.full(28, 1)), Sums(3, np.full(28, 0.5), np.full(28, 2))
    whole = Sums()
    whole.add(one)
    whole.add(two)

    assert (whole.rows, whole.mean("joy"), whole.share("joy")) == (5, 0.3, 0.6)
    assert whole.without(one).share("joy") == two.share("joy")
