"""Texts to annotate, and fair shares of them for slower peers. Pure functions of texts and a seed."""

import statistics
from collections.abc import Sequence

import numpy as np

MEDIAN, MEAN, LONGEST = 91, 179, 5_800
"""Characters of the mix: of a log-normal distribution with this median and mean, 5 % have more than about 615."""


def mixed_texts(comments: Sequence[str], texts: int, *, seed: int) -> list[str]:
    """Join comments into that many texts whose lengths look like Reddit's: many short ones and a long tail.

    The lengths are evenly spaced quantiles of the distribution, in random order, so that a few texts have its shape
    as well as many. A text is cut behind a word, so that it is a little shorter than its length where that falls into
    one.
    """
    generator = np.random.default_rng(seed)
    sigma = (2 * np.log(MEAN / MEDIAN)) ** 0.5
    normal = statistics.NormalDist()
    steps = np.array([normal.inv_cdf((place + 0.5) / texts) for place in range(texts)])
    lengths = np.minimum(MEDIAN * np.exp(sigma * steps), LONGEST).round().astype(int)
    return [_joined(comments, int(length), generator) for length in generator.permutation(lengths)]


def _joined(comments: Sequence[str], length: int, generator: np.random.Generator) -> str:
    parts = [comments[int(generator.integers(len(comments)))]]
    while sum(map(len, parts)) + len(parts) - 1 < length:
        parts.append(comments[int(generator.integers(len(comments)))])
    text = " ".join(parts)
    end = text.rfind(" ", 0, length + 1) if len(text) > length else len(text)
    return text[: end if end > 0 else length].strip() or text[:1]


def repeated(texts: Sequence[str], rows: int, *, seed: int) -> list[str]:
    """Give that many texts: all of them as often as it takes, in random order."""
    generator = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < rows:
        order += generator.permutation(len(texts)).tolist()
    return [texts[place] for place in order[:rows]]


def slice_of(texts: Sequence[str], share: int, turn: int) -> list[str]:
    """Give one text of `share`, in their order, as long as the others are: every so-manieth in the order of length.

    Another `turn` begins at another place of that order, so that some turns see more of the texts.

    >>> slice_of(["a", "bbb", "cc", "dddd"], 2, 0)
    ['a', 'bbb']
    """
    by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    return [texts[place] for place in sorted(by_length[turn % share :: share])]


def length_facts(texts: Sequence[str]) -> dict[str, float]:
    """Give mean, median, 95th percentile and maximum of the texts' characters."""
    lengths = np.array([len(text) for text in texts])
    return {
        "texts": len(texts),
        "mean": round(float(lengths.mean()), 1),
        "median": float(np.median(lengths)),
        "p95": round(float(np.percentile(lengths, 95)), 1),
        "max": int(lengths.max()),
    }
