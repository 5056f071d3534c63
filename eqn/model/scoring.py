"""Texts to 28 intensities, in input order, with one batch plan."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eqn.emotions import EMOTIONS
from eqn.model.batching import BatchPlan, sorted_batches
from eqn.model.encoding import Encoded, encode, padded
from eqn.model.network import EmotionNetwork

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PLAN = BatchPlan()


class Scorer:
    """Scores texts with a network that stays in evaluation mode while it does."""

    def __init__(
        self,
        network: EmotionNetwork,
        tokenizer: "Tokenizer",
        *,
        max_tokens: int,
        precision: torch.dtype,
        plan: BatchPlan = PLAN,
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.precision = precision
        self.plan = plan
        self.device = next(network.parameters()).device

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts as this model reads them."""
        return encode(self.tokenizer, texts, self.max_tokens)

    def scores(self, encoded: Encoded, *, report: Callable[[int, int], None] | None = None) -> NDArray[np.float32]:
        """Give the intensities, (texts, 28) in [0, 1]; `report(texts, tokens)` hears of each finished batch.

        Raises:
            FloatingPointError: the network gave something that is no number.

        """
        return self._computed(encoded, self.network.intensities, report)

    def outputs(self, encoded: Encoded) -> NDArray[np.float32]:
        """Give the head's outputs as they are, (texts, 28); raises what `scores` raises."""
        return self._computed(encoded, lambda outputs: outputs, None)

    def _computed(
        self, encoded: Encoded, finish: Callable[[Tensor], Tensor], report: Callable[[int, int], None] | None
    ) -> NDArray[np.float32]:
        scores = np.empty((len(encoded.ids), len(EMOTIONS)), dtype=np.float32)
        pad = self.network.encoder.config.pad_token_id or 0
        with self._evaluating():
            for batch in sorted_batches(encoded.lengths(), self.plan):
                ids, mask = padded([encoded.ids[row] for row in batch], pad=pad, device=self.device)
                scores[batch] = finish(self.network(ids, mask).float()).cpu().numpy()
                if report:
                    report(len(batch), sum(len(encoded.ids[row]) for row in batch))
        if not np.isfinite(scores).all():
            raise FloatingPointError("the network gave scores that are no numbers")
        return scores

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = self.network.training
        self.network.eval()
        try:
            with torch.inference_mode(), autocast(self.device, self.precision):
                yield
        finally:
            self.network.train(training)


def autocast(device: torch.device, precision: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """Give the context in which matrix products run in `precision`; nothing changes for float32."""
    return torch.autocast(device.type, dtype=precision, enabled=precision is not torch.float32)
