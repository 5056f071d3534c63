"""Checkpoints as the original EQN wrote them, and files that only look so."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eqn.model.backbone import load_backbone


def original_tensors(*, seed: int = 0) -> dict[str, Tensor]:
    """Give an original checkpoint's tensors: the tiny BERT with its pooler, and a regressor whose scores spread."""
    encoder = load_backbone("tiny", cache=Path(), seed=seed, pooler=True).encoder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        regressor = nn.Linear(64, 28)
        nn.init.normal_(regressor.weight, std=1.0)
    tensors = {f"bert.{name}": tensor for name, tensor in encoder.state_dict().items()}
    return tensors | {f"regressor.{name}": tensor for name, tensor in regressor.state_dict().items()}


def write_original(path: Path, tensors: dict[str, Any] | None = None) -> Path:
    """Write a checkpoint with what stands beside its tensors in the original: an optimizer's state, epoch, loss."""
    parameter = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    whole = {
        "epoch": 3,
        "model_state_dict": original_tensors() if tensors is None else tensors,
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": 0.02,
    }
    torch.save(whole, path)
    return path


class Evil:
    """Leaves a canary where somebody unpickles it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)
