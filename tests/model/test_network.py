"""Promises about the network."""

from pathlib import Path

import pytest
import torch

from eqn.model.backbone import Backbone, load_backbone
from eqn.model.network import EmotionNetwork, Pooling, best_device, fast_precision


def test_an_untrained_network_answers_the_prior(tiny_backbone: Backbone) -> None:
    """With the head's weights at 0, the intensities are the prior, also at its edges."""
    network = EmotionNetwork(tiny_backbone.encoder, pooling="mean", dropout=0.1).eval()
    prior = torch.linspace(0, 1, 28)
    network.start_from(prior)
    with torch.no_grad():
        network.head.weight.zero_()
        scores = torch.sigmoid(network(torch.tensor([[2, 5, 3]]), torch.ones(1, 3, dtype=torch.int64)))
    assert torch.isfinite(network.head.bias).all()
    torch.testing.assert_close(scores[0], prior.clamp(1e-4, 1 - 1e-4))


def test_mean_pooling_takes_the_mean_of_the_tokens_that_are_there(tiny_backbone: Backbone) -> None:
    """Padding has no part in the mean: computed by hand from the encoder's states."""
    network = EmotionNetwork(tiny_backbone.encoder, pooling="mean", dropout=0.0).eval()
    ids, mask = torch.tensor([[2, 5, 6, 3, 0, 0]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.no_grad():
        states = network.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        expected = network.head(states[0, :4].mean(dim=0))
        torch.testing.assert_close(network(ids, mask)[0], expected)


def test_cls_pooling_takes_the_first_token(tiny_backbone: Backbone) -> None:
    """The other way to one vector is the first token's state."""
    network = EmotionNetwork(tiny_backbone.encoder, pooling="cls", dropout=0.0).eval()
    ids, mask = torch.tensor([[2, 5, 6, 3]]), torch.ones(1, 4, dtype=torch.int64)
    with torch.no_grad():
        states = network.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(network(ids, mask)[0], network.head(states[0, 0]))


def test_the_pooler_is_the_first_token_through_berts_own_layer(tmp_path: Path) -> None:
    """Computed by hand: a linear layer and tanh on the first token's state."""
    backbone = load_backbone("tiny", cache=tmp_path, seed=0, pooler=True)
    network = EmotionNetwork(backbone.encoder, pooling="pooler", dropout=0.0).eval()
    ids, mask = torch.tensor([[2, 5, 6, 3]]), torch.ones(1, 4, dtype=torch.int64)
    with torch.no_grad():
        states = network.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = torch.tanh(backbone.encoder.pooler.dense(states[0, 0]))
        torch.testing.assert_close(network(ids, mask)[0], network.head(pooled))


def test_outputs_become_intensities_by_the_networks_own_rule(tiny_backbone: Backbone) -> None:
    """A sigmoid, or clipping to [0, 1]: by hand, with outputs outside the range."""
    outputs = torch.tensor([[-0.3, 0.0, 0.4, 1.0, 1.2]])
    clipping = EmotionNetwork(tiny_backbone.encoder, pooling="mean", dropout=0.0, output="clip")
    torch.testing.assert_close(clipping.intensities(outputs), torch.tensor([[0.0, 0.0, 0.4, 1.0, 1.0]]))
    squashing = EmotionNetwork(tiny_backbone.encoder, pooling="mean", dropout=0.0)
    torch.testing.assert_close(squashing.intensities(outputs), 1 / (1 + torch.exp(-outputs)))


def test_a_recalibrated_head_gives_other_outputs_for_good(tiny_network: EmotionNetwork) -> None:
    """Each output z is scale * z + shift from then on, computed by hand; done twice, both count; nothing else moves."""
    ids, mask = torch.tensor([[2, 5, 6, 3], [2, 9, 8, 3]]), torch.ones(2, 4, dtype=torch.int64)
    scale, shift = torch.linspace(0.5, 2, 28, dtype=torch.float64), torch.linspace(-3, 3, 28, dtype=torch.float64)
    encoder = {name: tensor.clone() for name, tensor in tiny_network.encoder.state_dict().items()}
    with torch.no_grad():
        before = tiny_network(ids, mask)
        tiny_network.recalibrate(scale, shift)
        once = tiny_network(ids, mask)
        tiny_network.recalibrate(scale, shift)
        twice = tiny_network(ids, mask)
    torch.testing.assert_close(once, (scale * before + shift).float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(twice, (scale * once + shift).float(), rtol=1e-4, atol=1e-5)
    assert once.dtype == torch.float32
    assert all(torch.equal(tensor, encoder[name]) for name, tensor in tiny_network.encoder.state_dict().items())
    assert all(parameter.requires_grad for parameter in tiny_network.parameters())


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_the_head_is_given_the_pooled_vector(tmp_path: Path, pooling: Pooling) -> None:
    """Outputs are the head's of it, whichever way it is made."""
    backbone = load_backbone("tiny", cache=tmp_path, seed=0, pooler=pooling == "pooler")
    network = EmotionNetwork(backbone.encoder, pooling=pooling, dropout=0.5).eval()
    ids, mask = torch.tensor([[2, 5, 6, 3, 0]]), torch.tensor([[1, 1, 1, 1, 0]])
    with torch.no_grad():
        pooled = network.pooled(ids, mask)
        assert pooled.shape == (1, 64)
        torch.testing.assert_close(network(ids, mask), network.head(pooled))


def test_dropout_works_in_training_only(tiny_network: EmotionNetwork) -> None:
    """In evaluation mode the same ids give the same logits; in training mode they vary."""
    tiny_network.dropout.p = 0.5
    ids, mask = torch.tensor([[2, 5, 6, 3]]), torch.ones(1, 4, dtype=torch.int64)
    with torch.no_grad():
        assert torch.equal(tiny_network(ids, mask), tiny_network(ids, mask))
        tiny_network.train()
        assert not torch.equal(tiny_network(ids, mask), tiny_network(ids, mask))


def test_the_cpu_computes_in_bfloat16_only_where_it_is_native() -> None:
    """Emulated bfloat16 is several times slower: the choice follows the instructions that the CPU has."""
    capabilities = torch.cpu.get_capabilities()
    native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "sve_bf16", "bf16"))
    assert fast_precision(torch.device("cpu")) is (torch.bfloat16 if native else torch.float32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device_the_cpu_is_the_best_one() -> None:
    """Nothing asks for a device that is not there."""
    assert best_device() == torch.device("cpu")
