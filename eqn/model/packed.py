"""The network made for annotating: the same function of the same weights as `EmotionNetwork`, of packed texts.

What transformers computes on padded rows is computed here on blocks without padding (see `eqn.model.packing`), with the
linear layers of one arithmetic throughout: float32 or bfloat16 (`eqn.model.float_layers`), or 8-bit integers
(`eqn.model.int8_layers`). Nothing is cast to and fro between layers as autocast does, and where the processor's library
can apply GELU to a product before it leaves the cache, it does.

A text's answer does not depend on its neighbours but for the order in which a matrix product sums, which may differ in
the last digits with the number of rows.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from eqn.model.network import EmotionNetwork
from eqn.model.packing import Block, Run

LOG2_E = math.log2(math.e)


class Layer(Protocol):
    """The linear layers of one encoder layer."""

    def projections(self, states: Tensor) -> Tensor:
        """Give queries, keys and values side by side, (tokens, 3 x width), of the states (tokens, width)."""

    def mixed(self, context: Tensor) -> Tensor:
        """Give what attention adds to the states, of the heads' (tokens, width)."""

    def fed(self, states: Tensor) -> Tensor:
        """Give what the feed-forward layer adds to the states."""


class LayerMaker(Protocol):
    """Makes the linear layers of one arithmetic."""

    @property
    def states(self) -> torch.dtype:
        """Give the type of what is between the layers."""

    def __call__(self, number: int, layer: Any, *, query_scale: float) -> Layer:
        """Give encoder layer `number`, a transformers BertLayer, whose queries are multiplied by `query_scale`."""


class PackedNetwork:
    """Answers blocks of packed texts on one device; safe to call from several threads."""

    def __init__(self, network: EmotionNetwork, make_layer: LayerMaker) -> None:
        encoder = network.encoder
        config = encoder.config
        self.device = network.head.weight.device
        self._states = make_layer.states
        self._heads = config.num_attention_heads
        width = config.hidden_size // self._heads
        # Softmax is computed in powers of two, which bfloat16 has a fast kernel for; the change of base is free here.
        self._layers = [
            _EncoderLayer(make_layer(number, layer, query_scale=LOG2_E / math.sqrt(width)), layer, self._states)
            for number, layer in enumerate(encoder.encoder.layer)
        ]
        embeddings = encoder.embeddings
        self._words = embeddings.word_embeddings.weight.detach()
        types = embeddings.token_type_embeddings.weight.detach()
        self._places = embeddings.position_embeddings.weight.detach() + types[0]
        self._norm = _Norm(embeddings.LayerNorm, torch.float32)
        self._pool = _pooling(network)
        self._head = (network.head.weight.detach(), network.head.bias.detach())
        self._intensities = network.intensities

    @torch.inference_mode()
    def intensities(self, block: Block) -> Tensor:
        """Give the intensities of a block's texts, (texts, 28) float32 in [0, 1] on the CPU.

        Raises:
            FloatingPointError: the network gave something that is no number.

        """
        outputs = functional.linear(self._pooled(block), *self._head)
        if not torch.isfinite(outputs).all():
            raise FloatingPointError("the network gave scores that are no numbers")
        return self._intensities(outputs).cpu()

    @torch.inference_mode()
    def pooled(self, block: Block) -> Tensor:
        """Give the vector of each of a block's texts that the head reads, (texts, width) float32 on the CPU."""
        return self._pooled(block).cpu()

    def _pooled(self, block: Block) -> Tensor:
        ids, places = (torch.from_numpy(array).to(self.device) for array in (block.ids, block.places()))
        states = self._norm(functional.embedding(ids, self._words) + functional.embedding(places, self._places))
        states = states.to(self._states)
        for layer in self._layers:
            states = layer(states, lambda projections: attention(projections, block.runs, self._heads))
        return self._pool(states, block.runs)


