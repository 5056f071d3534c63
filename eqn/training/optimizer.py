"""How weights move: AdamW, its rate at each step, and the share of it that each part of the network gets."""

import torch

from eqn.model.network import EmotionNetwork
from eqn.training.recipes import Recipe


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Give the rate of `step` (0 is the first): linear up over the warm-up, then linear down to its final share."""
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    left = (steps - step) / max(1, steps - warmup)
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * left)


def make_optimizer(network: EmotionNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Give AdamW: decay on matrices only (biases and layer norms are vectors).

    Each group of parameters carries as `rate` its share of the learning rate: more for the head, which is new, and less
    for each layer the deeper it lies where the recipe decays by layer (Howard & Ruder, ULMFiT, 2018, section 3.2).
    """
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = recipe.layer_decay ** _depth(name, network) if name.startswith("encoder.") else recipe.head_rate
        groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": recipe.weight_decay if matrices else 0.0, "rate": rate}
            for (rate, matrices), parameters in groups.items()
        ],
        lr=recipe.learning_rate,
        fused=True,
    )


def _depth(name: str, network: EmotionNetwork) -> int:
    """Give how many layers lie above a parameter of the encoder; the embeddings lie below them all."""
    layers: int = network.encoder.config.num_hidden_layers
    parts = name.split(".")
    if "embeddings" in parts:
        return layers
    return layers - 1 - int(parts[parts.index("layer") + 1]) if "layer" in parts else 0
