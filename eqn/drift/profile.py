"""A profile: what is kept of a release, or of training data, to compare others with it. Its size does not grow.

Intensities are counted in 20 bins of equal width: what moves between 0.00 and 0.05 is of no weight to anybody. Lengths
are counted in two bins for each doubling.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.contract import MAX_TEXT_CHARACTERS
from eqn.drift.sample import TextSample
from eqn.drift.vocabulary import WordCounter
from eqn.emotions import EMOTIONS
from eqn.records import as_json

FORMAT = 1
BINS = 20
"""Bins of an intensity."""
LENGTH_BINS = int(2 * np.log2(MAX_TEXT_CHARACTERS)) + 1
_WORDS = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Intensities:
    """What a model found in some texts."""

    model: str
    """Digest of the model's package; empty where several models annotated the texts."""
    rows: int
    histogram: tuple[tuple[int, ...], ...]
    """(28, BINS) rows by intensity, for each emotion."""
    total: tuple[float, ...]
    """(28,) sum of each emotion's intensities."""
    labelled: tuple[int, ...]
    """(28,) rows that carry each emotion as a label."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is kept of some texts and their intensities."""

    rows: int
    intensities: Intensities
    lengths: tuple[int, ...]
    """(LENGTH_BINS,) rows by length."""
    characters: int
    """Of all texts together."""
    words: Mapping[str, int]
    """The most frequent words, and in how many texts each of them stands."""
    words_in_all: int
    """Sum over all words, also those that are not among `words`."""
    sample: tuple[str, ...]
    """The beginnings of some texts; see `eqn.drift.sample`."""

    def to_bytes(self, *, of: str) -> bytes:
        """Give the profile as it is stored; `of` is the digest of what it was made from."""
        return json.dumps({"format": FORMAT, "of": of} | as_json(self), ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, of: str) -> "Profile | None":
        """Read a profile; None when it is of something else, of another format, or no profile."""
        try:
            facts = json.loads(content)
            if (facts.pop("format"), facts.pop("of")) != (FORMAT, of):
                return None
            found = facts.pop("intensities")
            profile = cls(
                **facts | {"lengths": tuple(facts["lengths"]), "sample": tuple(facts["sample"])},
                intensities=Intensities(
                    found["model"],
                    found["rows"],
                    tuple(tuple(counts) for counts in found["histogram"]),
                    tuple(found["total"]),
                    tuple(found["labelled"]),
                ),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return profile if _is_sound(profile) else None


class IntensityCounter:
    """Counts intensities batch by batch."""

    def __init__(self) -> None:
        self.rows = 0
        self._histogram = np.zeros((len(EMOTIONS), BINS), dtype=np.int64)
        self._total = np.zeros(len(EMOTIONS))
        self._labelled = np.zeros(len(EMOTIONS), dtype=np.int64)

    def add(self, scores: NDArray[np.float32], labels: Sequence[Sequence[str]]) -> None:
        """Take in the intensities of some texts, (texts, 28) in [0, 1], and their labels."""
        self.rows += len(scores)
        bins = np.minimum(np.asarray(scores, dtype=np.float64) * BINS, BINS - 1).astype(np.int64)
        for emotion in range(len(EMOTIONS)):
            self._histogram[emotion] += np.bincount(bins[:, emotion], minlength=BINS)
        self._total += np.asarray(scores, dtype=np.float64).sum(axis=0)
        names = [name for row in labels for name in row]
        self._labelled += [names.count(name) for name in EMOTIONS]

    def finish(self, model: str) -> Intensities:
        """Give what was counted, of the model with this digest."""
        return Intensities(
            model,
            self.rows,
            tuple(tuple(counts) for counts in self._histogram.tolist()),
            tuple(np.round(self._total, 4).tolist()),
            tuple(self._labelled.tolist()),
        )


class Profiler:
    """Makes a profile batch by batch, in bounded memory."""

    def __init__(self) -> None:
        self._intensities = IntensityCounter()
        self._lengths = np.zeros(LENGTH_BINS, dtype=np.int64)
        self._characters = 0
        self._words = WordCounter()
        self._sample = TextSample()

    def add(
        self, ids: Sequence[str], texts: Sequence[str], scores: NDArray[np.float32], labels: Sequence[Sequence[str]]
    ) -> None:
        """Take in some rows: ids, texts, intensities (texts, 28) in [0, 1], labels."""
        self._intensities.add(scores, labels)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        self._characters += int(lengths.sum())
        bins = (2 * np.log2(np.clip(lengths, 1, MAX_TEXT_CHARACTERS))).astype(np.int64)
        self._lengths += np.bincount(bins, minlength=LENGTH_BINS)
        self._words.add(texts)
        self._sample.add(ids, texts)

    def finish(self, model: str) -> Profile:
        """Give the profile of all rows, annotated by the model with this digest."""
        return Profile(
            rows=self._intensities.rows,
            intensities=self._intensities.finish(model),
            lengths=tuple(self._lengths.tolist()),
            characters=self._characters,
            words=self._words.most_frequent(_WORDS),
            words_in_all=self._words.total,
            sample=self._sample.texts(),
        )


def _is_sound(profile: Profile) -> bool:
    """Tell whether what was read has the shapes and sums that a profile has. Nothing is certain of its types."""
    found = profile.intensities
    try:
        values: list[Any] = [np.array(found.histogram), np.array(profile.lengths), np.array(found.total)]
        words = {word: int(count) for word, count in profile.words.items()}
        return (
            [value.shape for value in values] == [(len(EMOTIONS), BINS), (LENGTH_BINS,), (len(EMOTIONS),)]
            and len(found.labelled) == len(EMOTIONS)
            and bool((values[0].sum(axis=1) == found.rows).all())
            and int(values[1].sum()) == profile.rows
            and sum(words.values()) <= profile.words_in_all
            and all(isinstance(text, str) for text in profile.sample)
        )
    except (ValueError, TypeError, AttributeError):
        return False
