"""Example texts: for each emotion the strongest, and those on either side of its threshold. Memory is bounded."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eqn.emotions import EMOTIONS

STRONGEST = 6
"""Examples of an emotion's highest intensities."""
BORDERLINE = 3
"""Examples on either side of an emotion's threshold."""
LEAST_SURE = 8
"""Examples of the highest entropy."""
LEAST_MISSED = 0.05
"""A text that missed a label with a lower intensity than this was not close to it."""

_SPARE = 4
"""Candidates of a part for each place: equal texts take one place together."""
_KEPT_CHARACTERS = 2_000
_KEY_CHARACTERS = 200

Rows = Callable[[Sequence[int]], list[tuple[str, str]]]
"""Gives id and text of the rows with these numbers in the part."""


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One text of a release."""

    id: str
    text: str
    """Its beginning, where it is very long."""
    characters: int
    """Length of the whole text."""
    file: str
    intensities: tuple[float, ...]
    """In the order of EMOTIONS."""
    labels: tuple[str, ...]
    """The strongest first."""
    entropy: float | None
    """In bits, where the release tells it."""


class Ranking:
    """The first few examples by a key, the lowest first; of equal keys the earliest row, of equal texts one."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: list[tuple[float, Example]] = []

    @property
    def examples(self) -> list[Example]:
        """The examples so far, in order."""
        return [example for _, example in self._kept]

    def wanted(self, keys: NDArray[np.float64]) -> list[int]:
        """Give the rows of a part, by their keys (rows,), that may find a place; infinite keys never do."""
        order = np.argsort(keys, kind="stable")[: self.limit * _SPARE]
        bar = self._kept[-1][0] if len(self._kept) == self.limit else np.inf
        return [int(row) for row in order if keys[row] < bar]

    def offer(self, key: float, example: Example) -> None:
        """Take in an example, if its key is low enough and its text new."""
        same = [known for known in self._kept if _same_text(known[1], example)]
        if any(known <= key for known, _ in same):
            return
        self._kept = [kept for kept in self._kept if kept not in same]
        place = sum(known <= key for known, _ in self._kept)
        self._kept.insert(place, (key, example))
        del self._kept[self.limit :]


class Examples:
    """Collects the examples of a release, part by part."""

    def __init__(self) -> None:
        self.strongest = {name: Ranking(STRONGEST) for name in EMOTIONS}
        """Texts with the label, the highest intensity first."""
        self.just_labelled = {name: Ranking(BORDERLINE) for name in EMOTIONS}
        """Texts with the label, the lowest intensity first."""
        self.just_missed = {name: Ranking(BORDERLINE) for name in EMOTIONS}
        """Texts without the label, the highest intensity first."""
        self.least_sure = Ranking(LEAST_SURE)
        """The highest entropy first; empty where the release does not tell it."""

    def add(
        self,
        file: str,
        scores: NDArray[np.float64],
        flags: NDArray[np.bool_],
        rows: Rows,
        *,
        entropy: NDArray[np.float64] | None = None,
    ) -> None:
        """Take in a part: intensities (rows, 28), labels (rows, 28), and (rows,) entropies where there are."""
        offers: list[tuple[Ranking, NDArray[np.float64]]] = []
        for i, name in enumerate(EMOTIONS):
            score, has = scores[:, i], flags[:, i]
            missed = np.where(has | (score < LEAST_MISSED), np.inf, -score)
            offers += [
                (self.strongest[name], np.where(has, -score, np.inf)),
                (self.just_labelled[name], np.where(has, score, np.inf)),
                (self.just_missed[name], missed),
            ]
        if entropy is not None:
            offers.append((self.least_sure, -entropy))
        wanted = [(ranking, keys, ranking.wanted(keys)) for ranking, keys in offers]
        numbers = sorted({row for _, _, some in wanted for row in some})
        made = dict(zip(numbers, _examples(file, numbers, scores, flags, rows, entropy=entropy), strict=True))
        for ranking, keys, some in wanted:
            for row in some:
                ranking.offer(float(keys[row]), made[row])


def strengths(example: Example, *, of: str | None, most: int = 4) -> Mapping[str, float]:
    """Give the intensities worth telling of a text: of its labels, of the emotion it is an example of, the highest."""
    ranked = sorted(zip(EMOTIONS, example.intensities, strict=True), key=lambda item: -item[1])
    first = [item for item in ranked if item[0] == of]
    rest = [item for item in ranked if item[0] != of and (item[0] in example.labels or item[1] >= 0.1)]
    return dict((first + rest)[:most])


def _examples(
    file: str,
    numbers: Sequence[int],
    scores: NDArray[np.float64],
    flags: NDArray[np.bool_],
    rows: Rows,
    *,
    entropy: NDArray[np.float64] | None,
) -> list[Example]:
    made = []
    for row, (identifier, text) in zip(numbers, rows(numbers), strict=True):
        labels = sorted((i for i in np.flatnonzero(flags[row])), key=lambda i: -scores[row, i])
        made.append(
            Example(
                id=identifier,
                text=text[:_KEPT_CHARACTERS],
                characters=len(text),
                file=file,
                intensities=tuple(float(value) for value in scores[row]),
                labels=tuple(EMOTIONS[i] for i in labels),
                entropy=None if entropy is None else float(entropy[row]),
            )
        )
    return made


def _same_text(one: Example, other: Example) -> bool:
    if one.characters != other.characters:
        return False
    return one.text[:_KEY_CHARACTERS].casefold() == other.text[:_KEY_CHARACTERS].casefold()
