"""A sample of texts that depends on the rows alone: neither on their order, nor on how they are cut into parts.

The rows whose ids have the smallest digests are taken (a bottom-k sketch: Cohen and Kaplan, Summarizing data using
bottom-k sketches, PODC 2007). To whoever does not choose ids by their digests they are as good as drawn at random, and
rows that stand in two releases are in both samples or in none, as far as these reach.
"""

import heapq
from collections.abc import Iterable

from eqn.corpus.identity import id_digest

TEXTS = 1000
"""Texts of a sample, at most."""
CHARACTERS = 1000
"""What is kept of a text: more than a model reads of plain text."""


class TextSample:
    """The `texts` texts whose ids have the smallest digests, of all that were added."""

    def __init__(self, *, texts: int = TEXTS) -> None:
        self._most = texts
        self._heap: list[tuple[int, str]] = []
        """Negative digests: the largest digest comes first."""

    def add(self, ids: Iterable[str], texts: Iterable[str]) -> None:
        """Take in some rows."""
        for identifier, text in zip(ids, texts, strict=True):
            digest = int.from_bytes(id_digest(identifier))
            if len(self._heap) < self._most:
                heapq.heappush(self._heap, (-digest, text[:CHARACTERS]))
            elif (-digest, text[:CHARACTERS]) > self._heap[0]:
                heapq.heapreplace(self._heap, (-digest, text[:CHARACTERS]))

    def texts(self) -> tuple[str, ...]:
        """Give the sample, the smallest digest first."""
        return tuple(text for _, text in sorted(self._heap, reverse=True))
