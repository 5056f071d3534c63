"""What a network is trained to make small. Outputs and targets are (rows, 28); a loss is the mean over all cells."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from eqn.emotions import EKMAN, INDEX, SENTIMENT
from eqn.training.recipes import Recipe

Objective = Callable[[Tensor, Tensor], Tensor]


def objective(recipe: Recipe) -> Objective:
    """Give the recipe's loss of outputs and targets."""
    losses: dict[str, Objective] = {
        "bce": binary_cross_entropy_with_logits,
        "mse": mse_loss,
        "focal": lambda outputs, targets: focal_loss(outputs, targets, focus=recipe.focus),
        "asymmetric": lambda outputs, targets: asymmetric_loss(outputs, targets, focus=recipe.focus),
    }
    loss = losses[recipe.loss]
    if not recipe.groups:
        return loss
    return lambda outputs, targets: loss(outputs, targets) + recipe.groups * group_loss(outputs, targets)


def focal_loss(outputs: Tensor, targets: Tensor, *, focus: float) -> Tensor:
    """Give binary cross-entropy in which cells that are nearly right count less.

    Each cell is weighted by |target - sigmoid(output)| ** focus (Lin et al., Focal Loss, 2017, eq. 4; for targets
    between 0 and 1: Li et al., Generalized Focal Loss, 2020, eq. 4). With a focus of 0 it is binary cross-entropy.
    """
    cells = binary_cross_entropy_with_logits(outputs, targets, reduction="none")
    far = (targets - torch.sigmoid(outputs)).abs().clamp(min=1e-6)  # a root has no slope at 0
    return (far**focus * cells).mean()


def asymmetric_loss(outputs: Tensor, targets: Tensor, *, focus: float, margin: float = 0.05) -> Tensor:
    """Give binary cross-entropy in which only the absent labels that are nearly right count less.

    An absent label's probability is lowered by `margin`, and its cell weighted by what is left ** focus (Ridnik et
    al., Asymmetric Loss for Multi-Label Classification, 2021, eq. 6, with their focus of 0 on the present ones).
    """
    present = torch.nn.functional.logsigmoid(outputs)
    shifted = (torch.sigmoid(outputs) - margin).clamp(min=0)
    absent = torch.log1p(-shifted.clamp(max=1 - 1e-6))
    return -(targets * present + (1 - targets) * shifted**focus * absent).mean()


def group_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Give the binary cross-entropy of Ekman's groups and of sentiment, (rows, 11), beside that of the emotions.

    A group is there when any of its emotions is: 1 - the product of (1 - p) over its members' probabilities; its
    target is the largest of theirs.
    """
    absent = torch.nn.functional.logsigmoid(-outputs)
    members = [[INDEX[name] for name in names] for names in (*EKMAN.values(), *SENTIMENT.values())]
    nothing = torch.stack([absent[:, columns].sum(dim=1) for columns in members], dim=1)
    wanted = torch.stack([targets[:, columns].amax(dim=1) for columns in members], dim=1)
    present = torch.log(-torch.expm1(nothing.clamp(max=-1e-30)))
    return -(wanted * present + (1 - wanted) * nothing).mean()


def disagreement(one: Tensor, other: Tensor) -> Tensor:
    """Give the mean symmetric Kullback-Leibler divergence of two outputs' Bernoulli distributions, at least 0.

    The regulariser of R-Drop (Liang et al., R-Drop: Regularized Dropout for Neural Networks, 2021, eq. 2).
    """
    return ((torch.sigmoid(one) - torch.sigmoid(other)) * (one - other)).mean() / 2
