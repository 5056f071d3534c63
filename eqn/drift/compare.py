"""Two profiles beside each other: one distance for each property, and from where on it counts as drift."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eqn.drift.distances import (
    LEAST_EXPECTED,
    jensen_shannon,
    merged_bins,
    noise_of_counts,
    noise_of_separability,
    separability,
)
from eqn.drift.profile import Intensities, Profile
from eqn.drift.vocabulary import shared_words
from eqn.emotions import EMOTIONS
from eqn.records import DriftMeasure
from eqn.settings import DriftPolicy

TEXT_LENGTH = "text length"
VOCABULARY = "vocabulary"
EMBEDDING = "embedding"
PROPERTIES = (*EMOTIONS, TEXT_LENGTH, VOCABULARY, EMBEDDING)
"""Names of all measures."""

_JENSEN_SHANNON = "Jensen-Shannon distance"
_SEPARABILITY = "separability"
_MOST_WORDS = 500
_NAMED_WORDS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """One of two things that are compared."""

    profile: Profile
    embeddings: NDArray[np.float32] | None = None
    """(texts, width) of the profile's sample, by the same model as the other side's; None where there is none."""


def compare(now: Side, before: Side, policy: DriftPolicy) -> tuple[DriftMeasure, ...]:
    """Measure how far `now` is from `before`, in the order of PROPERTIES; what only one side has is left out.

    Intensities are compared where one model found both. No profile may be empty.
    """
    chance = policy.false_alarms / len(PROPERTIES)  # Bonferroni's: together they raise no more false alarms than stated
    new, old, limits = now.profile, before.profile, policy.limits
    measures: list[DriftMeasure] = []
    if new.intensities.model and new.intensities.model == old.intensities.model:
        measures += _intensities(new.intensities, old.intensities, limit=limits.intensity, chance=chance)
    lengths = _distance(new.lengths, old.lengths, limit=limits.text_length, chance=chance)
    measures.append(DriftMeasure(TEXT_LENGTH, _JENSEN_SHANNON, *lengths, _length_detail(new, old)))
    measures.append(_vocabulary(new, old, limit=limits.vocabulary, chance=chance))
    if now.embeddings is not None and before.embeddings is not None:
        measures.append(_embedding(now.embeddings, before.embeddings, limit=limits.embedding, chance=chance))
    return tuple(measures)


def _distance(new: Sequence[int], old: Sequence[int], *, limit: float, chance: float) -> tuple[float, float]:
    """Give the distance between two histograms, and from where on it counts."""
    new, old = merged_bins(new, old)
    return jensen_shannon(new, old), max(limit, noise_of_counts(new, old, beyond=chance))


def _intensities(new: Intensities, old: Intensities, *, limit: float, chance: float) -> list[DriftMeasure]:
    measures = []
    for place, name in enumerate(EMOTIONS):
        distance = _distance(new.histogram[place], old.histogram[place], limit=limit, chance=chance)
        measures.append(DriftMeasure(name, _JENSEN_SHANNON, *distance, _intensity_detail(place, new, old)))
    return measures


def _intensity_detail(place: int, new: Intensities, old: Intensities) -> str:
    return (
        f"mean {new.total[place] / new.rows:.3f}, before {old.total[place] / old.rows:.3f}; "
        f"a label of {new.labelled[place] / new.rows:.1%} of the texts, before {old.labelled[place] / old.rows:.1%}"
    )


def _length_detail(new: Profile, old: Profile) -> str:
    return f"mean {new.characters / new.rows:.0f} characters, before {old.characters / old.rows:.0f}"


def _vocabulary(new: Profile, old: Profile, *, limit: float, chance: float) -> DriftMeasure:
    if not (new.words_in_all and old.words_in_all):  # texts of nothing but signs
        return DriftMeasure(VOCABULARY, _JENSEN_SHANNON, float(new.words_in_all != old.words_in_all), limit)
    shares = [{word: count / side.words_in_all for word, count in side.words.items()} for side in (new, old)]
    least = 2 * LEAST_EXPECTED / min(new.words_in_all, old.words_in_all)
    names = shared_words(*shares, least=least, most=_MOST_WORDS)
    first, second = (_counts(names, side) for side in (new, old))
    threshold = max(limit, noise_of_counts(first, second, beyond=chance))
    detail = _words_detail(names, first, second)
    return DriftMeasure(VOCABULARY, _JENSEN_SHANNON, jensen_shannon(first, second), threshold, detail)


def _counts(names: Sequence[str], side: Profile) -> list[int]:
    """Give in how many texts each of these words stands, and at the end the sum of all others."""
    counts = [side.words.get(word, 0) for word in names]
    return [*counts, side.words_in_all - sum(counts)]


def _words_detail(names: Sequence[str], first: Sequence[int], second: Sequence[int]) -> str:
    """Name the words that contribute most to the distance."""
    new, old = (np.array(counts[:-1]) / sum(counts) for counts in (first, second))
    middle = (new + old) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        contribution = sum(np.where(share > 0, share * np.log2(share / middle), 0.0) for share in (new, old))
    order = np.argsort(-np.asarray(contribution), kind="stable").tolist()
    more = [names[place] for place in order if new[place] > old[place]][:_NAMED_WORDS]
    less = [names[place] for place in order if new[place] < old[place]][:_NAMED_WORDS]
    said = [f"more often: {', '.join(more)}"] * bool(more) + [f"less often: {', '.join(less)}"] * bool(less)
    return "; ".join(said)


def _embedding(new: NDArray[np.float32], old: NDArray[np.float32], *, limit: float, chance: float) -> DriftMeasure:
    value = separability(new, old)
    threshold = max(limit, noise_of_separability(len(new), len(old), beyond=chance))
    detail = f"of a text from each, a classifier tells which is which {50 * (1 + value):.0f} times in 100"
    return DriftMeasure(EMBEDDING, _SEPARABILITY, value, threshold, detail)
