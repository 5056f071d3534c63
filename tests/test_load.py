"""`eqn.load`: a model by its name, as on the command line, on the fastest back end."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import eqn
from eqn.annotation.annotator import Annotator
from eqn.errors import ArtifactRefused, UsageError
from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork
from eqn.model.package import Description, write_package

LIGHT = """
import sys, eqn
assert callable(eqn.load)
print([name for name in ("torch", "numpy", "pandas", "pydantic", "typer") if name in sys.modules])
"""

WITHOUT_PIPELINE = """
import sys
for name in ("pydantic", "pydantic_settings", "mlflow", "pandas"):
    sys.modules[name] = None
import eqn
annotator = eqn.load(sys.argv[1], back_end="fp32", threads=1)
print(len(list(annotator.stream(["I can't stop smiling"]))[0]["labels"]))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of the tiny backbone, not trained."""
    folder = tmp_path_factory.mktemp("packages")
    torch.set_num_threads(1)
    backbone = load_backbone("tiny", cache=folder, seed=0)
    description = Description(
        thresholds=dict.fromkeys(eqn.EMOTIONS, 0.0),
        max_tokens=64,
        pooling="mean",
        training_key="f" * 64,
        recipe={"name": "toy"},
        backbone={"name": "tiny", "digest": backbone.digest},
        corpus={"name": "toy", "digest": "1" * 64, "rows": {"train": 1, "dev": 1, "test": 1}},
        metrics={},
    )
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.1)
    return write_package(folder / "toy", network, backbone.tokenizer, description, card="").path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_importing_eqn_loads_nothing() -> None:
    """The name is there, and what it needs comes with its call."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_package_directory_is_loaded(package: Path, home: Path) -> None:
    """By path or string; what is asked for is what computes, and nothing is measured then."""
    for name in (package, str(package)):
        annotator = eqn.load(name, back_end="fp32", threads=1)
        assert isinstance(annotator, Annotator)
        assert annotator.name == "fp32"
        assert annotator.annotate(["I can't stop smiling"]).shape == (1, 31)
    assert not home.exists()


def test_the_fastest_back_end_is_measured_once(package: Path, home: Path) -> None:
    """The choice is kept in the state folder; the next call takes it from there."""
    first = eqn.load(package)
    (kept,) = (home / "back_ends").iterdir()
    assert json.loads(kept.read_text("utf-8"))["name"] == first.name
    kept.write_text(json.dumps({"name": "fp32", "reason": "so it was", "rates": {"fp32": 1.0}}), "utf-8")
    assert eqn.load(package).name == "fp32"


def test_a_package_needs_no_pipeline(package: Path) -> None:
    """A machine without pydantic, MLflow and pandas annotates all the same."""
    command = [sys.executable, "-c", WITHOUT_PIPELINE, str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "28"), done.stderr


def test_a_damaged_package_is_refused_before_anything_is_computed(package: Path, home: Path, tmp_path: Path) -> None:
    """One changed byte in its weights: no back end is measured, no text is read."""
    copy = shutil.copytree(package, tmp_path / "copy")
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copy / "model.safetensors").write_bytes(weights)

    with pytest.raises(ArtifactRefused, match=r"model\.safetensors: changed"):
        eqn.load(copy)
    assert not home.exists()


def test_a_model_or_back_end_that_is_not_there_is_named(package: Path, home: Path) -> None:
    """With what there is."""
    with pytest.raises(UsageError, match="found no 'nobody'"):
        eqn.load("nobody")
    with pytest.raises(UsageError, match="int8, bf16, fp32; got turbo"):
        eqn.load(package, back_end="turbo")
