"""Promises about what raters say together, and how they compare."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eqn.corpus.judgements import Judgements, read_judgements
from eqn.emotions import EMOTIONS, INDEX
from eqn.errors import DataRefused
from eqn.quality.rater_quality import rater_quality
from tests.corpus.rater_rows import rating, write_ratings

COMMENTS = 84
IDS = [f"c{number}" for number in range(COMMENTS)]
TRUTH = [EMOTIONS[number % len(EMOTIONS)] for number in range(COMMENTS)]


@pytest.fixture
def scores() -> NDArray[np.float32]:
    """A model that is mostly right."""
    truth = np.array([np.eye(28)[INDEX[name]] for name in TRUTH])
    return (0.6 * truth + 0.02).astype(np.float32)


@pytest.fixture
def judgements(tmp_path: Path) -> Judgements:
    """Two careful raters of all comments, one who says anything, one who rates alone, and a comment nobody scored."""
    chance = np.random.default_rng(0).integers(0, 28, COMMENTS)
    rows = [rating(name, rater, label) for rater in ("1", "2") for name, label in zip(IDS, TRUTH, strict=True)]
    rows += [rating(name, "3", EMOTIONS[label]) for name, label in zip(IDS, chance, strict=True)]
    rows += [rating("c999", "1", "joy"), rating("alone", "4", "joy"), rating("c0", "5", unclear=True)]
    return read_judgements([write_ratings(tmp_path / "raters.csv", rows)])


def test_the_careless_rater_comes_first(judgements: Judgements, scores: NDArray[np.float32]) -> None:
    """Who agrees with nobody has the lowest quality, and few labels that others confirm."""
    raters = rater_quality(judgements, IDS, scores).raters

    assert raters[0].rater == "3"
    assert [(one.rater, one.comments, one.shared) for one in raters] == [("3", 84, 84), ("1", 84, 84), ("2", 84, 84)]
    careless, careful = raters[:2]
    assert careless.quality is not None
    assert careful.quality is not None
    assert careless.quality < careful.quality <= 1
    assert careless.confirmed is not None
    assert careless.confirmed < 0.2
    assert careful.confirmed == 1


def test_the_majority_is_the_consensus(judgements: Judgements, scores: NDArray[np.float32]) -> None:
    """Two of three; the agreement is that on the emotions which anybody chose."""
    consensus = {one.id: one for one in rater_quality(judgements, IDS, scores).consensus}

    assert {name: one.labels for name, one in consensus.items()} == {
        name: (label,) for name, label in zip(IDS, TRUTH, strict=True)
    }
    assert {one.raters for one in consensus.values()} == {3}
    # Two emotions were chosen, each answered by two of three as the consensus has it; or all three chose the same one.
    assert {round(one.agreement or 0, 3) for one in consensus.values()} <= {0.667, 1.0}
    assert all(0 <= one.quality <= 1 for one in consensus.values())


def test_the_least_sure_comment_comes_first(judgements: Judgements, scores: NDArray[np.float32]) -> None:
    """The model contradicts the raters of one comment; the emotion in question is named."""
    place = IDS.index("c5")
    scores[place, INDEX["grief"]] = 0.99
    consensus = rater_quality(judgements, IDS, scores).consensus

    assert [one.quality for one in consensus] == sorted(one.quality for one in consensus)
    (contradicted,) = (one for one in consensus if one.id == "c5")
    assert contradicted.weakest == "grief"


def test_comments_without_scores_are_left_out_and_counted(judgements: Judgements, scores: NDArray[np.float32]) -> None:
    """Of another split, or of none; who rated only those does not appear."""
    quality = rater_quality(judgements, IDS, scores)

    assert (quality.comments, quality.shared, quality.left_out) == (COMMENTS, COMMENTS, 2)
    assert "4" not in {one.rater for one in quality.raters}
    assert "c999" not in {one.id for one in quality.consensus}


def test_of_a_rater_who_shares_no_comment_nothing_is_said(tmp_path: Path, scores: NDArray[np.float32]) -> None:
    """Last in the list, without figures; the label of a single rater is the consensus, against any score."""
    rows = [rating("c0", "1", "joy"), rating("c0", "2", "joy"), rating("c1", "1", "fear"), rating("c1", "2")]
    rows.append(rating("c2", "3", "grief"))
    quality = rater_quality(read_judgements([write_ratings(tmp_path / "r.csv", rows)]), IDS, scores)

    last = quality.raters[-1]
    assert (last.rater, last.comments, last.shared, last.quality, last.confirmed) == ("3", 1, 0, None, None)
    (alone,) = (one for one in quality.consensus if one.id == "c2")
    assert (alone.labels, alone.raters, alone.agreement) == (("grief",), 1, None)
    assert (quality.comments, quality.shared) == (3, 2)


def test_where_raters_are_divided_the_scores_decide(tmp_path: Path, scores: NDArray[np.float32]) -> None:
    """One says yes, one says no: the emotion is taken where the model is for it."""
    rows = [rating(name, "1", "joy") for name in ("c0", "c1")] + [rating(name, "2") for name in ("c0", "c1")]
    scores[0, INDEX["joy"]], scores[1, INDEX["joy"]] = 0.9, 0.1
    quality = rater_quality(read_judgements([write_ratings(tmp_path / "r.csv", rows)]), IDS, scores)

    assert {one.id: one.labels for one in quality.consensus} == {"c0": ("joy",), "c1": ()}


def test_without_a_shared_comment_raters_cannot_be_compared(tmp_path: Path, scores: NDArray[np.float32]) -> None:
    """Exit 3, and what to give."""
    rows = [rating("c0", "1", "joy"), rating("c1", "2", "joy"), rating("x", "1"), rating("x", "2")]

    with pytest.raises(DataRefused, match="none of the 2 with scores has more than one"):
        rater_quality(read_judgements([write_ratings(tmp_path / "r.csv", rows)]), IDS, scores)
