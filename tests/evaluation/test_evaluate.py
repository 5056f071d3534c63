"""Promises about evaluating a package, and about the baselines beside it."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score

from eqn.corpus.goemotions import Corpus, load_corpus
from eqn.emotions import EMOTIONS
from eqn.errors import UsageError
from eqn.evaluation.baselines import baseline_evaluations
from eqn.evaluation.card import COMPARED
from eqn.evaluation.evaluate import baseline_figures, evaluate_package
from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork, best_device, fast_precision
from eqn.model.package import Description, Package, load_network, write_package


@pytest.fixture(scope="module")
def untrained_package(tmp_path_factory: pytest.TempPathFactory, readable_corpus: Corpus) -> Package:
    """A package whose thresholds lie within the spread of its scores, each in another place, and in another order."""
    folder = tmp_path_factory.mktemp("packages")
    backbone = load_backbone("tiny", cache=folder, seed=0)
    torch.manual_seed(0)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    network.start_from(torch.linspace(0.2, 0.8, 28))
    thresholds = dict(zip(EMOTIONS, np.linspace(0.2, 0.8, 28).tolist(), strict=True))
    description = Description(
        thresholds={name: thresholds[name] for name in reversed(EMOTIONS)},
        max_tokens=24,
        pooling="mean",
        training_key="f" * 64,
        recipe={"name": "toy"},
        backbone={"name": "tiny", "digest": backbone.digest},
        corpus={"name": "readable", "digest": readable_corpus.ref.digest, "rows": dict(readable_corpus.ref.rows)},
        metrics={},
    )
    return write_package(folder / "model", network, backbone.tokenizer, description, card="")


def test_a_package_is_evaluated_as_it_would_be_by_hand(untrained_package: Package, readable_corpus: Corpus) -> None:
    """Text by text through the network, labels by the emotion's own threshold, figures from scikit-learn."""
    network, tokenizer = load_network(untrained_package)
    device = best_device()
    network.to(device)
    tokenizer.enable_truncation(24)
    scores = []
    with torch.inference_mode(), torch.autocast(device.type, fast_precision(device)):
        for text in readable_corpus.test.texts:
            ids = torch.tensor([tokenizer.encode(text).ids], device=device)
            scores.append(torch.sigmoid(network(ids, torch.ones_like(ids)).float()).cpu().numpy()[0])
    by_hand, gold = np.array(scores), readable_corpus.test.opened().targets()
    labels = by_hand >= np.array([untrained_package.thresholds[name] for name in EMOTIONS])
    assert 0.2 < labels.mean() < 0.8  # the thresholds do divide
    evaluation = evaluate_package(untrained_package, readable_corpus, "test")
    # Padding moves a bfloat16 score by its rounding, and a label with it where the score is close to the threshold.
    assert evaluation.n == 56
    assert evaluation.emotions.macro_f1 == pytest.approx(f1_score(gold, labels, average="macro"), abs=0.02)
    assert evaluation.map == pytest.approx(average_precision_score(gold, by_hand, average="macro"), abs=0.03)
    assert evaluation.brier == pytest.approx(brier_score_loss(gold.ravel(), by_hand.ravel()), abs=1e-3)
    prior = brier_score_loss(gold.ravel(), np.tile(readable_corpus.train.targets().mean(axis=0), 56))
    assert evaluation.brier_skill == pytest.approx(1 - evaluation.brier / prior)


def test_each_emotion_is_held_against_its_own_threshold(untrained_package: Package, readable_corpus: Corpus) -> None:
    """By name, in whatever order eqn.json lists them: where the threshold is out of reach nothing is found."""
    within_reach = {name: number % 3 == 0 for number, name in enumerate(EMOTIONS)}
    thresholds = {name: 0.0 if within_reach[name] else 1.0 for name in sorted(EMOTIONS, key=lambda name: name[::-1])}
    package = dataclasses.replace(untrained_package, thresholds=thresholds)
    figures = evaluate_package(package, readable_corpus, "test").emotions.labels
    assert {name: figures[name].recall == 1 for name in EMOTIONS} == within_reach


def test_a_package_is_evaluated_on_the_split_that_is_asked_for(
    untrained_package: Package, readable_corpus: Corpus
) -> None:
    """Dev is not test, and an unknown split is a wrong call."""
    dev = evaluate_package(untrained_package, readable_corpus, "dev")
    assert [figures.support for figures in dev.emotions.labels.values()] == readable_corpus.dev.targets().sum(
        axis=0
    ).tolist()
    with pytest.raises(UsageError, match="expected a split"):
        evaluate_package(untrained_package, readable_corpus, "validation")


def test_the_same_evaluation_twice_gives_the_same_figures(untrained_package: Package, readable_corpus: Corpus) -> None:
    """To the last digit."""
    first, again = (evaluate_package(untrained_package, readable_corpus, "test") for _ in range(2))
    assert first == again


def test_baselines_are_computed_once_for_a_corpus(tmp_path: Path, readable_corpus: Corpus) -> None:
    """The second time they are read from the cache, which says exactly what was computed."""
    figures = baseline_figures(readable_corpus, cache=tmp_path / "cache")
    assert figures == {name: evaluation.summary() for name, evaluation in baseline_evaluations(readable_corpus).items()}
    (kept,) = (tmp_path / "cache").iterdir()
    assert readable_corpus.ref.digest in kept.name
    assert baseline_figures(readable_corpus, cache=tmp_path / "cache") == figures
    kept.write_text(json.dumps({"from the cache": {"macro_f1": 1.0}}), "utf-8")
    assert list(baseline_figures(readable_corpus, cache=tmp_path / "cache")) == ["from the cache"]


def test_figures_that_an_earlier_eqn_kept_are_computed_anew(tmp_path: Path, readable_corpus: Corpus) -> None:
    """Its third kind lacked the calibration error of equal bins: a table of today would have a gap there."""
    (tmp_path / f"3-{readable_corpus.ref.digest}.json").write_text('{"prior": {"macro_f1": 0.5}}', "utf-8")
    figures = baseline_figures(readable_corpus, cache=tmp_path)
    assert len(figures) == 2
    assert all(set(COMPARED.values()) <= row.keys() for row in figures.values())


def test_another_corpus_has_baselines_of_its_own(tmp_path: Path, readable_corpus: Corpus) -> None:
    """A changed row is another digest, and nothing is taken from the cache of the first."""
    folder = Path(shutil.copytree(readable_corpus.ref.path, tmp_path / "changed"))
    with (folder / "test.tsv").open("a", encoding="utf-8") as file:
        file.write("joy river lamp stone\t17\ttest-56\n")
    first = baseline_figures(readable_corpus, cache=tmp_path / "cache")
    second = baseline_figures(load_corpus(folder), cache=tmp_path / "cache")
    assert [figures["prior"]["n"] for figures in (first, second)] == [56, 57]
    assert len(list((tmp_path / "cache").iterdir())) == 2
