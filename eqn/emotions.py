"""The 28 emotions: their one canonical order, their groups, their meanings, and conversion by name.

The order is GoEmotions' own: 27 emotions alphabetically, then neutral. At least three orders of the same names are in
circulation, so nothing in EQN is ever matched by position without its label list: see `order_from`.

The groups are those that GoEmotions' authors publish beside the data (`ekman_mapping.json`, `sentiment_dict.json`);
there, neutral is a group of its own.
"""

from collections.abc import Sequence

MEANINGS: dict[str, str] = {
    "admiration": "finding someone or something impressive or worthy of respect",
    "amusement": "finding something funny or being entertained",
    "anger": "strong displeasure or antagonism",
    "annoyance": "mild anger, irritation",
    "approval": "having or expressing a favourable opinion",
    "caring": "kindness and concern for others",
    "confusion": "lack of understanding, uncertainty",
    "curiosity": "a wish to know or learn something",
    "desire": "wishing for something to happen or to have it",
    "disappointment": "sadness or displeasure because hopes were not met",
    "disapproval": "having or expressing an unfavourable opinion",
    "disgust": "revulsion at something unpleasant or offensive",
    "embarrassment": "self-consciousness, shame or awkwardness",
    "excitement": "great enthusiasm and eagerness",
    "fear": "being afraid or worried",
    "gratitude": "thankfulness and appreciation",
    "grief": "intense sorrow, above all at a death",
    "joy": "pleasure and happiness",
    "love": "strong affection or attachment",
    "nervousness": "apprehension, anxiety",
    "optimism": "hope and confidence about what is to come",
    "pride": "satisfaction with one's own achievements or those of people close to one",
    "realization": "becoming aware of something",
    "relief": "reassurance after anxiety or distress",
    "remorse": "regret or guilt",
    "sadness": "emotional pain, sorrow",
    "surprise": "being astonished by something unexpected",
    "neutral": "no emotion in particular",
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
