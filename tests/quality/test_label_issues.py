"""Promises about the rows whose labels are doubted, and about what is suggested instead."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eqn.corpus.choice import choose_corpus
from eqn.emotions import EMOTIONS, INDEX
from eqn.evaluation.baselines import tfidf_scores
from eqn.quality.label_issues import LabelIssue, find_label_issues

ROWS = 20
"""Rows of each emotion in the made-up data, in the order of the emotions."""


@pytest.fixture
def targets() -> NDArray[np.float32]:
    return np.repeat(np.eye(28, dtype=np.float32), ROWS, axis=0)


@pytest.fixture
def scores(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """A good model: about 0.8 for the true emotion, about 0.02 for the others."""
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, targets.shape)
    return (0.78 * targets + 0.02 + noise).clip(0, 1).astype(np.float32)


def _first_row(name: str) -> int:
    return INDEX[name] * ROWS


def _issue_of(row: int, targets: NDArray[np.float32], scores: NDArray[np.float32]) -> LabelIssue:
    return next(issue for issue in find_label_issues(targets, scores) if issue.row == row)


def test_a_swapped_label_comes_first_with_the_right_one(
    targets: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """The text speaks of joy, the label says anger."""
    row = _first_row("joy")
    targets[row] = np.eye(28)[INDEX["anger"]]
    scores[row, INDEX["anger"]] = 0.001

    first = find_label_issues(targets, scores)[0]

    assert (first.row, first.given, first.suggested) == (row, ("anger",), ("joy",))
    assert first.scores == pytest.approx((scores[row, INDEX["joy"]],))
    assert [(change.label, change.change) for change in first.changes] == [("anger", "remove"), ("joy", "add")]
    said = [str(change) for change in first.changes]
    assert said[0].startswith("not anger: scores 0.0")
    assert said[1].startswith("joy: scores 0.8")


def test_a_missing_label_is_added_and_the_given_one_stays(
    targets: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """Both emotions speak from the text, one was forgotten."""
    row = _first_row("joy")
    scores[row, INDEX["love"]] = 0.9

    issue = _issue_of(row, targets, scores)

    assert (issue.given, issue.suggested) == (("joy",), ("joy", "love"))


def test_a_surplus_label_is_removed_and_the_right_one_stays(
    targets: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """One emotion too many."""
    row = _first_row("joy")
    targets[row, INDEX["grief"]] = 1
    scores[row, INDEX["grief"]] = 0.0

    issue = _issue_of(row, targets, scores)

    assert (issue.given, issue.suggested) == (("grief", "joy"), ("joy",))


def test_a_row_never_loses_its_last_label(targets: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
    """Where no emotion scores high, the highest stands in, and the reason says so."""
    row = _first_row("joy")
    scores[row] = 0.001
    scores[row, INDEX["neutral"]] = 0.3

    issue = _issue_of(row, targets, scores)

    assert issue.suggested == ("neutral",)
    assert [change.change for change in issue.changes] == ["remove", "stand-in"]
    assert str(issue.changes[1]) == "neutral: no other is left, and it scores highest, 0.30"


def test_a_row_whose_only_label_still_scores_highest_is_no_issue(
    targets: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """There is nothing better to suggest."""
    row = _first_row("joy")
    scores[row] = 0.001
    scores[row, INDEX["joy"]] = 0.01

    assert row not in {issue.row for issue in find_label_issues(targets, scores)}


def test_an_emotion_that_models_find_hard_is_not_doubted_everywhere(
    targets: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """Rows of grief score 0.01 for it and 0.3 for sadness; that is usual there, and an issue in a row of joy."""
    grief = targets[:, INDEX["grief"]] == 1
    scores[:, INDEX["grief"]] = np.where(grief, 0.01, 0.002)
    row = _first_row("joy")
    scores[row, INDEX["joy"]] = 0.001
    scores[[*np.flatnonzero(grief), row], INDEX["sadness"]] = 0.3

    doubted = {issue.row for issue in find_label_issues(targets, scores)}

    assert row in doubted
    assert not doubted & set(np.flatnonzero(grief))


def test_emotions_that_no_row_or_every_row_has_are_left_alone(
    targets: NDArray[np.float32], scores: NDArray[np.float32]
) -> None:
    """Nothing can be learnt about them, so nothing is said, whatever the scores are."""
    never, always = INDEX["pride"], INDEX["relief"]
    targets[targets[:, never] == 1] = np.eye(28)[INDEX["joy"]]
    targets[:, never], targets[:, always] = 0, 1
    scores[:, never], scores[:, always] = 0.99, 0.0

    changed = {change.label for issue in find_label_issues(targets, scores) for change in issue.changes}

    assert not changed & {"pride", "relief"}


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_whatever_the_scores_are_the_list_is_sound(data: st.DataObject) -> None:
    """Ranked, in [0, 1], at least one label, never the given ones, and the changes lead from one to the other."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    rows = data.draw(st.integers(1, 30))
    targets = (rng.random((rows, 28)) < data.draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))).astype(np.float32)
    targets[np.arange(rows), rng.integers(0, 28, rows)] = 1
    scores = data.draw(st.sampled_from([rng.random, lambda shape: np.round(rng.random(shape)), np.zeros]))((rows, 28))

    issues = find_label_issues(targets, scores)

    qualities = [issue.quality for issue in issues]
    assert qualities == sorted(qualities)
    assert len({issue.row for issue in issues}) == len(issues)
    for issue in issues:
        assert 0 <= issue.quality <= 1
        assert issue.suggested
        assert issue.given == tuple(name for name, gold in zip(EMOTIONS, targets[issue.row], strict=True) if gold)
        removed = {change.label for change in issue.changes if change.change == "remove"}
        added = {change.label for change in issue.changes} - removed
        assert added or removed
        assert set(issue.given) - removed | added == set(issue.suggested)
        assert removed <= set(issue.given)


