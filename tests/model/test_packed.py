"""Promises about the packed network: it answers as the network of which it was made."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from eqn.model.backbone import Backbone
from eqn.model.encoding import Encoded
from eqn.model.float_layers import FloatLayers, is_gelu
from eqn.model.int8_layers import Int8Layers, int8_fault, observed_ranges
from eqn.model.network import EmotionNetwork, Output, Pooling
from eqn.model.packed import LayerMaker, PackedNetwork, attention
from eqn.model.packing import Block, Run, packed_blocks
from eqn.model.scoring import Scorer
from tests.model.packed_texts import IDS, answers, spread_network


@pytest.fixture
def network(tmp_path: Path) -> EmotionNetwork:
    return spread_network(tmp_path)


def padded_answers(network: EmotionNetwork, backbone: Backbone, ids: list[list[int]]) -> NDArray[np.float32]:
    """Give the intensities as transformers computes them, in float32."""
    scorer = Scorer(network, backbone.tokenizer, max_tokens=128, precision=torch.float32)
    return scorer.scores(Encoded(ids, [False] * len(ids)))


def maker_of(name: str, network: EmotionNetwork) -> LayerMaker:
    if name != "int8":
        return FloatLayers(torch.bfloat16 if name == "bf16" else torch.float32)
    if fault := int8_fault():
        pytest.skip(f"NOT RUN: {fault}")
    return Int8Layers(observed_ranges(network, packed_blocks(IDS)))


@pytest.mark.parametrize("output", ["sigmoid", "clip"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_it_answers_as_the_network_does(
    tmp_path: Path, tiny_backbone: Backbone, pooling: Pooling, output: Output
) -> None:
    """Whichever way is pooled and however outputs become intensities, for texts of any length, in float32."""
    network = spread_network(tmp_path, pooling, output)
    expected = padded_answers(network, tiny_backbone, IDS)
    assert expected.std() > 0.1
    assert np.abs(expected[1:] - expected[:-1]).max(axis=1).min() > 1e-2  # each text has an answer of its own

    found = answers(PackedNetwork(network, FloatLayers(torch.float32)), IDS)

    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-5


def test_the_fast_precisions_move_scores_by_their_rounding_only(
    network: EmotionNetwork, tiny_backbone: Backbone
) -> None:
    """bfloat16 computes nearly the same, and is what it says: not float32 again."""
    expected = padded_answers(network, tiny_backbone, IDS)
    found = answers(PackedNetwork(network, FloatLayers(torch.bfloat16)), IDS)
    assert 1e-5 < np.abs(found - expected).mean() < 0.02


@pytest.mark.parametrize("prior", ["relu", "gelu_new"])
def test_another_activation_is_applied_as_it_is(tmp_path: Path, tiny_backbone: Backbone, prior: str) -> None:
    """The library's own products know GELU alone; any other one is torch's."""
    from transformers.activations import ACT2FN

    network = spread_network(tmp_path)
    for layer in network.encoder.encoder.layer:
        layer.intermediate.intermediate_act_fn = ACT2FN[prior]
        assert not is_gelu(layer.intermediate.intermediate_act_fn)
    expected = padded_answers(network, tiny_backbone, IDS)
    for name, tolerance in (("fp32", 1e-5), ("bf16", 0.2), ("int8", 0.2)):
        found = answers(PackedNetwork(network, maker_of(name, network)), IDS)
        assert np.abs(found - expected).max() <= tolerance, name


@pytest.mark.parametrize(("name", "tolerance"), [("fp32", 1e-4), ("bf16", 1e-2), ("int8", 1e-2)])
def test_the_size_of_blocks_moves_the_last_digits_only(network: EmotionNetwork, name: str, tolerance: float) -> None:
    """Neighbours do not matter: alone, a few or all together."""
    packed = PackedNetwork(network, maker_of(name, network))
    together = answers(packed, IDS, tokens=10**6)
    for tokens in (1, 150, 400):
        assert np.abs(answers(packed, IDS, tokens=tokens) - together).mean() <= tolerance / 10
        assert np.abs(answers(packed, IDS, tokens=tokens) - together).max() <= tolerance


@pytest.mark.parametrize("name", ["fp32", "bf16", "int8"])
def test_logits_beyond_any_power_are_weighed_all_the_same(tmp_path: Path, tiny_backbone: Backbone, name: str) -> None:
    """Attention that looks at one token alone: 2 to the power of its logits overflows, the answer does not."""
    network = spread_network(tmp_path)
    with torch.no_grad():
        for layer in network.encoder.encoder.layer:
            layer.attention.self.query.weight.mul_(3000)
            layer.attention.self.query.bias.mul_(3000)
    packed = PackedNetwork(network, maker_of(name, network))
    (block,) = packed_blocks(IDS[-1:])
    logits = largest_logit(network, block)
    assert logits > 1000

    found = answers(packed, IDS)

    assert np.isfinite(found).all()
    if name == "fp32":
        assert np.abs(found - padded_answers(network, tiny_backbone, IDS)).max() <= 1e-3


@pytest.mark.parametrize("logit", [100.0, 115.0, 125.0, 127.5, 130.0, -90.0, -126.0, -130.0, -140.0])
def test_logits_near_the_ends_of_their_range_are_weighed_right(logit: float) -> None:
    """Eight tokens that all weigh alike, also where a sum overflows and no power does: 8-bit layers would hide that."""
    projections = torch.zeros(8, 3 * 16, dtype=torch.bfloat16)
    projections[:, 0], projections[:, 16], projections[:, 32:] = logit / 8, 8.0, 0.01
    found = attention(projections, [Run(0, 1, 8)], 1).float()
    torch.testing.assert_close(found, torch.full((8, 16), 0.01), rtol=0.01, atol=0)


def largest_logit(network: EmotionNetwork, block: Block) -> float:
    """Give the first layer's largest attention logit, by transformers' own layers."""
    with torch.no_grad():
        states = network.encoder.embeddings(input_ids=torch.from_numpy(block.ids[: block.tokens])[None])
        attention = network.encoder.encoder.layer[0].attention.self
        queries, keys = (part(states)[0].view(block.tokens, 4, 16) for part in (attention.query, attention.key))
        return float(torch.einsum("qhd,khd->hqk", queries, keys).max() / 4)


def test_a_network_that_answers_no_number_is_an_error(network: EmotionNetwork) -> None:
    """NaN never becomes an intensity."""
    with torch.no_grad():
        network.head.bias[3] = float("nan")
    with pytest.raises(FloatingPointError, match="no numbers"):
        answers(PackedNetwork(network, FloatLayers(torch.float32)), IDS)


@pytest.mark.parametrize("name", ["fp32", "bf16", "int8"])
def test_several_threads_give_the_same_bytes(network: EmotionNetwork, name: str) -> None:
    """Blocks that are computed side by side are computed as one after the other."""
    packed = PackedNetwork(network, maker_of(name, network))
    blocks = packed_blocks(IDS, tokens=150)
    alone = [packed.intensities(block).numpy().tobytes() for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert [scores.numpy().tobytes() for scores in pool.map(packed.intensities, blocks)] == alone


@pytest.mark.parametrize("name", ["fp32", "bf16", "int8"])
def test_what_fills_a_block_up_never_reaches_a_text(tmp_path: Path, name: str) -> None:
    """The zeros' embedding may be anything, no number even: not a bit of an answer moves."""
    plain, odd = spread_network(tmp_path), spread_network(tmp_path)
    with torch.no_grad():
        plain.encoder.embeddings.word_embeddings.weight[0] = 0
        odd.encoder.embeddings.word_embeddings.weight[0] = float("nan")
    maker = maker_of(name, plain)
    ids = [[5, 6, 7], [8]]
    (block,) = packed_blocks(ids)
    assert len(block.ids) == 32 > block.tokens
    assert np.array_equal(answers(PackedNetwork(odd, maker), ids), answers(PackedNetwork(plain, maker), ids))
