"""`eqn import-checkpoint`: from the original's file to a package that annotates."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.evaluation.halves import halves
from eqn.model.encoding import encode
from eqn.model.package import load_network, read_package
from eqn.registry import tracking
from eqn.registry.versions import list_versions, register
from eqn.settings import load_settings
from tests.model.foreign_files import Evil, original_tensors, write_original

Eqn = Callable[..., Any]
TINY = ("--backbone", "tiny")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the original has it."""
    return write_original(tmp_path_factory.mktemp("checkpoints") / "55770-1.pth")


def test_an_imported_checkpoint_annotates(eqn: Eqn, elsewhere: Path, checkpoint: Path) -> None:
    """The package answers by the original's formula, says where it is from, and that nothing was measured."""
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    done = eqn("import-checkpoint", checkpoint, "--out", "model", *TINY, "--sha256", digest, "--json")
    assert (done.code, done.err) == (0, "")
    facts = done.json()
    package = read_package(elsewhere / "model")
    assert facts == {
        "model": "model",
        "digest": package.digest,
        "sha256": digest,
        "unconfined": [],
        "metrics": {},
    }
    assert package.recipe["file_sha256"] == digest
    assert package.thresholds == dict.fromkeys(EMOTIONS, 0.5)
    assert (package.calibration, package.conformal) == ({}, {})
    assert [path.name for path in elsewhere.iterdir()] == ["model"]
    card = (elsewhere / "model" / "README.md").read_text("utf-8")
    assert "nothing was measured" in card
    assert digest in card

    annotator = Annotator.load(elsewhere / "model")
    text = "I can't stop smiling"
    tensors = original_tensors()
    network, tokenizer = load_network(package)
    ids = torch.tensor(encode(tokenizer, [text], package.max_tokens).ids)
    with torch.inference_mode():
        pooled = network.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).pooler_output
        regressed = pooled @ tensors["regressor.weight"].T + tensors["regressor.bias"]
    difference = annotator.scores([text]) - regressed.clamp(0, 1).numpy()
    tolerance = 1e-4 if annotator.options["precision"] == "float32" else 5e-2
    assert np.abs(difference).max() <= tolerance

    annotated = eqn("annotate", "--model", "model", "--text", text, "--json")
    assert annotated.code == 0
    for name, tensor in network.encoder.state_dict().items():
        assert torch.equal(tensor, tensors[f"bert.{name}"])


def test_with_data_thresholds_are_chosen_and_figures_computed(
    eqn: Eqn, elsewhere: Path, checkpoint: Path, corpus_folder: Path
) -> None:
    """`eqn evaluate` then gives the very figures of the card; such a package can be registered."""
    done = eqn("import-checkpoint", checkpoint, "--out", "model", *TINY, "--data", corpus_folder)
    assert done.code == 0, done.err
    assert "macro" in done.err
    assert "Next: eqn annotate --model model" in done.out
    package = read_package(elsewhere / "model")
    assert len(set(package.thresholds.values())) > 1
    assert package.recipe["thresholds"] == "chosen on dev of small"
    assert set(package.metrics) == {"dev", "test"}
    assert package.calibration == {}  # its outputs are no log odds
    assert package.conformal["coverage"] == 0.9
    assert sum(package.conformal["rows"].values()) == len(halves([f"dev-0-{label}" for label in range(28)]).calibrating)
    assert package.conformal["limits"] == {}  # a row of each emotion at most: nothing can be promised
    assert f"{package.metrics['test']['macro_f1']:.3f}" in (elsewhere / "model" / "README.md").read_text("utf-8")
    measured = eqn("evaluate", "model", "--data", corpus_folder, "--split", "test", "--json").json()
    assert measured["macro_f1"] == pytest.approx(package.metrics["test"]["macro_f1"], abs=1e-6)

    settings = load_settings()
    with tracking.run(settings, "an import") as run:
        registered = register(elsewhere / "model", run.id, settings, validation_passed=True)
    (row,) = list_versions(settings)
    assert (row.version, row.digest, row.corpus, row.train_rows) == (1, registered.digest, "unknown", 0)


def test_hostile_files_end_with_exit_code_8(eqn: Eqn, elsewhere: Path, checkpoint: Path) -> None:
    """One sentence without a traceback, nothing written, nothing run."""
    canary = elsewhere / "canary"
    hostile = write_original(elsewhere / "hostile.pth", original_tensors() | {"extra": Evil(canary)})
    for file, options, reason in (
        (hostile, TINY, "it holds more than tensors, namely posix.system"),
        (checkpoint, (*TINY, "--sha256", "0" * 64), "is not the expected checkpoint"),
        (elsewhere, TINY, "is no plain file"),
    ):
        done = eqn("import-checkpoint", file, "--out", "model", *options)
        assert done.code == 8
        assert reason in done.err
        assert "Traceback" not in done.err
        assert done.out == ""
    assert [path.name for path in elsewhere.iterdir()] == ["hostile.pth"]


def test_a_backbone_that_does_not_fit_is_refused(eqn: Eqn, elsewhere: Path, checkpoint: Path) -> None:
    """Its sizes are compared with the checkpoint's; a tokenizer without a configuration must have all its words."""
    folder = elsewhere / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nsmile\n", "utf-8")
    done = eqn("import-checkpoint", checkpoint, "--out", "model", "--backbone", folder)
    assert done.code == 8
    assert "vocab_size: 256 in the checkpoint, 6 in the backbone" in done.err

    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "num_hidden_layers": 12}), "utf-8")
    done = eqn("import-checkpoint", checkpoint, "--out", "model", "--backbone", folder)
    assert "num_hidden_layers: 2 in the checkpoint, 12 in the backbone" in done.err
    assert not (elsewhere / "model").exists()


def test_calls_that_cannot_be_taken_are_explained(eqn: Eqn, elsewhere: Path, checkpoint: Path) -> None:
    """A place that is taken, a file that is not there, a digest that is none, a backbone that nobody knows."""
    (elsewhere / "taken").mkdir()
    (elsewhere / "taken" / "mine").touch()
    for file, out, options in (
        (checkpoint, "taken", TINY),
        (elsewhere / "none.pth", "model", TINY),
        (checkpoint, "model", (*TINY, "--sha256", "abc")),
        (checkpoint, "model", (*TINY, "--data", elsewhere / "nowhere")),
        (checkpoint, "model", ("--backbone", "./nowhere")),
    ):
        done = eqn("import-checkpoint", file, "--out", out, *options)
        assert (done.code, done.out) == (2, "")
        assert "Traceback" not in done.err
    assert [path.name for path in elsewhere.iterdir()] == ["taken"]


def test_without_a_confined_reader_a_warning_is_given(
    eqn: Eqn, elsewhere: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output stays clean; the package is written."""
    from eqn.model import foreign

    reader = foreign._READER.read_text("utf-8").replace("0x10000000 | 0x40000000", "-1")
    (elsewhere / "reader.py").write_text(reader, "utf-8")
    monkeypatch.setattr("eqn.model.foreign._READER", elsewhere / "reader.py")
    done = eqn("import-checkpoint", checkpoint, "--out", "model", *TINY, "--json")
    assert done.code == 0
    assert "warning: the process that opened the file was not confined: it could have used the network" in done.err
    assert done.json()["unconfined"] == ["it could have used the network (Invalid argument)"]