@pytest.mark.parametrize(
    ("targets", "scores"),
    [
        (np.ones((2, 27)), np.ones((2, 27))),
        (np.ones((2, 28)), np.ones((3, 28))),
        (np.ones(28), np.ones(28)),
        (np.full((2, 28), 0.5), np.ones((2, 28))),
        (np.ones((2, 28)), np.full((2, 28), 1.01)),
        (np.ones((2, 28)), np.full((2, 28), np.nan)),
        (np.zeros((2, 28)), np.ones((2, 28))),
    ],
)
def test_arrays_that_are_no_labels_and_scores_are_refused(
    targets: NDArray[np.float64], scores: NDArray[np.float64]
) -> None:
    """A mistake of the caller."""
    with pytest.raises(ValueError, match="expected"):
        find_label_issues(targets, scores)


def test_planted_errors_are_found_far_more_often_than_by_chance() -> None:
    """5 % of the sample's rows get another label; the top as long holds more than four times chance's share of them."""
    train = choose_corpus(None).train
    truth, rng = train.targets(), np.random.default_rng(0)
    planted = rng.choice(len(truth), len(truth) // 20, replace=False)
    targets = truth.copy()
    for row in planted:
        given = np.flatnonzero(truth[row])
        targets[row, rng.choice(given)] = 0
        targets[row, rng.choice(np.setdiff1d(np.arange(28), given))] = 1

    issues = find_label_issues(targets, _out_of_fold(train.texts, targets))

    top = issues[: len(planted)]
    found = [issue for issue in top if issue.row in planted]
    by_chance = len(planted) ** 2 / len(truth)
    assert len(found) > 4 * by_chance
    restored = [issue for issue in found if issue.suggested == tuple(np.array(EMOTIONS)[truth[issue.row] == 1])]
    assert len(restored) > len(found) / 4


def _out_of_fold(texts: tuple[str, ...], targets: NDArray[np.float32]) -> NDArray[np.float32]:
    scores = np.zeros_like(targets)
    for fold in range(3):
        held_out = np.arange(len(texts)) % 3 == fold
        seen = [text for text, out in zip(texts, held_out, strict=True) if not out]
        others = [text for text, out in zip(texts, held_out, strict=True) if out]
        (scores[held_out],) = tfidf_scores(seen, targets[~held_out], [others])
    return scores


def test_importing_is_light() -> None:
    """A command that only parses its options waits for neither numpy nor cleanlab."""
    code = (
        "import sys, eqn.quality.label_issues, eqn.quality.out_of_fold, eqn.quality.annotation_tools;"
        "print(sorted({'numpy', 'cleanlab', 'pandas', 'pyarrow', 'sklearn'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
