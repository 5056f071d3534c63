"""The encoder's linear layers in float32 or bfloat16."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from eqn.model.network import fast_precision


@dataclasses.dataclass(frozen=True, slots=True)
class FloatLayers:
    """Makes layers whose weights and products are of one floating type."""

    states: torch.dtype

    def __call__(self, number: int, layer: Any, *, query_scale: float) -> "FloatLayer":  # noqa: ARG002  all are alike
        """Give an encoder layer; see `eqn.model.packed.LayerMaker`."""
        return FloatLayer(layer, query_scale=query_scale, dtype=self.states)


class FloatLayer:
    """One encoder layer's products; see `eqn.model.packed.Layer`."""

    def __init__(self, layer: Any, *, query_scale: float, dtype: torch.dtype) -> None:
        activation = layer.intermediate.intermediate_act_fn
        make = _PreparedDense if _is_prepared(layer, dtype) else _Dense
        products: dict[str, Dense] = {
            name: make(weight.to(dtype), bias.to(dtype), activation if name == "inner" else None)
            for name, (weight, bias) in dense_parts(layer, query_scale).items()
        }
        self._projections, self._mixed, self._inner, self._outer = products.values()

    def projections(self, states: Tensor) -> Tensor:
        """Give queries, keys and values."""
        return self._projections(states)

    def mixed(self, context: Tensor) -> Tensor:
        """Give what attention adds."""
        return self._mixed(context)

    def fed(self, states: Tensor) -> Tensor:
        """Give what the feed-forward layer adds."""
        return self.narrowed(self.widened(states))

    def widened(self, states: Tensor) -> Tensor:
        """Give the feed-forward layer's inner states, (tokens, inner width)."""
        return self._inner(states)

    def narrowed(self, inner: Tensor) -> Tensor:
        """Give what the feed-forward layer makes of its inner states."""
        return self._outer(inner)


Dense = Callable[[Tensor], Tensor]
"""A linear layer, and the activation after it if it has one."""


class _Dense:
    """In torch's own operations."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: Dense | None) -> None:
        self._weight, self._bias, self._activation = weight, bias, activation

    def __call__(self, inputs: Tensor) -> Tensor:
        outputs = functional.linear(inputs, self._weight, self._bias)
        return self._activation(outputs) if self._activation else outputs


class _PreparedDense:
    """By the processor's library, with weights in its own layout; GELU is applied before a product leaves the cache."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: Dense | None) -> None:
        self._weight, self._bias = torch.ops.mkldnn._reorder_linear_weight(weight), bias  # noqa: SLF001  no public way
        if activation is not None and not is_gelu(activation):
            raise ValueError("GELU alone is built into the library's products")
        self._after = ("gelu", "none") if activation else ("none", "")

    def __call__(self, inputs: Tensor) -> Tensor:
        name, way = self._after
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._weight, self._bias, name, [], way)  # noqa: SLF001
        return outputs


def _is_prepared(layer: Any, dtype: torch.dtype) -> bool:
    """Tell whether the library's own products serve: measured for bfloat16, whose weights it reorders at every call."""
    return (
        dtype is torch.bfloat16
        and layer.output.dense.weight.device.type == "cpu"
        and is_gelu(layer.intermediate.intermediate_act_fn)
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and fast_precision(torch.device("cpu")) is torch.bfloat16
    )


def is_gelu(activation: Any) -> bool:
    """Tell whether a layer's activation is GELU by the error function."""
    return type(activation).__name__ == "GELUActivation"


def dense_parts(layer: Any, query_scale: float) -> dict[str, tuple[Tensor, Tensor]]:
    """Give the four products of a transformers BertLayer, weight and bias; the first makes queries, keys and values."""
    attention = layer.attention.self
    queries, keys, values = ((part.weight.detach(), part.bias.detach()) for part in (
        attention.query, attention.key, attention.value,
    ))  # fmt: skip
    dense = {
        "mixed": layer.attention.output.dense,
        "inner": layer.intermediate.dense,
        "outer": layer.output.dense,
    }
    first = [torch.cat([queries[part] * query_scale, keys[part], values[part]]) for part in (0, 1)]
    return {"projections": (first[0], first[1])} | {
        name: (part.weight.detach(), part.bias.detach()) for name, part in dense.items()
    }
