"""A network and packed texts to ask it, for the tests of packed networks and of their layers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork, Output, Pooling
from eqn.model.packed import PackedNetwork
from eqn.model.packing import packed_blocks

IDS = [
    np.random.default_rng(row).integers(5, 90, length).tolist()
    for row, length in enumerate((1, 2, 3, 3, 7, 8, 8, 8, 9, 20, 20, 31, 32, 33, 64, 100, 127, 128))
]
"""Texts of one token to as many as the tiny backbone reads."""


def spread_network(folder: Path, pooling: Pooling = "mean", output: Output = "sigmoid") -> EmotionNetwork:
    """Make an untrained network whose scores spread, and whose layers do more than pass on what they are given."""
    encoder = load_backbone("tiny", cache=folder, seed=0, pooler=pooling == "pooler").encoder
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = EmotionNetwork(encoder, pooling=pooling, dropout=0.1, output=output)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.add_(torch.randn(parameter.shape) * 0.1)
            elif "LayerNorm" not in name and parameter.ndim == 2:
                parameter.mul_(3)
    return network.eval()


def answers(packed: PackedNetwork, ids: Sequence[Sequence[int]], tokens: int = 1024) -> NDArray[np.float32]:
    """Give the intensities in the order of the texts."""
    scores = np.full((len(ids), 28), np.nan, dtype=np.float32)
    for block in packed_blocks(ids, tokens=tokens):
        scores[block.rows] = packed.intensities(block).numpy()
    return scores