def attention(projections: Tensor, runs: Sequence[Run], heads: int) -> Tensor:
    """Give the heads' weighted means of the values, (tokens, width), of `projections`, (tokens, 3 x width).

    Texts of a run attend to themselves without a mask. The queries hold the scale and the change of base already.
    """
    width = projections.shape[1] // 3
    context = projections.new_empty(len(projections), width)
    for run in itertools.chain.from_iterable(run.pieces() for run in runs):
        rows = slice(run.start, run.end)
        parts = projections[rows].view(run.texts, run.length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.reshape(3, run.texts * heads, run.length, width // heads)
        into = context[rows].view(run.texts, run.length, heads, width // heads).transpose(1, 2)
        keys = keys.transpose(1, 2)
        if projections.dtype is not torch.bfloat16 or not _weighed(torch.bmm(queries, keys), values, into):
            weights = torch.softmax(torch.bmm(queries, keys).float().div_(LOG2_E), dim=-1)
            into.copy_(torch.bmm(weights.to(values.dtype), values).view(into.shape))
    context[runs[-1].end :] = 0  # what fills the block up is no text, and must be some number
    return context


def _weighed(logits: Tensor, values: Tensor, into: Tensor) -> bool:
    """Put the means of the values, weighted by 2**logits, into the third tensor; False where that cannot be told.

    The largest logit is not taken off first: bfloat16 has the exponents of float32, and its 2**x is fast. Beyond the
    bounds below a sum may overflow without a trace, or is of numbers with too few bits.
    """
    weights = logits.exp2_()
    sums = weights.sum(dim=-1, keepdim=True)
    low, high = sums.aminmax()
    if not (low >= 2.0**-100 and high <= 2.0**120):
        return False
    shares = sums.reciprocal_()
    torch.mul(torch.bmm(weights, values).view(into.shape), shares.view(*into.shape[:-1], 1), out=into)
    return True


class _Norm:
    """A LayerNorm in one type."""

    def __init__(self, norm: torch.nn.LayerNorm, dtype: torch.dtype) -> None:
        self._weight, self._bias = norm.weight.detach().to(dtype), norm.bias.detach().to(dtype)
        self._epsilon = norm.eps

    def __call__(self, states: Tensor) -> Tensor:
        return functional.layer_norm(states, (states.shape[1],), self._weight, self._bias, self._epsilon)


class _EncoderLayer:
    """One encoder layer: attention and feed-forward, each added to the states and normed (BERT: post-norm)."""

    def __init__(self, layer: Layer, original: Any, dtype: torch.dtype) -> None:
        self._layer = layer
        self._after_attention = _Norm(original.attention.output.LayerNorm, dtype)
        self._after_feed = _Norm(original.output.LayerNorm, dtype)

    def __call__(self, states: Tensor, attend: Callable[[Tensor], Tensor]) -> Tensor:
        added = self._layer.mixed(attend(self._layer.projections(states)))
        states = self._after_attention(added.add_(states))
        return self._after_feed(self._layer.fed(states).add_(states))


def _pooling(network: EmotionNetwork) -> Callable[[Tensor, Sequence[Run]], Tensor]:
    """Give the network's pooling: states (tokens, width) to one vector a text, (texts, width) float32."""
    if network.pooling == "mean":
        return lambda states, runs: torch.cat([part.float().mean(dim=1) for part in _texts(states, runs)])

    def first(states: Tensor, runs: Sequence[Run]) -> Tensor:
        return torch.cat([part[:, 0] for part in _texts(states, runs)]).float()

    if network.pooling == "cls":
        return first
    dense = network.encoder.pooler.dense
    weight, bias = dense.weight.detach(), dense.bias.detach()
    return lambda states, runs: torch.tanh(functional.linear(first(states, runs), weight, bias))


def _texts(states: Tensor, runs: Sequence[Run]) -> list[Tensor]:
    """Give the states of each run as (texts, length, width)."""
    return [states[run.start : run.end].view(run.texts, run.length, states.shape[1]) for run in runs]
