"""A fine-tuned model as a small difference from its backbone.

Each matrix of the encoder is the backbone's plus a product of two thin ones (a low-rank difference: Hu et al., LoRA,
2021, section 4.1), whose entries are whole numbers from -127 to 127. What has no second dimension, and the head, is
kept as it is. The word embeddings are the backbone's own: a model whose embeddings were trained cannot be kept so.

Merging gives the same bits on every machine. Entry by entry a product is a sum of whole numbers times powers of two,
which float64 adds exactly in any order; it is rounded to float32 once, at the end.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from eqn.errors import ArtifactRefused

if TYPE_CHECKING:
    from torch import Tensor

_LEVELS = 127
_FROZEN = "embeddings.word_embeddings.weight"
_PARTS = _LEFT, _RIGHT, _SCALE = ".left", ".right", ".scale"


def make_delta(base: "Mapping[str, Tensor]", tuned: "Mapping[str, Tensor]", *, rank: int) -> "dict[str, Tensor]":
    """Give the difference of `tuned` from `base`, both by the names of a network's tensors.

    `base` holds the encoder alone. Of each matrix' difference the `rank` largest singular values are kept.

    Raises:
        ValueError: the word embeddings differ.

    """
    import torch

    delta: dict[str, Tensor] = {}
    for name, tensor in tuned.items():
        if name.endswith(_FROZEN):
            if not torch.equal(tensor, base[name]):
                raise ValueError("expected the word embeddings of the backbone; they were trained")
        elif name in base and tensor.ndim == 2:
            left, right, scale = _factors(tensor.double() - base[name].double(), rank)
            delta |= {name + _LEFT: left, name + _RIGHT: right, name + _SCALE: scale}
        else:
            delta[name] = tensor.float()
    return delta


def merge_delta(base: "Mapping[str, Tensor]", delta: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Give the tensors of the network that `delta` makes of `base`.

    Raises:
        ArtifactRefused: the two do not fit together.

    """
    merged: dict[str, Tensor] = {}
    try:
        for name, tensor in base.items():
            if name + _LEFT in delta:
                left, right, scale = (delta[name + part].double() for part in _PARTS)
                # 2 ** whole numbers: the products stay exact.
                merged[name] = (tensor.double() + (left * scale.exp2()) @ right).float()
            else:
                merged[name] = delta.get(name, tensor)
    except (KeyError, RuntimeError) as error:
        raise ArtifactRefused(f"expected the difference from this very backbone: {error}") from error
    wrong = [name for name, tensor in base.items() if merged[name].shape != tensor.shape]
    if wrong:
        raise ArtifactRefused("expected tensors of the backbone's shapes.", faults=wrong)
    return merged | {name: tensor for name, tensor in delta.items() if name not in base and not name.endswith(_PARTS)}


def _factors(difference: "Tensor", rank: int) -> "tuple[Tensor, Tensor, Tensor]":
    """Give whole numbers left (rows, rank) and right (rank, columns), and the exponents of 2 between them (rank,)."""
    import torch

    left, values, right = torch.linalg.svd(difference, full_matrices=False)
    left, right = left[:, :rank], right[:rank]
    largest_left, largest_right = left.abs().amax(dim=0), right.abs().amax(dim=1)
    # The size of each pair lies in one power of two; what is left of it is put into the left one.
    size = values[:rank] * largest_left * largest_right / _LEVELS**2
    exponent = torch.ceil(torch.log2(size.clamp(min=2.0**-60)))
    whole_right = torch.round(right / largest_right.unsqueeze(1) * _LEVELS)
    whole_left = torch.round(left / largest_left * _LEVELS * (size / exponent.exp2()))
    return whole_left.to(torch.int8), whole_right.to(torch.int8), exponent.to(torch.int8)
