"""Promises about the 28 names: their order, their groups, and conversion by name."""

import json
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from eqn.emotions import EKMAN, EMOTIONS, INDEX, MEANINGS, SENTIMENT, SENTIMENT_OF, order_from


def test_the_order_is_alphabetical_with_neutral_last() -> None:
    """27 names in alphabetical order, then neutral: GoEmotions' own order."""
    assert len(EMOTIONS) == 28
    assert list(EMOTIONS[:-1]) == sorted(EMOTIONS[:-1])
    assert EMOTIONS[-1] == "neutral"
    assert "neutral" not in EMOTIONS[:-1]


def test_the_index_is_the_inverse_of_the_order() -> None:
    """INDEX gives each name's place in EMOTIONS."""
    assert [EMOTIONS[INDEX[name]] for name in EMOTIONS] == list(EMOTIONS)
    assert len(INDEX) == 28


def test_every_emotion_has_a_meaning_of_its_own() -> None:
    """No meaning is empty or given twice."""
    assert all(meaning.strip() for meaning in MEANINGS.values())
    assert len(set(MEANINGS.values())) == 28


@pytest.mark.parametrize("groups", [EKMAN, SENTIMENT], ids=["ekman", "sentiment"])
def test_the_groups_hold_every_emotion_exactly_once(groups: Mapping[str, Sequence[str]]) -> None:
    """Ekman's groups and the sentiments each divide the 28 emotions."""
    assert sorted(name for names in groups.values() for name in names) == sorted(EMOTIONS)
    assert groups["neutral"] == ("neutral",)


def test_the_sentiment_of_an_emotion_is_the_group_it_stands_in() -> None:
    """SENTIMENT_OF is SENTIMENT read the other way round."""
    assert SENTIMENT_OF.keys() == set(EMOTIONS)
    assert all(name in SENTIMENT[SENTIMENT_OF[name]] for name in EMOTIONS)
    assert (SENTIMENT_OF["joy"], SENTIMENT_OF["grief"], SENTIMENT_OF["surprise"]) == (
        "positive",
        "negative",
        "ambiguous",
    )


def test_columns_of_any_order_come_into_the_canonical_one() -> None:
    """Whatever the order of the columns, taking them by `order_from` gives the canonical order."""
    shuffled = list(EMOTIONS)
    random.Random(1).shuffle(shuffled)  # noqa: S311  no secret
    row = [name.upper() for name in shuffled]
    assert shuffled != list(EMOTIONS)
    assert [row[position] for position in order_from(shuffled)] == [name.upper() for name in EMOTIONS]
    assert order_from(EMOTIONS) == tuple(range(28))


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (EMOTIONS[1:], "missing: admiration"),
        (("bliss", *EMOTIONS[1:]), "missing: admiration, unknown: bliss"),
        ((*EMOTIONS, "joy"), "got 29 names"),
        ((*EMOTIONS, "bliss"), "unknown: bliss"),
        (("joy", *EMOTIONS[1:]), "missing: admiration"),
        ((), "got 0 names"),
        (tuple(name.upper() for name in EMOTIONS), "unknown: ADMIRATION"),
    ],
)
def test_labels_that_are_not_the_28_are_refused_by_name(labels: Sequence[str], named: str) -> None:
    """Missing, foreign and repeated names are errors, and the message says which."""
    with pytest.raises(ValueError, match=named):
        order_from(labels)


@pytest.mark.goemotions
def test_names_and_groups_are_those_that_goemotions_publishes() -> None:
    """Order, Ekman's groups and the sentiments equal the files beside the data; there, neutral is in no group."""
    folder = Path(os.environ["EQN_GOEMOTIONS"])
    assert list(EMOTIONS) == (folder / "emotions.txt").read_text("utf-8").split()
    for ours, file in ((EKMAN, "ekman_mapping.json"), (SENTIMENT, "sentiment_dict.json")):
        published = json.loads((folder / file).read_text("utf-8"))
        expected = {group: set(names) for group, names in published.items()} | {"neutral": {"neutral"}}
        assert {group: set(names) for group, names in ours.items()} == expected
