"""Which texts are shown for an emotion."""

import numpy as np

from eqn.emotions import EMOTIONS, INDEX
from eqn.pages.examples import BORDERLINE, LEAST_SURE, STRONGEST, Example, Examples, Ranking, strengths

JOY = INDEX["joy"]


def collected(*parts: list[float], texts: list[str] | None = None, limit: float = 0.5) -> Examples:
    """Give the examples of parts of which only the joy is given; texts are their row's number."""
    made = Examples()
    start = 0
    for part in parts:
        scores = np.full((len(part), 28), 0.01)
        scores[:, JOY] = part
        names = texts[start : start + len(part)] if texts else [f"text {start + row}" for row in range(len(part))]
        start += len(part)
        made.add(
            "file.csv",
            scores,
            scores >= limit,
            lambda rows, names=names: [(f"id {row}", names[row]) for row in rows],  # type: ignore[misc]
        )
    return made


def joys(ranking: Ranking) -> list[float]:
    return [example.intensities[JOY] for example in ranking.examples]


def test_they_are_the_extremes_of_all_parts_together() -> None:
    """However the rows are cut into parts."""
    scores = [round(float(score), 4) for score in np.random.default_rng(3).permutation(np.linspace(0.05, 1, 200))]
    whole, cut = collected(scores), collected(scores[:7], [], scores[7:90], scores[90:])
    high, low = sorted((s for s in scores if s >= 0.5), reverse=True), sorted(s for s in scores if s < 0.5)

    for made in (whole, cut):
        assert joys(made.strongest["joy"]) == high[:STRONGEST]
        assert joys(made.just_labelled["joy"]) == high[::-1][:BORDERLINE]
        assert joys(made.just_missed["joy"]) == low[::-1][:BORDERLINE]
    assert [e.text for e in whole.strongest["joy"].examples] == [e.text for e in cut.strongest["joy"].examples]


def test_equal_texts_take_one_place() -> None:
    """'Thank you!' stands a hundred times in many corpora, in any case of letters."""
    texts = ["Yes!", "yes!", "YES!", "no", "yes, indeed"]
    found = collected([0.9, 0.95, 0.8, 0.7, 0.6], texts=texts).strongest["joy"].examples

    assert [example.text for example in found] == ["yes!", "no", "yes, indeed"]


def test_a_text_far_below_the_threshold_missed_nothing() -> None:
    made = collected([0.04, 0.06])

    assert joys(made.just_missed["joy"]) == [0.06]
    assert made.strongest["joy"].examples == []
    assert made.just_missed["anger"].examples == []


def test_long_texts_are_kept_in_part_and_their_length_whole() -> None:
    made = collected([0.9], texts=["x" * 1_000_000]).strongest["joy"].examples[0]

    assert made.characters == 1_000_000
    assert len(made.text) < 5_000


def test_the_least_sure_come_from_the_entropy() -> None:
    made = Examples()
    entropy = np.linspace(0, 1, 20)
    scores = np.full((20, 28), 0.01)
    made.add("f", scores, scores > 1, lambda rows: [(str(row), f"text {row}") for row in rows], entropy=entropy)

    assert [example.id for example in made.least_sure.examples] == [str(row) for row in range(19, 19 - LEAST_SURE, -1)]


def test_strengths_begin_with_the_emotion_asked_for() -> None:
    """Then labels and high intensities, the strongest first; the rest is not told."""
    scores = dict.fromkeys(EMOTIONS, 0.02) | {"anger": 0.25, "joy": 0.9, "love": 0.08, "fear": 0.5}
    example = Example("1", "t", 1, "f", tuple(scores[name] for name in EMOTIONS), ("joy", "love"), None)

    assert list(strengths(example, of="anger")) == ["anger", "joy", "fear", "love"]
    assert list(strengths(example, of=None, most=2)) == ["joy", "fear"]
