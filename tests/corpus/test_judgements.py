"""Promises about reading who chose what."""

import gzip
from pathlib import Path

import pytest

from eqn.corpus.judgements import Judgements, read_judgements
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused
from tests.corpus.rater_rows import rating, write_ratings

Said = set[tuple[str, str, tuple[str, ...]]]


def said(judgements: Judgements) -> Said:
    return {
        (
            judgements.ids[comment],
            judgements.raters[rater],
            tuple(name for name, yes in zip(EMOTIONS, labels, strict=True) if yes),
        )
        for comment, rater, labels in zip(judgements.comment, judgements.rater, judgements.labels, strict=True)
    }


def test_every_judgement_comes_with_its_rater(tmp_path: Path) -> None:
    """Over several files, plain and packed; a repeated row counts once, and an unclear comment was not judged."""
    first = write_ratings(tmp_path / "a.csv", [rating("x", "07", "joy", "love"), rating("x", "7"), rating("y", "7")])
    rows = [rating("y", "7"), rating("z", "7", unclear=True), rating("z", "8", "neutral")]
    second = write_ratings(tmp_path / "b.csv", rows)
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(second.read_bytes()))

    found = read_judgements([first, packed])

    assert said(found) == {("x", "07", ("joy", "love")), ("x", "7", ()), ("y", "7", ()), ("z", "8", ("neutral",))}
    assert len(found.comment) == 4
    assert (found.ids, found.raters) == (("x", "y", "z"), ("07", "7", "8"))


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """Their order in the file means nothing."""
    path = tmp_path / "turned.csv"
    row = rating("x", "1", "fear")
    names = list(reversed(row))
    path.write_text(f"{','.join(names)}\n{','.join(row[name] for name in names)}\n")

    assert said(read_judgements([path])) == {("x", "1", ("fear",))}


def test_files_with_faults_are_refused(tmp_path: Path) -> None:
    """As when votes are counted: the two readers agree on what a rater-level file is."""
    path = write_ratings(tmp_path / "a.csv", [rating("x", "1", "joy") | {"joy": "2"}])

    with pytest.raises(DataRefused, match="expected 0 or 1 in joy, got '2'"):
        read_judgements([path])


def test_files_in_which_all_is_unclear_hold_no_judgement(tmp_path: Path) -> None:
    """Nothing is made up."""
    found = read_judgements([write_ratings(tmp_path / "a.csv", [rating("x", "1", unclear=True)])])

    assert (found.ids, found.raters, found.labels.shape) == ((), (), (0, 28))
