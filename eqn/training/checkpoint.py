"""Checkpoints: all that a stage needs to go on after a kill as if nothing had happened. Safetensors, never pickle.

A checkpoint holds the weights, AdamW's moments, the state of the random generator, the weights' running mean, the best
weights so far and the place in the run. It is replaced in one step, so that a kill while writing leaves the one before.
"""

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from eqn.errors import ArtifactRefused
from eqn.model.weights import write_tensors


@dataclasses.dataclass(slots=True)
class Place:
    """Where a stage stands."""

    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    """Checks so far: step, score, loss."""


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    place: Place,
    *,
    average: dict[str, Tensor],
) -> None:
    """Write the state of a stage to `path`, replacing what was there in one step; `average` may be empty."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in state.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    temporary = path.with_name(f".tmp-{path.name}")
    write_tensors(temporary, tensors, {"place": json.dumps(dataclasses.asdict(place))})
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, *, average: dict[str, Tensor]
) -> tuple[Place, dict[str, Tensor]] | None:
    """Bring network, optimizer, running mean and random generators to the state in `path`; None when there is none.

    Gives the place and the best weights.

    Raises:
        ArtifactRefused: the file is not a checkpoint of this network.

    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            place = Place(**json.loads(file.metadata()["place"]))
            groups: dict[str, dict[str, Tensor]] = {
                "network": {}, "best": {}, "average": {}, "optimizer": {}, "random": {},
            }  # fmt: skip
            for key in file.keys():  # noqa: SIM118  a safetensors file is no mapping
                kind, _, name = key.partition(".")
                groups[kind][name] = file.get_tensor(key)
        network.load_state_dict(groups["network"])
        _restore_optimizer(optimizer, groups["optimizer"])
        for name, tensor in average.items():
            tensor.copy_(groups["average"][name])
        torch.set_rng_state(groups["random"]["cpu"])
        if torch.cuda.is_available() and "cuda" in groups["random"]:
            torch.cuda.set_rng_state(groups["random"]["cuda"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ArtifactRefused(
            f"expected the checkpoint of this training in {path}; it does not fit: {error}",
            todo=f"Delete {path.parent} and run again: training starts anew.",
        ) from error
    return place, groups["best"]


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
