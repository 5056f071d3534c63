"""Words: in how many texts each of them stands, counted in bounded memory.

A word is counted once for each text that has it, so that one text that repeats a word weighs no more than others.
"""

import collections
import re
import unicodedata
from collections.abc import Iterable, Mapping

_WORD = re.compile(r"\w+(?:['\N{RIGHT SINGLE QUOTATION MARK}]\w+)*")
_LONGEST = 40
"""Characters of a word, at most: what is longer is an address or a key, and counts without being named."""
_KEPT = 50_000


def words_in(text: str) -> set[str]:
    """Give the different words of `text`, lower-cased.

    >>> sorted(words_in("Don't stop, DON'T!"))
    ["don't", 'stop']
    """
    return set(_WORD.findall(unicodedata.normalize("NFC", text).lower()))


class WordCounter:
    """Counts words of any number of texts; only frequent ones are kept, so the same texts in the same order matter."""

    def __init__(self, *, kept: int = _KEPT) -> None:
        self.total = 0
        """Words in all texts, those that were not kept included."""
        self._kept = kept
        self._counts: collections.Counter[str] = collections.Counter()

    def add(self, texts: Iterable[str]) -> None:
        """Take in some texts."""
        for text in texts:
            found = words_in(text)
            self.total += len(found)
            self._counts.update(word for word in found if len(word) <= _LONGEST)
            if len(self._counts) > 2 * self._kept:  # twice, so that it is not sorted for every text
                self._counts = collections.Counter(self.most_frequent(self._kept))

    def most_frequent(self, number: int) -> dict[str, int]:
        """Give the words that stand in most texts and how many these are, equally frequent ones by the alphabet."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:number])


def shared_words(first: Mapping[str, float], second: Mapping[str, float], *, least: float, most: int) -> list[str]:
    """Give the words whose shares in both sides sum up to `least`, at most `most`, the most frequent first."""
    words = first.keys() | second.keys()
    together = {word: first.get(word, 0) + second.get(word, 0) for word in words}
    frequent = [word for word, share in together.items() if share >= least]
    return sorted(frequent, key=lambda word: (-together[word], word))[:most]
