"""Promises about 8-bit products: their ranges are what was seen, and their answers near those of float32."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eqn.model.float_layers import FloatLayers, dense_parts
from eqn.model.int8_layers import (
    PRODUCTS,
    Int8Layer,
    Int8Layers,
    int8_fault,
    observed_ranges,
    product_names,
)
from eqn.model.network import EmotionNetwork
from eqn.model.packed import LOG2_E, PackedNetwork
from eqn.model.packing import packed_blocks
from tests.model.packed_texts import IDS, answers, spread_network

needs_int8 = pytest.mark.skipif(bool(int8_fault()), reason=f"NOT RUN: {int8_fault()}")


@pytest.fixture
def network(tmp_path: Path) -> EmotionNetwork:
    return spread_network(tmp_path)


def test_the_products_are_named_by_layer() -> None:
    """Four for each layer, in the order in which they are computed."""
    assert product_names(2) == [f"{layer}.{name}" for layer in (0, 1) for name in PRODUCTS]


def test_the_ranges_are_what_went_into_the_products(network: EmotionNetwork) -> None:
    """The least and the largest number, as hooks on transformers' own layers see them, over all texts."""
    seen: dict[str, list[Tensor]] = {name: [] for name in product_names(2)}
    for number, layer in enumerate(network.encoder.encoder.layer):
        places = {
            "projections": layer.attention.self.query,
            "mixed": layer.attention.output.dense,
            "inner": layer.intermediate.dense,
            "outer": layer.output.dense,
        }
        for name, module in places.items():
            module.register_forward_hook(
                lambda _, inputs, __, into=seen[f"{number}.{name}"]: into.append(inputs[0].detach())
            )
    with torch.no_grad():
        for ids in IDS:
            network(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.int64))

    ranges = observed_ranges(network, packed_blocks(IDS, tokens=256))

    assert list(ranges) == product_names(2)
    for name, found in ranges.items():
        tokens = torch.cat([states.reshape(-1, states.shape[-1]) for states in seen[name]])
        assert found == pytest.approx((float(tokens.min()), float(tokens.max())), abs=1e-4), name


def test_what_fills_blocks_up_is_not_watched(network: EmotionNetwork) -> None:
    """Were its embedding larger than any text's, the ranges stay what they are."""
    blocks = packed_blocks([[5, 6, 7], [8]])
    assert len(blocks[0].ids) > blocks[0].tokens
    before = observed_ranges(network, blocks)
    with torch.no_grad():
        network.encoder.embeddings.word_embeddings.weight[0] = 100 * torch.arange(64.0)
    assert observed_ranges(network, blocks) == before


def test_more_texts_only_widen_the_ranges(network: EmotionNetwork) -> None:
    """Two blocks together span what either spans."""
    blocks = packed_blocks(IDS, tokens=200)
    whole = observed_ranges(network, blocks)
    parts = [observed_ranges(network, [block]) for block in blocks]
    for name, (low, high) in whole.items():
        assert (low, high) == (min(part[name][0] for part in parts), max(part[name][1] for part in parts))


@needs_int8
def test_a_product_is_the_layers_own_within_its_steps(network: EmotionNetwork) -> None:
    """Queries, keys and values of states in range: computed in float64, they lie within what rounding can do."""
    layer = network.encoder.encoder.layer[0]
    made = Int8Layer(layer, dict.fromkeys(PRODUCTS, (-3.0, 3.0)), query_scale=LOG2_E / 4)
    states = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
    weight, bias = (part.double() for part in dense_parts(layer, LOG2_E / 4)["projections"])
    exact = states.double() @ weight.T + bias

    found = made.projections(states).double()

    step_of_states = 6 / 255 / 2
    step_of_weights = weight.abs().amax(dim=1) / 127 / 2
    bound = step_of_states * weight.abs().sum(dim=1) + step_of_weights * states.abs().sum(dim=1, keepdim=True)
    assert ((found - exact).abs() <= 1.05 * bound + exact.abs() * 2**-8 + 1e-3).all()
    assert (found - exact).abs().mean() > 0


@needs_int8
def test_scores_are_near_those_of_float32(network: EmotionNetwork) -> None:
    """Of texts that the ranges were taken from, and of others."""
    others = [np.random.default_rng(99 + length).integers(5, 90, length).tolist() for length in range(1, 60)]
    exact = PackedNetwork(network, FloatLayers(torch.float32))
    rounded = PackedNetwork(network, Int8Layers(observed_ranges(network, packed_blocks(IDS))))
    for ids in (IDS, others):
        expected = answers(exact, ids)
        found = answers(rounded, ids)
        assert expected.std() > 0.1
        assert 0 < np.abs(found - expected).mean() < 0.02
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


@needs_int8
def test_states_beyond_their_range_are_clipped_not_wrapped(network: EmotionNetwork) -> None:
    """A text unlike all that were seen: its largest states count as the range's end."""
    layer = network.encoder.encoder.layer[0]
    made = Int8Layer(layer, dict.fromkeys(PRODUCTS, (-1.0, 1.0)), query_scale=1.0)
    states = torch.full((32, 64), 1.0)
    states[:, ::2] = -1.0
    assert torch.equal(made.projections(states * 1000), made.projections(states))


@needs_int8
@pytest.mark.parametrize("limits", [(0.0, 0.0), (0.5, 2.0), (-2.0, -0.5), (-1e38, 1e38)])
def test_odd_ranges_make_no_other_numbers_than_numbers(network: EmotionNetwork, limits: tuple[float, float]) -> None:
    """Nothing seen but zeros, or numbers on one side of 0: products are finite."""
    layer = network.encoder.encoder.layer[0]
    made = Int8Layer(layer, dict.fromkeys(PRODUCTS, limits), query_scale=1.0)
    assert torch.isfinite(made.projections(torch.zeros(32, 64))).all()
    assert torch.isfinite(made.projections(torch.ones(32, 64))).all()


@pytest.mark.parametrize("capability", ["avx512_vnni", "avx_vnni", "amx_int8"])
def test_any_instruction_for_8_bit_dot_products_is_enough(monkeypatch: pytest.MonkeyPatch, capability: str) -> None:
    """AVX-512, AVX or AMX."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert int8_fault() == ""


@pytest.mark.parametrize("capabilities", [{}, {"avx512_vnni": False, "avx2": True}])
def test_a_machine_without_such_instructions_gets_the_reason(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool]
) -> None:
    """Without them 8-bit products are emulated and slow, and round otherwise."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert int8_fault() == "this processor has no 8-bit dot products"
