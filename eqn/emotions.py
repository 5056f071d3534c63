"""The 28 emotions: their one canonical order, their groups, their meanings, and conversion by name.

The order is GoEmotions' own: 27 emotions alphabetically, then neutral. At least three orders of the same names are in
circulation, so nothing in EQN is ever matched by position without its label list: see `order_from`.

The groups are those that GoEmotions' authors publish beside the data (`ekman_mapping.json`, `sentiment_dict.json`);
there, neutral is a group of its own.
"""

from collections.abc import Sequence

MEANINGS: dict[str, str] = {
    "admiration": "looking up to someone, or being struck by how good something is",
    "amusement": "laughing or smiling at something comical",
    "anger": "being furious, hostile, up in arms",
    "annoyance": "being bothered or fed up, short of rage",
    "approval": "agreeing, backing, thinking well of something",
    "caring": "warm concern for how someone else fares",
    "confusion": "not following, being puzzled",
    "curiosity": "wanting to find out more",
    "desire": "longing to have something or for it to come about",
    "disappointment": "being let down by how things turned out",
    "disapproval": "objecting, thinking badly of something",
    "disgust": "being repelled, finding something revolting",
    "embarrassment": "wanting to hide because of how one looks to others",
    "excitement": "being thrilled, hardly able to wait",
    "fear": "dreading harm or danger",
    "gratitude": "giving thanks for what somebody did",
    "grief": "mourning, above all for the dead",
    "joy": "being glad, delighted, in good spirits",
    "love": "deep fondness for a person, an animal or a thing",
    "nervousness": "being on edge about what is about to happen",
    "optimism": "trusting that things will turn out well",
    "pride": "being pleased with what oneself or one's own people achieved",
    "realization": "something dawning on one",
    "relief": "a weight lifted once a worry is over",
    "remorse": "being sorry for what one has done",
    "sadness": "being down, sorrowful, hurt",
    "surprise": "not having seen something coming",
    "neutral": "none of these: plain information",
}
"""What each emotion means, in canonical order. The README and the cards print this text."""

EMOTIONS: tuple[str, ...] = tuple(MEANINGS)
"""The canonical order of every 28-wide array, file and model head."""

INDEX: dict[str, int] = {name: position for position, name in enumerate(EMOTIONS)}

EKMAN: dict[str, tuple[str, ...]] = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": (
        "joy", "amusement", "approval", "excitement", "gratitude", "love",
        "optimism", "relief", "pride", "admiration", "desire", "caring",
    ),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
    "neutral": ("neutral",),
}  # fmt: skip

SENTIMENT: dict[str, tuple[str, ...]] = {
    "positive": (
        "amusement", "excitement", "joy", "love", "desire", "optimism",
        "caring", "pride", "admiration", "gratitude", "relief", "approval",
    ),
    "negative": (
        "fear", "nervousness", "remorse", "embarrassment", "disappointment", "sadness",
        "grief", "disgust", "anger", "annoyance", "disapproval",
    ),
    "ambiguous": ("realization", "surprise", "curiosity", "confusion"),
    "neutral": ("neutral",),
}  # fmt: skip

SENTIMENT_OF: dict[str, str] = {name: group for group, names in SENTIMENT.items() for name in names}


def order_from(labels: Sequence[str]) -> tuple[int, ...]:
    """Give the positions that bring columns named `labels` into canonical order.

    `[row[i] for i in order_from(labels)]` is `row` in the order of `EMOTIONS`.

    Raises:
        ValueError: `labels` is not exactly the 28 names, each once; the message names what is missing or foreign.

    """
    missing = [name for name in EMOTIONS if name not in labels]
    foreign = [name for name in labels if name not in INDEX]
    if missing or foreign or len(labels) != len(EMOTIONS):
        raise ValueError(
            f"expected the {len(EMOTIONS)} emotion names, each once; got {len(labels)} names"
            f"{', missing: ' + ', '.join(missing) if missing else ''}"
            f"{', unknown: ' + ', '.join(foreign) if foreign else ''}"
        )
    positions = {name: position for position, name in enumerate(labels)}
    return tuple(positions[name] for name in EMOTIONS)
