"""Promises about the model in the box, here one on the tiny backbone."""

import json
from pathlib import Path

import pytest
import torch

from eqn.errors import ArtifactRefused
from eqn.model.boxed import BOX, CARD, DELTA, DESCRIPTION, boxed_package
from eqn.model.package import load_network
from tests.model.boxes import Boxed, tiny_box


@pytest.fixture
def boxed(tmp_path: Path) -> Boxed:
    """A box of a network whose head and layers moved."""
    return tiny_box(tmp_path / "box")


def test_the_box_becomes_a_package_with_the_weights_that_it_stands_for(tmp_path: Path, boxed: Boxed) -> None:
    """Thresholds, figures and card are the box' own."""
    package = boxed_package(models=tmp_path / "models", backbones=tmp_path, box=boxed.folder)
    network, _ = load_network(package)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, boxed.tensors[name]), name
    assert package.thresholds["grief"] == 0.3
    assert package.metrics == {"test": {"macro_f1": 0.5}}
    assert (package.path / "README.md").read_text("utf-8") == "# A card\n"


def test_it_is_put_together_once_and_the_same_everywhere(tmp_path: Path, boxed: Boxed) -> None:
    """The second call reads what stands there; another machine makes the same digest."""
    first = boxed_package(models=tmp_path / "models", backbones=tmp_path, box=boxed.folder)
    written = (first.path / "model.safetensors").stat().st_mtime_ns
    again = boxed_package(models=tmp_path / "models", backbones=tmp_path, box=boxed.folder)
    elsewhere = boxed_package(models=tmp_path / "other", backbones=tmp_path, box=boxed.folder)
    assert (again.path / "model.safetensors").stat().st_mtime_ns == written
    assert first.digest == again.digest == elsewhere.digest


def test_a_package_of_the_box_that_was_changed_is_refused(tmp_path: Path, boxed: Boxed) -> None:
    """It is not quietly made anew: somebody has been there."""
    package = boxed_package(models=tmp_path / "models", backbones=tmp_path, box=boxed.folder)
    (package.path / "README.md").write_text("changed", "utf-8")
    with pytest.raises(ArtifactRefused, match=r"README\.md|not what it says"):
        boxed_package(models=tmp_path / "models", backbones=tmp_path, box=boxed.folder)


def test_another_backbone_is_refused(tmp_path: Path, boxed: Boxed) -> None:
    """The difference means nothing on other weights."""
    facts = json.loads((boxed.folder / DESCRIPTION).read_text("utf-8"))
    facts["backbone"]["digest"] = "0" * 64
    (boxed.folder / DESCRIPTION).write_text(json.dumps(facts), "utf-8")
    with pytest.raises(ArtifactRefused, match="its digest is another"):
        boxed_package(models=tmp_path / "models", backbones=tmp_path, box=boxed.folder)
    assert not list((tmp_path / "models").glob("*"))


def test_the_box_that_is_shipped_is_small_and_whole() -> None:
    """At most 3 MB, safetensors, with a card that says how it was made and under what licence."""
    assert sum(file.stat().st_size for file in BOX.iterdir()) <= 3_000_000
    assert {file.name for file in BOX.iterdir()} == {DELTA, DESCRIPTION, CARD}
    card = (BOX / CARD).read_text("utf-8")
    assert "infra/make_box.py" in card
    assert "Apache-2.0" in card or "apache-2.0" in card
