"""A box such as `eqn.model.boxed` ships, on the tiny backbone."""

import dataclasses
import json
from pathlib import Path

import torch
from torch import Tensor

from eqn.emotions import EMOTIONS
from eqn.model.backbone import load_backbone
from eqn.model.boxed import CARD, DELTA, DESCRIPTION
from eqn.model.delta import make_delta, merge_delta
from eqn.model.network import EmotionNetwork
from eqn.model.package import Description
from eqn.model.weights import write_tensors


@dataclasses.dataclass(frozen=True)
class Boxed:
    """A box, and the tensors that it stands for."""

    folder: Path
    tensors: dict[str, Tensor]


def tiny_box(folder: Path) -> Boxed:
    """Make a box of a network whose head and layers moved."""
    folder.mkdir()
    backbone = load_backbone("tiny", cache=folder, seed=0)
    base = {f"encoder.{name}": tensor.clone() for name, tensor in backbone.encoder.state_dict().items()}
    torch.manual_seed(1)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    tuned = {
        name: tensor if name.endswith("word_embeddings.weight") else tensor + 0.1 * torch.randn(tensor.shape)
        for name, tensor in network.state_dict().items()
    }
    delta = make_delta(base, tuned, rank=4)
    write_tensors(folder / DELTA, delta)
    description = Description(
        thresholds=dict.fromkeys(EMOTIONS, 0.3),
        max_tokens=32,
        pooling="mean",
        training_key="key",
        recipe={"name": "boxed"},
        backbone={"name": "tiny", "digest": backbone.digest},
        corpus={"name": "toy", "digest": "", "rows": {"train": 1, "dev": 1, "test": 1}},
        metrics={"test": {"macro_f1": 0.5}},
    )
    (folder / DESCRIPTION).write_text(json.dumps(dataclasses.asdict(description)), "utf-8")
    (folder / CARD).write_text("# A card\n", "utf-8")
    return Boxed(folder, merge_delta(base, delta))
