"""Promises about checkpoints."""

import errno
import os
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from eqn.errors import ArtifactRefused
from eqn.training.averaging import Average
from eqn.training.checkpoint import Place, load_checkpoint, save_checkpoint

PLACE = Place(step=7, best_score=0.25, best_step=5, history=[{"step": 5, "score": 0.25, "loss": 0.1}])


def _trained(seed: int, *, width: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Give a network with dropout after two steps, and its optimizer."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, width), nn.Dropout(0.5), nn.Linear(width, 2))
    optimizer = torch.optim.AdamW(
        [{"params": network[0].parameters(), "weight_decay": 0.1}, {"params": network[2].parameters()}],
        lr=0.1,
        fused=True,
    )
    for _ in range(2):
        _step(network, optimizer)
    return network, optimizer


def _step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    network(torch.randn(5, 4)).square().sum().backward()
    optimizer.step()


def _best(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach() + 1 for name, tensor in network.state_dict().items()}


@pytest.fixture
def kept_checkpoint(tmp_path: Path) -> Path:
    network, optimizer = _trained(1)
    save_checkpoint(tmp_path / "stage.safetensors", network, optimizer, _best(network), PLACE, average={})
    return tmp_path / "stage.safetensors"


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """Weights, moments, steps and the random generator: three more steps, with dropout, end with the same bits."""
    network, optimizer = _trained(1)
    save_checkpoint(tmp_path / "stage", network, optimizer, _best(network), PLACE, average={})
    best = _best(network)
    for _ in range(3):
        _step(network, optimizer)

    other, other_optimizer = _trained(2)
    found = load_checkpoint(tmp_path / "stage", other, other_optimizer, average={})
    assert found is not None
    assert found[0] == PLACE
    assert found[1].keys() == best.keys()
    assert all(torch.equal(found[1][name], best[name]) for name in best)
    for _ in range(3):
        _step(other, other_optimizer)
    expected = network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in other.state_dict().items())


def test_the_running_mean_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """Three more steps, each taken into the mean: it ends with the same bits, and they are not the weights' own."""
    network, optimizer = _trained(1)
    average = Average(network, 0.9)
    _step(network, optimizer)
    average.update(0)
    save_checkpoint(tmp_path / "stage", network, optimizer, {}, PLACE, average=average.weights)
    for step in range(1, 4):
        _step(network, optimizer)
        average.update(step)

    other, other_optimizer = _trained(2)
    resumed = Average(other, 0.9)
    assert load_checkpoint(tmp_path / "stage", other, other_optimizer, average=resumed.weights) == (PLACE, {})
    for step in range(1, 4):
        _step(other, other_optimizer)
        resumed.update(step)
    expected = average.copy()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.copy().items())
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in other.state_dict().items())
    assert any(not torch.equal(tensor, network.state_dict()[name]) for name, tensor in expected.items())


def test_a_checkpoint_without_a_mean_is_refused_where_one_is_needed(kept_checkpoint: Path) -> None:
    """No mean is begun in the middle of a training."""
    network, optimizer = _trained(1)
    with pytest.raises(ArtifactRefused, match="does not fit"):
        load_checkpoint(kept_checkpoint, network, optimizer, average=Average(network, 0.9).weights)


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    """A first start is no error."""
    assert load_checkpoint(tmp_path / "stage", *_trained(1), average={}) is None


def test_before_the_first_check_there_are_no_best_weights(tmp_path: Path) -> None:
    """Such a checkpoint gives none back."""
    network, optimizer = _trained(1)
    save_checkpoint(tmp_path / "stage", network, optimizer, {}, Place(step=1), average={})
    assert load_checkpoint(tmp_path / "stage", network, optimizer, average={}) == (Place(step=1), {})


def test_a_checkpoint_replaces_the_one_before_and_leaves_nothing_else(kept_checkpoint: Path) -> None:
    """There is one file, and it is the last one written."""
    network, optimizer = _trained(1)
    save_checkpoint(kept_checkpoint, network, optimizer, {}, Place(step=9), average={})
    found = load_checkpoint(kept_checkpoint, network, optimizer, average={})
    assert found is not None
    assert found[0].step == 9
    assert list(kept_checkpoint.parent.iterdir()) == [kept_checkpoint]


def test_a_full_disk_is_told_as_such_and_keeps_the_checkpoint_before(kept_checkpoint: Path) -> None:
    """The operating system's own error comes through, which the command line knows; the last good state stays."""
    before = kept_checkpoint.read_bytes()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            save_checkpoint(kept_checkpoint, *_trained(2), {}, PLACE, average={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert kept_checkpoint.read_bytes() == before


def _rewritten(path: Path, *, without: str = "", **tensors: Tensor) -> None:
    content = load(path.read_bytes())
    content.pop(without, None)
    path.write_bytes(save(content | tensors, metadata={"place": '{"step": 7}'}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b"\xff" * path.stat().st_size),
        lambda path: path.write_bytes(save(load(path.read_bytes()))),
        lambda path: path.write_bytes(save(load(path.read_bytes()), metadata={"place": '{"stride": 7}'})),
        lambda path: _rewritten(path, without="network.0.bias"),
        lambda path: _rewritten(path, without="random.cpu"),
        lambda path: _rewritten(path, stranger=torch.zeros(1)),
    ],
    ids=["empty", "cut short", "noise", "no place", "another place", "a weight less", "no random state", "a stranger"],
)
def test_a_damaged_checkpoint_is_refused_with_what_to_delete(kept_checkpoint: Path, damage: object) -> None:
    """Exit 8, and the folder to delete to start anew."""
    assert callable(damage)
    damage(kept_checkpoint)
    with pytest.raises(ArtifactRefused) as refusal:
        load_checkpoint(kept_checkpoint, *_trained(1), average={})
    assert f"Delete {kept_checkpoint.parent}" in str(refusal.value)
    assert refusal.value.exit_code == 8


def test_the_checkpoint_of_another_network_is_refused(kept_checkpoint: Path) -> None:
    """Weights of other shapes do not fit."""
    with pytest.raises(ArtifactRefused, match="does not fit"):
        load_checkpoint(kept_checkpoint, *_trained(1, width=5), average={})
