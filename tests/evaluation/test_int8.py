"""Promises about the judgement on 8-bit products: refused for what is certain, not for noise."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from eqn.corpus.choice import choose_corpus
from eqn.corpus.goemotions import Split
from eqn.evaluation import int8
from eqn.evaluation.int8 import LARGEST_LOSS, LARGEST_MEAN_CHANGE, int8_facts, judged
from eqn.model.backbone import Backbone, load_backbone
from eqn.model.int8_layers import int8_fault, product_names
from eqn.model.network import EmotionNetwork

THRESHOLDS = np.full(28, 0.5)

needs_int8 = pytest.mark.skipif(bool(int8_fault()), reason=f"NOT RUN: {int8_fault()}")


@pytest.fixture
def gold() -> NDArray[np.float32]:
    """Labels of 600 rows, about three each."""
    return (np.random.default_rng(0).random((600, 28)) < 0.1).astype(np.float32)


@pytest.fixture
def exact(gold: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of a good model, which stay away from the threshold by 0.005."""
    noise = np.random.default_rng(1).normal(0, 0.2, gold.shape)
    scores = np.clip(0.25 + 0.5 * gold + noise, 0.02, 0.98)
    return np.where(scores < 0.5, np.minimum(scores, 0.495), np.maximum(scores, 0.505)).astype(np.float32)


def test_noise_is_accepted_and_what_it_does_is_told(gold: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
    """Changes that carry nothing over a threshold: no loss, and the mean change as computed by hand."""
    change = np.random.default_rng(2).uniform(-0.004, 0.004, exact.shape).astype(np.float32)

    facts, refused = judged(gold, exact, exact + change, thresholds=THRESHOLDS)

    assert refused == ""
    assert facts["mean_change"] == pytest.approx(np.abs(change).mean(), rel=1e-3)
    assert facts["macro_f1_loss"] == 0
    assert facts["interval"] == [0, 0]


def test_a_loss_that_may_be_chance_is_accepted(gold: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
    """A few rows that go over the threshold lose something; their interval reaches below the limit."""
    rounded = exact.copy()
    rounded[:3] = np.where(gold[:3] > 0, 0.495, exact[:3])
    rounded[3:6] = np.where(gold[3:6] > 0, 0.995, exact[3:6])

    facts, refused = judged(gold, exact, rounded, thresholds=THRESHOLDS)

    low, high = facts["interval"]
    assert low < LARGEST_LOSS
    assert low < high
    assert refused == ""


def test_scores_that_move_much_are_refused(gold: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
    """Also where no label changes: intensities are what is published."""
    rounded = np.where(exact < 0.5, exact * 0.9, 1 - (1 - exact) * 0.9).astype(np.float32)
    assert ((rounded >= 0.5) == (exact >= 0.5)).all()

    facts, refused = judged(gold, exact, rounded, thresholds=THRESHOLDS)

    assert facts["mean_change"] > LARGEST_MEAN_CHANGE
    assert facts["macro_f1_loss"] == 0
    assert "on average" in refused
    assert f"{facts['mean_change']:.4f}" in refused


def test_a_certain_loss_is_refused(gold: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
    """A tenth of the labels is missed by a hair's breadth: scores hardly move, and macro-F1 falls for certain."""
    missed = (gold > 0) & (exact < 0.7) & (exact >= 0.5)
    near = np.where(missed, np.float32(0.505), exact)
    rounded = np.where(missed, np.float32(0.495), exact)

    facts, refused = judged(gold, near, rounded, thresholds=THRESHOLDS)

    assert facts["mean_change"] < LARGEST_MEAN_CHANGE
    assert facts["interval"][0] >= LARGEST_LOSS
    assert "macro-F1 loses at least" in refused


def test_the_same_scores_are_judged_alike(gold: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
    """The draws are the same each time, so that a package's digest is."""
    rounded = exact + np.random.default_rng(3).normal(0, 0.01, exact.shape).astype(np.float32)
    assert judged(gold, exact, rounded, thresholds=THRESHOLDS) == judged(gold, exact, rounded, thresholds=THRESHOLDS)


def some_rows(split: Split) -> Split:
    return Split(split.name, split.ids[:40], split.texts[:40], split.labels[:40])


def facts_of(network: EmotionNetwork, backbone: Backbone) -> dict[str, object]:
    corpus = choose_corpus(None)
    observed = corpus.train.texts[:40]
    return int8_facts(
        network, backbone.tokenizer, observed, some_rows(corpus.dev), thresholds=THRESHOLDS, max_tokens=32
    )


@pytest.fixture
def backbone(tmp_path: Path) -> Backbone:
    torch.set_num_threads(1)
    return load_backbone("tiny", cache=tmp_path, seed=0)


@needs_int8
def test_a_package_is_told_the_ranges_of_all_products(backbone: Backbone) -> None:
    """With what dev said; the network was in training, and answers without dropout."""
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.5).train()

    facts = facts_of(network, backbone)

    assert facts.keys() == {"mean_change", "macro_f1_loss", "interval", "ranges"}
    ranges = facts["ranges"]
    assert isinstance(ranges, dict)
    assert list(ranges) == product_names(2)
    assert all(isinstance(pair, list) and pair[0] < pair[1] for pair in ranges.values())
    assert facts == facts_of(network, backbone)


@needs_int8
def test_a_network_that_8_bits_do_not_suit_brings_no_ranges(backbone: Backbone) -> None:
    """Weights a million times as large as all others, for a state that is always 0, leave one level to the others."""
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    with torch.no_grad():
        network.head.weight.mul_(30)
        for layer in backbone.encoder.encoder.layer:
            layer.attention.output.LayerNorm.weight[0] = 0
            layer.intermediate.dense.weight.mul_(10)
            layer.intermediate.dense.weight[:, 0] = 1e6

    facts = facts_of(network, backbone)

    assert facts.keys() == {"mean_change", "macro_f1_loss", "interval", "refused"}
    assert "scores move by" in str(facts["refused"])


def test_a_machine_that_cannot_compute_so_says_nothing(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is then one that nobody tried it on."""
    monkeypatch.setattr(int8, "int8_fault", lambda: "no instructions")
    assert facts_of(EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0), backbone) == {}
