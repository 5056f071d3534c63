"""A profile holds what comparisons need, is the same however its rows were cut, and is not taken from a stranger."""

import json

import numpy as np
import pytest

from eqn.drift.profile import BINS, LENGTH_BINS, Profile, Profiler
from eqn.emotions import EMOTIONS, INDEX

TEXTS = ["thank you", "I am so sad", "x" * 100_000, "naïve 日本 👨‍👩‍👧", "=1+1"]


def profile_of(texts: list[str], *, batch: int = 100) -> Profile:
    generator = np.random.default_rng(0)
    scores = np.round(generator.uniform(size=(len(texts), len(EMOTIONS))), 4).astype(np.float32)
    labels = [["joy"] if row % 2 else [] for row in range(len(texts))]
    profiler = Profiler()
    for start in range(0, len(texts), batch):
        rows = slice(start, start + batch)
        profiler.add([f"id-{row}" for row in range(len(texts))][rows], texts[rows], scores[rows], labels[rows])
    return profiler.finish("model")


def test_it_is_the_same_however_the_rows_come() -> None:
    """Part by part, or all at once."""
    assert profile_of(TEXTS * 9, batch=4) == profile_of(TEXTS * 9)


def test_every_row_is_counted_once() -> None:
    """In each histogram, with the largest intensity and the longest text in the last bins."""
    profiler = Profiler()
    scores = np.zeros((2, len(EMOTIONS)), dtype=np.float32)
    scores[0], scores[1, INDEX["joy"]] = 1.0, 0.05
    profiler.add(["a", "b"], ["x" * 100_000, ""], scores, [["joy", "fear"], ["joy"]])

    profile = profiler.finish("model")

    joy = profile.intensities.histogram[INDEX["joy"]]
    assert (joy[BINS - 1], joy[1], sum(joy)) == (1, 1, 2)
    assert (profile.lengths[LENGTH_BINS - 1], profile.lengths[0], sum(profile.lengths)) == (1, 1, 2)
    assert profile.characters == 100_000
    assert profile.intensities.labelled[INDEX["joy"]] == 2
    assert profile.intensities.total[INDEX["joy"]] == pytest.approx(1.05)


def test_it_is_read_as_it_was_written() -> None:
    """Texts in any script included."""
    profile = profile_of(TEXTS)

    assert Profile.from_bytes(profile.to_bytes(of="manifest"), of="manifest") == profile


def test_no_rows_have_a_profile_too() -> None:
    """A release may be empty."""
    empty = Profiler().finish("model")

    assert (empty.rows, empty.sample, empty.words_in_all) == (0, (), 0)
    assert Profile.from_bytes(empty.to_bytes(of="manifest"), of="manifest") == empty


def test_a_profile_of_something_else_is_not_taken() -> None:
    """It is derived: what does not fit is made again."""
    content = profile_of(TEXTS).to_bytes(of="manifest")
    facts = json.loads(content)

    assert Profile.from_bytes(content, of="another manifest") is None
    assert Profile.from_bytes(content[:-9], of="manifest") is None
    assert Profile.from_bytes(b"[]", of="manifest") is None
    for damage in (
        {"format": 2},
        {"lengths": facts["lengths"][1:]},
        {"rows": 4},
        {"intensities": facts["intensities"] | {"total": [1.0]}},
        {"words": {"sad": "many"}},
        {"words_in_all": 0},
        {"sample": [1]},
    ):
        assert Profile.from_bytes(json.dumps(facts | damage).encode(), of="manifest") is None, damage


def test_the_size_of_a_profile_is_bounded() -> None:
    """Ten times as many rows, each with words of its own, do not make it ten times as large."""
    small, large = (
        len(profile_of([f"a{n} b{n} c{n}" for n in range(rows)], batch=1000).to_bytes(of="m")) for rows in (2000, 20000)
    )

    assert large < 1.5 * small
