"""Promises about the running mean of the weights."""

import contextlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork
from eqn.training.averaging import Average


def _single(value: float) -> nn.Linear:
    """Give a network of one weight."""
    network = nn.Linear(1, 1, bias=False)
    _set(network, value)
    return network


def _set(network: nn.Linear, value: float) -> None:
    with torch.no_grad():
        network.weight.fill_(value)


def _weight(network: nn.Linear) -> float:
    return network.weight.item()


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("decay", "means"),
    [
        # What is kept of the old mean: 1 / 10, 2 / 11, 3 / 12, as long as that is less than the decay.
        (0.999, [7.3, 10.0 * 9 / 11 + 7.3 * 2 / 11, 0.25 * (10.0 * 9 / 11 + 7.3 * 2 / 11) + 0.75 * 6.0]),
        (0.15, [7.3, 0.85 * 10.0 + 0.15 * 7.3, 0.15 * (0.85 * 10.0 + 0.15 * 7.3) + 0.85 * 6.0]),
    ],
)
def test_the_mean_of_three_steps_worked_out_by_hand(decay: float, means: list[float]) -> None:
    """From 1 over 8 and 10 to 6: a tenth of the start is kept, then what the decay and the step allow."""
    network = _single(1.0)
    average = Average(network, decay)
    found = []
    for step, value in enumerate((8.0, 10.0, 6.0)):
        _set(network, value)
        average.update(step)
        found.append(float(average.copy()["weight"]))
    assert found == pytest.approx(means)


def test_after_many_steps_as_much_is_kept_as_the_decay_says() -> None:
    """0.9 from step 81 on: the distance to weights that stay falls by a tenth at each step."""
    network = _single(0.0)
    average = Average(network, 0.9)
    _set(network, 1.0)
    gaps = []
    for step in range(80, 84):
        average.update(step)
        gaps.append(1 - float(average.copy()["weight"]))
    assert gaps == pytest.approx([0.9, 0.81, 0.729, 0.6561])


def test_without_decay_the_mean_is_the_network_itself() -> None:
    """Nothing is kept beside it, a copy is of the weights as they are now, and putting it in place changes nothing."""
    network = _single(1.0)
    average = Average(network, 0.0)
    _set(network, 5.0)
    average.update(0)
    assert average.weights == {}
    assert _equal(average.copy(), _state(network))
    with average.in_place():
        assert _weight(network) == 5.0
        _set(network, 6.0)
    assert _weight(network) == 6.0


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_copy_does_not_move_with_what_it_was_taken_of(decay: float) -> None:
    """The best weights stay what they were when training goes on."""
    network = _single(1.0)
    average = Average(network, decay)
    kept = average.copy()
    _set(network, 9.0)
    average.update(0)
    assert float(kept["weight"]) == 1.0
    assert float(average.copy()["weight"]) != 1.0


def test_the_mean_stands_in_the_network_for_a_while() -> None:
    """Within it answers as the mean, afterwards its own weights are back, to the bit, and training was not noticed."""
    network = _single(1.0)
    average = Average(network, 0.9)
    _set(network, 8.0)
    average.update(0)
    before = _state(network)
    with average.in_place():
        assert _equal(_state(network), average.copy())
        assert network(torch.ones(1)).item() == pytest.approx(7.3)
    assert _equal(_state(network), before)
    assert float(average.copy()["weight"]) == pytest.approx(7.3)


class Stopped(Exception):
    """Raised while the mean is in place."""


def test_the_trained_weights_come_back_after_an_error() -> None:
    """A scoring that fails leaves the network as it was."""
    network = _single(1.0)
    average = Average(network, 0.9)
    _set(network, 8.0)
    average.update(0)
    seen = []
    with contextlib.suppress(Stopped), average.in_place():
        seen.append(_weight(network))
        raise Stopped
    assert seen == pytest.approx([7.3])
    assert _weight(network) == 8.0


def test_the_mean_is_of_everything_that_a_package_would_hold(tmp_path: Path) -> None:
    """Every tensor of a real network has its mean, and what is learnt goes on while the optimizer holds its weights."""
    backbone = load_backbone("tiny", cache=tmp_path, seed=0)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    average = Average(network, 0.9)
    assert average.copy().keys() == network.state_dict().keys()
    parameters = [id(parameter) for parameter in network.parameters()]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    average.update(0)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(average.weights[name], tensor - 0.1)
    with average.in_place():
        pass
    assert [id(parameter) for parameter in network.parameters()] == parameters
