"""The running mean of the weights: a network between those that the last steps passed through, and better than each.

Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; with an exponentially falling weight of
older steps, as is usual in deep learning. Costs a copy of the weights, and nothing when the model is used.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Average:
    """The mean of a network's weights over the steps so far; with a decay of 0 it is the network itself."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = network, decay
        self.weights: dict[str, Tensor] = _copy(network) if decay else {}
        """The mean; empty with a decay of 0."""

    def update(self, step: int) -> None:
        """Take in the weights after `step` (0 is the first)."""
        if not self.decay:
            return
        kept = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.weights[name].lerp_(tensor, 1 - kept)

    def copy(self) -> dict[str, Tensor]:
        """Give a copy of the mean."""
        if not self.decay:
            return _copy(self.network)
        return {name: tensor.clone() for name, tensor in self.weights.items()}

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the mean into the network for a while."""
        if not self.decay:
            yield
            return
        trained = _copy(self.network)
        self.network.load_state_dict(self.weights)
        try:
            yield
        finally:
            self.network.load_state_dict(trained)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
