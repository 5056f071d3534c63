"""Promises about heads that start from the emotions' names."""

from pathlib import Path

import pytest
import torch

from eqn.emotions import EMOTIONS, MEANINGS
from eqn.model.backbone import Backbone, load_backbone
from eqn.model.network import EmotionNetwork, Pooling
from eqn.training.prototypes import embeddings, start_from_names

TEXTS = [f"a text of {name}, number {number}" for number, name in enumerate(EMOTIONS)]


@pytest.fixture(params=["mean", "cls", "pooler"])
def pooling(request: pytest.FixtureRequest) -> Pooling:
    way: Pooling = request.param
    return way


@pytest.fixture
def backbone(tmp_path: Path, pooling: Pooling) -> Backbone:
    return load_backbone("tiny", cache=tmp_path, seed=0, pooler=pooling == "pooler")


@pytest.fixture
def network(backbone: Backbone, pooling: Pooling) -> EmotionNetwork:
    torch.manual_seed(0)
    return EmotionNetwork(backbone.encoder, pooling=pooling, dropout=0.5)


def _one_by_one(network: EmotionNetwork, backbone: Backbone, texts: list[str], *, max_tokens: int) -> torch.Tensor:
    """Give what the head is given of each text, seen by a hook on the head."""
    backbone.tokenizer.enable_truncation(max_tokens)
    seen: list[torch.Tensor] = []
    network.eval()
    with network.head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0])), torch.no_grad():
        for text in texts:
            ids = torch.tensor([backbone.tokenizer.encode(text).ids])
            network(ids, torch.ones_like(ids))
    return torch.stack(seen)


def test_an_embedding_is_what_the_head_is_given(network: EmotionNetwork, backbone: Backbone) -> None:
    """Text by text without padding and dropout; truncated as the model reads; training goes on afterwards."""
    network.train()
    found = embeddings(network, backbone.tokenizer, TEXTS, 16)
    assert network.training
    torch.testing.assert_close(found, _one_by_one(network, backbone, TEXTS, max_tokens=16), rtol=1e-4, atol=1e-5)
    assert (found - _one_by_one(network, backbone, TEXTS, max_tokens=64)).abs().max() > 5e-4


def test_each_row_points_from_all_names_to_its_own(network: EmotionNetwork, backbone: Backbone) -> None:
    """By hand from three phrases of each emotion; every row is as long as the recipe says."""
    start_from_names(network, backbone.tokenizer, TEXTS, length=0.7, max_tokens=64)
    phrases = [(name, f"{name}: {MEANINGS[name]}", f"I feel {name}.") for name in EMOTIONS]
    means = torch.stack([_one_by_one(network, backbone, list(three), max_tokens=64).mean(dim=0) for three in phrases])
    directions = means - means.mean(dim=0)
    expected = 0.7 * directions / directions.norm(dim=1, keepdim=True)
    torch.testing.assert_close(network.head.weight.detach(), expected, rtol=1e-3, atol=1e-4)
    assert network.head.weight.requires_grad


def test_the_mean_answer_on_usual_texts_stays_the_prior(network: EmotionNetwork, backbone: Backbone) -> None:
    """The bias takes back what the rows say of any text: the mean output is the prior's, the outputs differ."""
    prior = torch.linspace(0.02, 0.5, 28)
    network.start_from(prior)
    start_from_names(network, backbone.tokenizer, TEXTS, length=5.0, max_tokens=64)
    with torch.no_grad():
        outputs = network.head(_one_by_one(network, backbone, TEXTS, max_tokens=64))
    torch.testing.assert_close(outputs.mean(dim=0), torch.logit(prior), rtol=1e-3, atol=1e-2)
    assert outputs.std(dim=0).min() > 0
