"""Promises about a model kept as a small difference from its backbone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eqn.errors import ArtifactRefused
from eqn.model.backbone import load_backbone
from eqn.model.delta import make_delta, merge_delta
from eqn.model.network import EmotionNetwork


@pytest.fixture
def two(tmp_path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of a backbone, and those of a network on it whose every tensor but the word embeddings moved."""
    encoder = load_backbone("tiny", cache=tmp_path, seed=0).encoder
    base = {f"encoder.{name}": tensor.clone() for name, tensor in encoder.state_dict().items()}
    torch.manual_seed(1)
    tuned = EmotionNetwork(encoder, pooling="mean", dropout=0.0).state_dict()
    moved = {
        name: tensor if name.endswith("word_embeddings.weight") else tensor + 0.05 * torch.randn(tensor.shape)
        for name, tensor in tuned.items()
    }
    return base, moved


def _error(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_a_difference_of_full_rank_gives_the_network_back_within_the_steps_of_its_whole_numbers(
    two: tuple[dict[str, Tensor], dict[str, Tensor]],
) -> None:
    """What is no matrix of the encoder comes back to the bit."""
    base, tuned = two
    merged = merge_delta(base, make_delta(base, tuned, rank=10_000))
    assert merged.keys() == tuned.keys()
    assert _error(merged, tuned) < 0.05
    for name, tensor in tuned.items():
        if tensor.ndim < 2 or name.startswith("head."):
            assert torch.equal(merged[name], tensor), name


def test_the_rank_decides_how_much_is_left_and_how_large_it_is(
    two: tuple[dict[str, Tensor], dict[str, Tensor]],
) -> None:
    """More of it is nearer and larger; a difference that has the rank itself loses nothing but rounding."""
    base, tuned = two
    name = "encoder.encoder.layer.0.intermediate.dense.weight"
    torch.manual_seed(2)
    rows, columns = base[name].shape
    tuned[name] = base[name] + torch.randn(rows, 3) @ torch.randn(3, columns)
    sizes, errors = [], []
    for rank in (1, 3, 8):
        delta = make_delta(base, tuned, rank=rank)
        merged = merge_delta(base, delta)
        sizes.append(sum(tensor.numel() for key, tensor in delta.items() if key.startswith(name)))
        errors.append(float((merged[name] - tuned[name]).norm() / (tuned[name] - base[name]).norm()))
    assert sizes == [rank * (rows + columns + 1) for rank in (1, 3, 8)]
    assert errors[0] > 0.3
    assert errors[1] == pytest.approx(errors[2], abs=0.02)
    assert errors[1] < 0.03


def test_merging_gives_the_same_bits_in_any_order_of_the_sums(
    two: tuple[dict[str, Tensor], dict[str, Tensor]],
) -> None:
    """The products are exact: turning the order of the pairs around changes no bit."""
    base, tuned = two
    delta = make_delta(base, tuned, rank=8)
    turned = {
        key: tensor.flip(0)
        if key.endswith((".right", ".scale"))
        else tensor.flip(1)
        if key.endswith(".left")
        else tensor
        for key, tensor in delta.items()
    }
    one, other = merge_delta(base, delta), merge_delta(base, turned)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(np.isfinite(tensor.numpy()).all() for tensor in one.values())


def test_trained_word_embeddings_cannot_be_kept(two: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
    """They would be half of the network."""
    base, tuned = two
    tuned["encoder.embeddings.word_embeddings.weight"] = tuned["encoder.embeddings.word_embeddings.weight"] + 1
    with pytest.raises(ValueError, match="word embeddings"):
        make_delta(base, tuned, rank=2)


def test_a_difference_from_another_backbone_is_refused(two: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
    """Parts that are missing, or of other shapes."""
    base, tuned = two
    delta = make_delta(base, tuned, rank=2)
    name = "encoder.encoder.layer.0.attention.self.query.weight"
    for wrong in (
        {key: tensor for key, tensor in delta.items() if key != f"{name}.right"},
        delta | {f"{name}.right": delta[f"{name}.right"][:, :-1]},
        delta | {"encoder.embeddings.LayerNorm.weight": torch.ones(3)},
    ):
        with pytest.raises(ArtifactRefused):
            merge_delta(base, wrong)


def test_a_matrix_that_did_not_move_stays_as_it_is(two: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
    """A difference of nothing is nothing, not a division by it."""
    base, tuned = two
    name = "encoder.encoder.layer.0.attention.self.query.weight"
    tuned[name] = base[name]
    merged = merge_delta(base, make_delta(base, tuned, rank=4))
    assert torch.equal(merged[name], base[name])
