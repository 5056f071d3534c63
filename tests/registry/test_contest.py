"""A candidate beside the champion, with real small networks, on a corpus of sixty rows."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from eqn.corpus.choice import choose_corpus
from eqn.corpus.goemotions import Corpus, Split
from eqn.emotions import EMOTIONS
from eqn.errors import UsageError
from eqn.evaluation.evaluate import evaluate_package
from eqn.model.package import read_package
from eqn.records import Gain, ModelRef
from eqn.registry import tracking
from eqn.registry.champions import set_champion
from eqn.registry.contest import figures_of, hold_contest
from eqn.registry.promotion import promote
from eqn.registry.versions import list_versions, register
from eqn.settings import Settings
from eqn.training.recipes import recipe_named
from eqn.training.run import Order, train


def first_rows(split: Split, rows: int) -> Split:
    """Give the first rows of a split."""
    return Split(split.name, split.ids[:rows], split.texts[:rows], split.labels[:rows])


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """The embedded sample's first rows."""
    whole = choose_corpus(None)
    return Corpus(whole.ref, *(first_rows(split, 60) for split in (whole.train, whole.dev, whole.test)))


@pytest.fixture(scope="module")
def packages(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A model that was trained for five steps, and the same one with other thresholds."""
    folder = tmp_path_factory.mktemp("models")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = recipe_named("plain", epochs=1, least_steps=5, learning_rate=1e-2, checks=1)
    order = Order(corpus=corpus, recipe=recipe, backbone="tiny", seed=0, out=folder / "first", backbones=folder)
    first = train(order).path
    torch.set_num_threads(threads)
    second = Path(shutil.copytree(first, folder / "second"))
    facts = json.loads((first / "eqn.json").read_text("utf-8"))
    # Half of the emotions are called for every row: for some that is better, for some worse.
    facts["thresholds"] |= dict.fromkeys(EMOTIONS[::2], 0.0)
    (second / "eqn.json").write_text(json.dumps(facts), "utf-8")
    return [first, second]


@pytest.fixture
def pair(settings: Settings, packages: list[Path]) -> Settings:
    """Both models registered; the first one is champion."""
    for path in packages:
        with tracking.run(settings, "training") as run:
            register(path, run.id, settings, validation_passed=True)
    set_champion(1, settings)
    return settings


def test_both_are_measured_on_the_same_dev_rows(pair: Settings, packages: list[Path], corpus: Corpus) -> None:
    """The figures are those of the evaluation on dev; a gain is the difference of two of them, inside its interval."""
    contest = hold_contest(None, pair, corpus)

    theirs, ours = (evaluate_package(read_package(path), corpus, "dev") for path in packages)
    assert (contest.candidate, contest.champion, contest.rows) == (2, 1, 60)
    assert (contest.corpus, contest.corpus_digest) == (corpus.ref.name, corpus.ref.digest)
    assert contest.candidate_figures == ours.summary()
    assert contest.champion_figures == theirs.summary()
    assert contest.candidate_figures != contest.champion_figures
    for name, gain in contest.gains.items():
        assert math.isclose(gain.value, ours.summary()[name] - theirs.summary()[name], abs_tol=1e-6)
        assert gain.low <= gain.value <= gain.high
    assert contest.gains["macro_f1"].low < contest.gains["macro_f1"].high
    assert contest.gains["map"] == Gain(0.0, 0.0, 0.0)  # thresholds do not touch it


def test_every_emotion_is_compared_the_largest_gain_first(pair: Settings, packages: list[Path], corpus: Corpus) -> None:
    """28 rows, each with the rows that carry it and both F1."""
    contest = hold_contest(2, pair, corpus)

    theirs, ours = (evaluate_package(read_package(path), corpus, "dev").emotions.labels for path in packages)
    assert {emotion.emotion for emotion in contest.emotions} == set(EMOTIONS)
    gains = [emotion.gain for emotion in contest.emotions]
    assert gains == sorted(gains, reverse=True)
    for emotion in contest.emotions:
        assert (emotion.candidate, emotion.champion) == (ours[emotion.emotion].f1, theirs[emotion.emotion].f1)
        assert emotion.rows == ours[emotion.emotion].support


def test_without_a_champion_the_candidate_stands_alone(
    settings: Settings, packages: list[Path], corpus: Corpus
) -> None:
    """So does the champion itself; there is nothing to subtract. Nothing registered: what to run is told."""
    with pytest.raises(UsageError, match="eqn train"):
        hold_contest(None, settings, corpus)
    with tracking.run(settings, "training") as run:
        register(packages[0], run.id, settings, validation_passed=True)

    for champion in (None, 1):
        if champion:
            set_champion(champion, settings)
        contest = hold_contest(1, settings, corpus)
        assert (contest.candidate, contest.champion) == (1, None)
        assert contest.candidate_figures["n"] == 60
        assert (contest.champion_figures, contest.gains, contest.emotions) == ({}, {}, ())


def test_a_contest_decides_nothing(pair: Settings, corpus: Corpus) -> None:
    """Looking is free."""
    before = list_versions(pair)
    hold_contest(2, pair, corpus)

    assert list_versions(pair) == before


def test_the_policy_judges_by_the_contests_figures(pair: Settings, corpus: Corpus) -> None:
    """What was measured for the comparison is not measured again; another version is measured anew."""
    contest = hold_contest(2, pair, corpus)
    told = dataclasses.replace(contest, candidate_figures={"macro_f1": 0.75})
    measure = figures_of(told, corpus)

    assert measure(ModelRef("nowhere", "", "eqn", 2)) == {"macro_f1": 0.75}
    assert measure(ModelRef("nowhere", "", "eqn", 1)) == contest.champion_figures
    (row,) = (row for row in list_versions(pair) if row.version == 2)
    anew = measure(ModelRef(str(pair.models / row.digest), row.digest, "eqn", 7))
    assert np.isclose(anew["macro_f1"], contest.candidate_figures["macro_f1"])
    assert promote(2, pair, dev_metrics_of=measure, measured_on=corpus.ref.digest).candidate == 2
