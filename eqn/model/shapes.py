"""The tensors of a network by name and shape, told from its configuration alone.

A file of weights is held against them before anything is built: memory is then needed for what the file really holds,
never for what a configuration claims.
"""

from collections.abc import Callable, Mapping
from typing import Any

from eqn.emotions import EMOTIONS

_SHOWN = 12


def tensor_shapes(config: Any, *, pooler: bool) -> dict[str, tuple[int, ...]]:
    """Give the shape of each tensor of an `EmotionNetwork` on the encoder that a BertConfig describes."""
    width, inner = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    def norm(name: str) -> None:
        shapes.update({f"{name}.weight": (width,), f"{name}.bias": (width,)})

    for name, rows in (
        ("word", config.vocab_size),
        ("position", config.max_position_embeddings),
        ("token_type", config.type_vocab_size),
    ):
        shapes[f"encoder.embeddings.{name}_embeddings.weight"] = (rows, width)
    norm("encoder.embeddings.LayerNorm")
    for number in range(config.num_hidden_layers):
        layer = f"encoder.encoder.layer.{number}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", width, width)
        linear(f"{layer}.attention.output.dense", width, width)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", inner, width)
        linear(f"{layer}.output.dense", width, inner)
        norm(f"{layer}.output.LayerNorm")
    if pooler:
        linear("encoder.pooler.dense", width, width)
    linear("head", len(EMOTIONS), width)
    return shapes


def shape_faults(
    found: Mapping[str, tuple[int, ...]], config: Any, *, pooler: bool, called: Callable[[str], str] = str
) -> list[str]:
    """Say how the tensors `found`, by name and shape, differ from those that the configuration asks for.

    `called` gives the name under which a tensor of ours is to be found.
    """
    if config.num_hidden_layers > len(found):  # before that many names are made
        return [f"{config.num_hidden_layers} layers are said to be in {len(found)} tensors"]
    expected = {called(name): shape for name, shape in tensor_shapes(config, pooler=pooler).items()}
    faults = [f"{name}: missing" for name in expected if name not in found]
    faults += [f"{name}: does not belong here" for name in found if name not in expected]
    faults += [
        f"{name}: expected the shape {shape}, got {found[name]}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    return first(faults)


def first(faults: list[str]) -> list[str]:
    """Give the first dozen of `faults`, and how many more there are."""
    return faults[:_SHOWN] + [f"... and {len(faults) - _SHOWN} more"] * (len(faults) > _SHOWN)
