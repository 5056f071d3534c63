"""Two profiles beside each other: what moved is named, what did not is not, and few rows need more to count."""

from collections.abc import Sequence

import numpy as np
import pytest

from eqn.drift.compare import PROPERTIES, Side, compare
from eqn.drift.profile import Profile, Profiler
from eqn.emotions import EMOTIONS, INDEX
from eqn.records import DriftMeasure
from eqn.settings import DriftLimits, DriftPolicy

WORDS = [f"word{number}" for number in range(40)]
POLICY = DriftPolicy()


def some_texts(rows: int, *, seed: int, words: Sequence[str] = WORDS, length: int = 10) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(words, size=generator.poisson(length) + 1)) for _ in range(rows)]


def profile_of(texts: Sequence[str], *, seed: int, anger: float = 0.1, model: str = "model") -> Profile:
    generator = np.random.default_rng(seed)
    scores = generator.beta(0.2, 4, size=(len(texts), len(EMOTIONS))).astype(np.float32)
    angry = generator.uniform(size=len(texts)) < anger
    scores[angry, INDEX["anger"]] = 0.9
    profiler = Profiler()
    profiler.add([str(row) for row in range(len(texts))], texts, scores, [["anger"] * bool(one) for one in angry])
    return profiler.finish(model)


def measures(now: Profile, before: Profile, policy: DriftPolicy = POLICY) -> dict[str, DriftMeasure]:
    return {measure.name: measure for measure in compare(Side(now), Side(before), policy)}


def breached(now: Profile, before: Profile) -> set[str]:
    return {name for name, measure in measures(now, before).items() if measure.breached}


@pytest.mark.parametrize(("rows", "others"), [(100, 100), (500, 500), (500, 3000)])
def test_equal_distributions_raise_no_alarm(rows: int, others: int) -> None:
    """Whatever the numbers of rows, in twenty trials of each."""
    for seed in range(20):
        now = profile_of(some_texts(rows, seed=seed), seed=seed)
        before = profile_of(some_texts(others, seed=seed + 100), seed=seed + 100)

        assert breached(now, before) == set()


def test_every_property_is_measured_in_one_order() -> None:
    """28 emotions, then length, vocabulary and embedding, each 0 between equal sides."""
    profile = profile_of(some_texts(200, seed=0), seed=0)
    states = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)

    found = compare(Side(profile, states), Side(profile, states), POLICY)

    assert tuple(measure.name for measure in found) == PROPERTIES
    assert [round(measure.value, 6) for measure in found] == [0] * len(PROPERTIES)


def test_an_emotion_that_became_frequent_is_named_with_its_figures() -> None:
    """And no other property."""
    now = profile_of(some_texts(2000, seed=1), seed=1, anger=0.4)
    before = profile_of(some_texts(2000, seed=2), seed=2)

    assert breached(now, before) == {"anger"}
    shares = [one.intensities.labelled[INDEX["anger"]] / 2000 for one in (now, before)]
    assert f"a label of {shares[0]:.1%} of the texts, before {shares[1]:.1%}" in measures(now, before)["anger"].detail


def test_longer_texts_and_other_words_are_named() -> None:
    """Each by itself, the words with those that came and went."""
    before = profile_of(some_texts(800, seed=3), seed=3)
    longer = profile_of(some_texts(800, seed=4, length=30), seed=4)
    other = profile_of(some_texts(800, seed=5, words=[*WORDS[5:], "virus", "mask", "<b>", "lockdown", "curve"]), seed=5)

    assert breached(longer, before) == {"text length"}
    assert breached(other, before) == {"vocabulary"}
    detail = measures(other, before)["vocabulary"].detail
    more, less = detail.split("; ")
    assert more.startswith("more often: ")
    assert {"virus", "mask", "b", "lockdown", "curve"} <= set(more.removeprefix("more often: ").split(", "))
    assert set(less.removeprefix("less often: ").split(", ")) >= set(WORDS[:5])


def test_few_rows_need_a_larger_distance() -> None:
    """The limit is the policy's, or what chance gives where that is more."""
    few, many = (
        measures(profile_of(some_texts(rows, seed=6), seed=6), profile_of(some_texts(rows, seed=7), seed=7))
        for rows in (100, 20_000)
    )

    assert few["joy"].threshold > 0.15
    assert many["joy"].threshold == POLICY.limits.intensity
    assert many["vocabulary"].threshold == POLICY.limits.vocabulary


def test_the_policy_s_limits_are_obeyed() -> None:
    """A limit of 1 is never exceeded, not even by strangers."""
    now = profile_of(some_texts(500, seed=8, words=["quite", "other"]), seed=8, anger=1)
    before = profile_of(some_texts(500, seed=9), seed=9, anger=0)
    deaf = DriftPolicy(limits=DriftLimits(intensity=1, text_length=1, vocabulary=1, embedding=1))

    assert {"anger", "vocabulary"} <= breached(now, before)
    assert not any(measure.breached for measure in measures(now, before, deaf).values())


def test_intensities_of_two_models_are_not_compared() -> None:
    """They may differ because the models do."""
    texts = some_texts(200, seed=0)

    found = measures(profile_of(texts, seed=0, model="one"), profile_of(texts, seed=0, model="another"))

    assert set(found) == {"text length", "vocabulary"}


def test_texts_without_words_have_a_vocabulary_of_nothing() -> None:
    """It is all the same, or all different."""
    signs, words = (profile_of(texts, seed=0) for texts in (["?!"] * 200, some_texts(200, seed=0)))

    assert measures(signs, signs)["vocabulary"].value == 0
    assert measures(signs, words)["vocabulary"].value == 1
    assert "vocabulary" in breached(words, signs)


def test_embeddings_that_a_classifier_tells_apart_are_drift() -> None:
    """The share of pairs that it tells apart is said in words."""
    profile = profile_of(some_texts(200, seed=0), seed=0)
    states = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)

    *_, embedding = compare(Side(profile, states[:200] + 3), Side(profile, states[200:]), POLICY)

    assert embedding.breached
    assert embedding.detail == "of a text from each, a classifier tells which is which 100 times in 100"
