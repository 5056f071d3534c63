"""Promises about the optimizer: the rate at each step, and what each part of the network gets of it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import get_linear_schedule_with_warmup

from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork
from eqn.training.optimizer import learning_rate, make_optimizer
from eqn.training.recipes import EQN, PAPER, PLAIN, Recipe

RECIPE = Recipe(name="toy", learning_rate=1e-3)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> EmotionNetwork:
    """Two layers, with BERT's own pooling layer."""
    backbone = load_backbone("tiny", cache=tmp_path_factory.mktemp("nothing"), seed=0, pooler=True)
    return EmotionNetwork(backbone.encoder, pooling="pooler", dropout=0.0)


def test_the_learning_rate_goes_up_to_its_peak_and_down_to_nothing() -> None:
    """Ten steps, two of them to warm up, by hand; after the last one it would be 0."""
    recipe = dataclasses.replace(RECIPE, learning_rate=8.0, warmup=0.2)
    assert [learning_rate(step, 10, recipe) for step in range(11)] == [4, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_the_learning_rate_goes_down_to_its_final_share() -> None:
    """The same with a quarter at the end: the way from 8 down to 2 in eight equal steps."""
    recipe = dataclasses.replace(RECIPE, learning_rate=8.0, warmup=0.2, final_rate=0.25)
    expected = [4, 8, 8, 7.25, 6.5, 5.75, 5, 4.25, 3.5, 2.75, 2]
    assert [learning_rate(step, 10, recipe) for step in range(11)] == expected
    constant = dataclasses.replace(recipe, final_rate=1.0)
    assert [learning_rate(step, 10, constant) for step in range(11)] == [4, *[8] * 10]


def _rates(recipe: Recipe, steps: int) -> list[float]:
    return [learning_rate(step, steps, recipe) for step in range(steps)]


@pytest.mark.parametrize("steps", [1, 7, 8_140])
def test_without_a_warm_up_the_rate_falls_linearly_as_transformers_has_it(steps: int) -> None:
    """`paper`'s rates, step by step, are those of `get_linear_schedule_with_warmup` without a warm-up."""
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=PAPER.learning_rate)
    schedule = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=0, num_training_steps=steps)
    expected = []
    for _ in range(steps):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert _rates(PAPER, steps) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("recipe", [EQN, PLAIN])
def test_our_own_recipes_warm_up_over_a_tenth(recipe: Recipe) -> None:
    """GoEmotions' 1,358 steps: up to the peak in 136 equal steps, then down to 0 in 1,222."""
    up = [2e-4 * step / 136 for step in range(1, 137)]
    down = [2e-4 * left / 1222 for left in range(1222, 0, -1)]
    assert _rates(recipe, 1358) == pytest.approx(up + down, rel=1e-9)


@settings(deadline=None)
@given(steps=st.integers(1, 500), warmup=st.floats(0, 1), final=st.floats(0, 1))
def test_every_step_learns_and_none_above_the_peak(steps: int, warmup: float, final: float) -> None:
    """Whatever the warm-up and the end: rates are above 0, rise, reach the peak exactly, and fall evenly to the end."""
    recipe = dataclasses.replace(RECIPE, learning_rate=1.0, warmup=warmup, final_rate=final)
    rates = np.array(_rates(recipe, steps))
    assert rates.min() > 0
    assert rates.max() == pytest.approx(1)
    peak = int(np.flatnonzero(rates == rates.max())[0])
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) <= 1e-12).all()
    left = max(1, steps - round(warmup * steps))
    assert warmup == 1 or rates[-1] <= final + (1 - final) / left + 1e-12
    if round(warmup * steps) < steps:
        assert learning_rate(steps, steps, recipe) == pytest.approx(final, abs=1e-12)


def _groups(network: EmotionNetwork, recipe: Recipe) -> dict[str, dict[str, float]]:
    """Give each parameter's group of the optimizer, once it is certain that it has one and only one."""
    optimizer = make_optimizer(network, recipe)
    grouped = [(id(parameter), group) for group in optimizer.param_groups for parameter in group["params"]]
    parameters = {id(parameter): name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert sorted(parameters) == sorted(identity for identity, _ in grouped)
    return {parameters[identity]: group for identity, group in grouped}


@settings(deadline=None, max_examples=20)
@given(
    layer_decay=st.floats(0.1, 1),
    head_rate=st.sampled_from([0.5, 1.0, 10.0]),
    weight_decay=st.sampled_from([0.0, 0.1]),
)
def test_every_parameter_is_in_one_group_with_the_rate_of_its_depth(
    network: EmotionNetwork, layer_decay: float, head_rate: float, weight_decay: float
) -> None:
    """Also where groups fall together.

    The upper layer and the pooling layer above it have the whole rate, the lower one a share, the embeddings below it
    that share of the share. Biases and norms are not decayed.
    """
    recipe = dataclasses.replace(RECIPE, layer_decay=layer_decay, head_rate=head_rate, weight_decay=weight_decay)
    groups = _groups(network, recipe)
    depths = {"encoder.embeddings.": 2, "encoder.encoder.layer.0.": 1, "encoder.encoder.layer.1.": 0,
              "encoder.pooler.": 0}  # fmt: skip
    seen = set()
    for name, group in groups.items():
        starts = [start for start in (*depths, "head.") if name.startswith(start)]
        assert len(starts) == 1, name
        seen.add(starts[0])
        rate = head_rate if name.startswith("head.") else layer_decay ** depths[starts[0]]
        assert group["rate"] == pytest.approx(rate), name
        assert group["weight_decay"] == (0.0 if name.endswith("bias") or "LayerNorm" in name else weight_decay), name
    assert seen == {*depths, "head."}


def test_without_decay_by_layer_there_are_four_groups(network: EmotionNetwork) -> None:
    """Encoder and head, matrices and vectors: as many as there are kinds."""
    recipe = dataclasses.replace(RECIPE, weight_decay=0.5, head_rate=10.0)
    kinds = {(group["rate"], group["weight_decay"]) for group in _groups(network, recipe).values()}
    assert kinds == {(1.0, 0.5), (1.0, 0.0), (10.0, 0.5), (10.0, 0.0)}
    assert len(make_optimizer(network, recipe).param_groups) == 4


def test_what_stays_as_it_is_is_in_no_group(tmp_path: Path) -> None:
    """Frozen word embeddings: neither moved nor decayed; everything else is, as before."""
    backbone = load_backbone("tiny", cache=tmp_path, seed=0)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    whole = _groups(network, RECIPE)
    network.encoder.embeddings.word_embeddings.weight.requires_grad_(requires_grad=False)
    frozen = whole.keys() - _groups(network, RECIPE).keys()
    assert frozen == {"encoder.embeddings.word_embeddings.weight"}


def test_twelve_layers_are_counted_by_their_numbers(tmp_path: Path) -> None:
    """Layer 10 lies above layer 9: depths are numbers, not words."""
    backbone = load_backbone("tiny", cache=tmp_path, seed=0)
    config = backbone.encoder.config.to_dict() | {"num_hidden_layers": 12}
    encoder = type(backbone.encoder)(type(backbone.encoder.config)(**config), add_pooling_layer=False)
    network = EmotionNetwork(encoder, pooling="mean", dropout=0.0)
    groups = _groups(network, dataclasses.replace(RECIPE, layer_decay=0.5))
    rates = [groups[f"encoder.encoder.layer.{layer}.output.dense.weight"]["rate"] for layer in range(12)]
    assert rates == [0.5 ** (11 - layer) for layer in range(12)]
    assert groups["encoder.embeddings.word_embeddings.weight"]["rate"] == 0.5**12
