"""The encoder's linear layers in 8-bit integers, by the processor's library (oneDNN, as torch brings it).

Weights are rounded to 8 bits per output, symmetrically. States are rounded with one scale and zero point for each
product, chosen once from real texts (`observed_ranges`) and kept in the model package: dynamic scales, taken from each
batch, would make a text's answer depend on its neighbours (Jacob et al. 2018, arXiv 1712.05877, sections 2.1 and 3).
Norms, residual sums and pooling stay float32, attention is bfloat16 where that is fast.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from eqn.model.float_layers import FloatLayer, dense_parts, is_gelu
from eqn.model.network import EmotionNetwork, fast_precision
from eqn.model.packed import PackedNetwork
from eqn.model.packing import Block

PRODUCTS = ("projections", "mixed", "inner", "outer")
"""The four products of an encoder layer."""

Ranges = Mapping[str, tuple[float, float]]
"""Least and largest number that goes into each product, by `<layer>.<product>`."""

_LEVELS = 255
_WHOLE = 1.5 * 2**23


def int8_fault() -> str:
    """Say why this machine cannot compute so, or nothing."""
    if not hasattr(torch.ops.onednn, "qlinear_pointwise"):
        return "this build of torch has no 8-bit products"
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    if not any(capabilities.get(name, False) for name in ("avx512_vnni", "avx_vnni", "amx_int8")):
        return "this processor has no 8-bit dot products"
    return ""


def product_names(layers: int) -> list[str]:
    """Give the name of every product of an encoder with that many layers."""
    return [f"{number}.{product}" for number in range(layers) for product in PRODUCTS]


def observed_ranges(network: EmotionNetwork, blocks: Iterable[Block]) -> dict[str, tuple[float, float]]:
    """Give the range of what goes into each product of `network`, on the CPU, when it answers `blocks`."""
    watching = _Watching()
    packed = PackedNetwork(network, watching)
    for block in blocks:  # without what fills them up, which is no text's
        packed.intensities(dataclasses.replace(block, ids=block.ids[: block.tokens]))
    return watching.ranges


@dataclasses.dataclass(frozen=True, slots=True)
class Int8Layers:
    """Makes layers that multiply 8-bit integers."""

    ranges: Ranges
    states: torch.dtype = torch.float32

    def __call__(self, number: int, layer: Any, *, query_scale: float) -> "Int8Layer":
        """Give an encoder layer; see `eqn.model.packed.LayerMaker`."""
        ranges = {product: self.ranges[f"{number}.{product}"] for product in PRODUCTS}
        return Int8Layer(layer, ranges, query_scale=query_scale)


class Int8Layer:
    """One encoder layer's products; see `eqn.model.packed.Layer`."""

    def __init__(self, layer: Any, ranges: Ranges, *, query_scale: float) -> None:
        parts = dense_parts(layer, query_scale)
        products = {name: _Product(*parts[name], *ranges[name]) for name in PRODUCTS}
        self._projections, self._mixed, self._inner, self._outer = products.values()
        self._attention = fast_precision(torch.device("cpu"))
        self._activation = layer.intermediate.intermediate_act_fn
        self._is_gelu = is_gelu(self._activation)

    def projections(self, states: Tensor) -> Tensor:
        """Give queries, keys and values, in the type in which attention is fast."""
        product = self._projections
        return product(product.rounded(states), self._attention)

    def mixed(self, context: Tensor) -> Tensor:
        """Give what attention adds, float32."""
        return self._mixed(self._mixed.rounded(context.float()), torch.float32)

    def fed(self, states: Tensor) -> Tensor:
        """Give what the feed-forward layer adds, float32."""
        rounded = self._inner.rounded(states)
        if self._is_gelu:  # then the library does it all, and what is between never leaves the cache
            return self._outer(self._inner.into(self._outer, rounded), torch.float32)
        return self._outer(self._outer.rounded(self._activation(self._inner(rounded, torch.float32))), torch.float32)


class _Product:
    """A linear layer: weight (outputs, inputs) and bias (outputs,), and the range of its inputs."""

    def __init__(self, weight: Tensor, bias: Tensor, low: float, high: float) -> None:
        scales = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        rounded = (weight / scales.unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int32)
        self._bias = bias.clone()
        self.scale, self.zero = _scale_and_zero(low, high)
        self._shift = torch.tensor(_WHOLE + self.zero)

    def rounded(self, inputs: Tensor) -> Tensor:
        """Round inputs, float32, to uint8."""
        # Added to 1.5 * 2**23, a float32 has no bits left for a fraction, and its last byte is the whole number.
        moved = torch.add(self._shift, inputs, alpha=1 / self.scale).clamp_(_WHOLE, _WHOLE + _LEVELS)
        return moved.view(torch.int32).to(torch.int8).view(torch.uint8)

    def __call__(self, inputs: Tensor, dtype: torch.dtype) -> Tensor:
        """Give the outputs, of type `dtype`, of rounded inputs."""
        return self._multiplied(inputs, dtype, 1.0, 0, "none")

    def into(self, following: "_Product", inputs: Tensor) -> Tensor:
        """Give GELU of the outputs, rounded as `following` wants it."""
        return self._multiplied(inputs, torch.uint8, following.scale, following.zero, "gelu")

    def _multiplied(self, inputs: Tensor, dtype: torch.dtype, scale: float, zero: int, after: str) -> Tensor:
        given: Tensor = torch.ops.onednn.qlinear_pointwise(
            inputs, self.scale, self.zero, self._weight, self._scales, self._zeros, self._bias,
            scale, zero, dtype, after, [], "none",
        )  # fmt: skip
        return given


def _scale_and_zero(low: float, high: float) -> tuple[float, int]:
    """Give the scale and the zero point by which [low, high] and 0 are rounded to 0 ... 255."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max((high - low) / _LEVELS, torch.finfo(torch.float32).tiny)
    return scale, round(-low / scale)


class _Watching:
    """Makes float32 layers that note what goes into them."""

    states = torch.float32

    def __init__(self) -> None:
        self.ranges: dict[str, tuple[float, float]] = {}

    def __call__(self, number: int, layer: Any, *, query_scale: float) -> "_Watched":
        return _Watched(layer, query_scale, lambda product, states: self._note(f"{number}.{product}", states))

    def _note(self, name: str, states: Tensor) -> None:
        low, high = map(float, states.aminmax())
        before = self.ranges.get(name, (low, high))
        self.ranges[name] = (min(low, before[0]), max(high, before[1]))


class _Watched(FloatLayer):
    """A layer that tells of what goes into its products."""

    def __init__(self, layer: Any, query_scale: float, note: Callable[[str, Tensor], None]) -> None:
        super().__init__(layer, query_scale=query_scale, dtype=torch.float32)
        self._note = note

    def projections(self, states: Tensor) -> Tensor:
        self._note("projections", states)
        return super().projections(states)

    def mixed(self, context: Tensor) -> Tensor:
        self._note("mixed", context)
        return super().mixed(context)

    def widened(self, states: Tensor) -> Tensor:
        self._note("inner", states)
        return super().widened(states)

    def narrowed(self, inner: Tensor) -> Tensor:
        self._note("outer", inner)
        return super().narrowed(inner)
