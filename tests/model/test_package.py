"""Promises about the model package: what is written is what is read, and nothing else is read."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pickle
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save_file
from torch import Tensor

from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.model.backbone import Backbone, load_backbone
from eqn.model.int8_layers import product_names
from eqn.model.network import EmotionNetwork
from eqn.model.package import Description, Package, load_network, read_package, require_free, write_package
from eqn.model.scoring import Scorer

FILES = ["README.md", "config.json", "eqn.json", "model.safetensors", "tokenizer.json"]

CONFORMAL = {
    "coverage": 0.9,
    "limits": {name: number / 30 for number, name in enumerate(EMOTIONS) if name != "grief"},
    "rows": dict.fromkeys(EMOTIONS, 50) | {"grief": 3},
}

INT8 = {"mean_change": 0.001, "ranges": {name: [-1.5, 2] for name in product_names(2)}}

DESCRIPTION = Description(
    thresholds={name: 0.1 + number / 100 for number, name in enumerate(EMOTIONS)},
    max_tokens=64,
    pooling="mean",
    training_key="f" * 64,
    recipe={"name": "toy", "epochs": 2},
    backbone={"name": "tiny", "digest": "0" * 64},
    corpus={"name": "toy, naïve", "digest": "1" * 64, "rows": {"train": 60, "dev": 30, "test": 30}},
    metrics={"dev": {"macro_f1": 0.25}, "test": {"macro_f1": 0.125}},
    calibration={"method": "a map", "rows": 15, "scale": {"joy": 1.5}, "shift": {"joy": -0.25}},
    conformal=CONFORMAL,
    int8=INT8,
)


@pytest.fixture(scope="module")
def whole_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that nobody touches: tests work on copies."""
    folder = tmp_path_factory.mktemp("packages")
    backbone = load_backbone("tiny", cache=folder, seed=0)
    torch.manual_seed(0)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.1)
    return write_package(folder / "whole", network, backbone.tokenizer, DESCRIPTION, card="# A card ☺\n").path


@pytest.fixture
def package_copy(whole_package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_package, tmp_path / "copy"))


def _sealed(package: Path) -> Path:
    """Let eqn.json say of every file what it is now, as a forger would."""
    facts = json.loads((package / "eqn.json").read_text("utf-8"))
    for name in facts["files"]:
        content = (package / name).read_bytes()
        facts["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (package / "eqn.json").write_text(json.dumps(facts), "utf-8")
    return package


def _say(package: Path, **changes: Any) -> None:
    facts = json.loads((package / "eqn.json").read_text("utf-8"))
    (package / "eqn.json").write_text(json.dumps(facts | changes), "utf-8")


def _refused(package: Path) -> ArtifactRefused:
    with pytest.raises(ArtifactRefused) as refusal:
        load_network(read_package(package))
    assert refusal.value.exit_code == 8
    return refusal.value


def test_a_package_is_read_as_it_was_described(whole_package: Path) -> None:
    """Every fact of the description comes back, and the digest is that of eqn.json's bytes."""
    read = read_package(whole_package)
    facts = {field.name: getattr(read, field.name) for field in dataclasses.fields(Description)}
    assert Description(**facts) == DESCRIPTION
    assert read.labels == EMOTIONS
    assert read.path == whole_package
    assert read.digest == hashlib.sha256((whole_package / "eqn.json").read_bytes()).hexdigest()
    assert sorted(path.name for path in whole_package.iterdir()) == FILES
    assert (whole_package / "README.md").read_text("utf-8") == "# A card ☺\n"


def test_a_package_scores_as_the_network_that_was_written(
    tmp_path: Path, tiny_backbone: Backbone, tiny_network: EmotionNetwork, model_texts: list[str]
) -> None:
    """Weights and tokenizer survive exactly: the scores after reading are the same bits."""

    def scores(network: EmotionNetwork, tokenizer: Any) -> Any:
        scorer = Scorer(network, tokenizer, max_tokens=64, precision=torch.float32)
        return scorer.scores(scorer.encode(model_texts))

    before = scores(tiny_network, tiny_backbone.tokenizer)
    package = write_package(tmp_path / "model", tiny_network, tiny_backbone.tokenizer, DESCRIPTION, card="")
    network, tokenizer = load_network(package)
    np.testing.assert_array_equal(scores(network, tokenizer), before)
    assert not network.training


def test_the_way_of_pooling_is_part_of_the_package(tmp_path: Path, tiny_backbone: Backbone) -> None:
    """A network that reads the first token does so after reading the package too."""
    network = EmotionNetwork(tiny_backbone.encoder, pooling="cls", dropout=0.0)
    description = dataclasses.replace(DESCRIPTION, pooling="cls")
    package = write_package(tmp_path / "model", network, tiny_backbone.tokenizer, description, card="")
    assert load_network(package)[0].pooling == "cls"


def test_the_pooler_and_clipping_are_part_of_the_package(
    tmp_path: Path, tiny_network: EmotionNetwork, model_texts: list[str]
) -> None:
    """A network with BERT's pooling layer and outputs to clip answers the same bits after reading, all in [0, 1]."""
    backbone = load_backbone("tiny", cache=tmp_path, seed=0, pooler=True)
    network = EmotionNetwork(backbone.encoder, pooling="pooler", dropout=0.0, output="clip").eval()
    with torch.no_grad():
        network.head.weight.mul_(10)
    description = dataclasses.replace(DESCRIPTION, pooling="pooler", output="clip")
    package = write_package(tmp_path / "model", network, backbone.tokenizer, description, card="")
    read, tokenizer = load_network(package)
    before, after = (
        Scorer(one, words, max_tokens=64, precision=torch.float32)
        for one, words in ((network, backbone.tokenizer), (read, tokenizer))
    )
    encoded = before.encode(model_texts)
    np.testing.assert_array_equal(after.outputs(encoded), before.outputs(encoded))
    scores = after.scores(encoded)
    assert before.outputs(encoded).min() < 0 == scores.min()
    assert scores.max() <= 1


def _as_format(package: Path, form: int) -> Path:
    """Make of a package what an earlier EQN would have written.

    Format 1 said nothing of the output and had no figures, format 2 nothing of calibration and conformal sets, format 3
    nothing of 8-bit ranges.
    """
    facts = json.loads((package / "eqn.json").read_text("utf-8"))
    unknown = {"int8": 4, "calibration": 3, "conformal": 3, "output": 2}
    for name in (name for name, since in unknown.items() if form < since):
        del facts[name]
    (package / "eqn.json").write_text(json.dumps(facts | {"format": form}), "utf-8")
    return package


@pytest.mark.parametrize("form", [1, 2, 3])
def test_a_package_of_an_earlier_format_is_read_as_it_always_was(
    package_copy: Path, model_texts: list[str], form: int
) -> None:
    """Its outputs are logits: the scores are the same bits as those of a package of today, and it promises no sets."""
    scores = []
    for path in (package_copy, _as_format(package_copy, form)):
        package = read_package(path)
        assert package.output == "sigmoid"
        network, tokenizer = load_network(package)
        scorer = Scorer(network, tokenizer, max_tokens=64, precision=torch.float32)
        scores.append(scorer.scores(scorer.encode(model_texts)))
    np.testing.assert_array_equal(scores[1], scores[0])
    assert package.int8 == {}
    assert (package.calibration, package.conformal) == (
        ({}, {}) if form < 3 else (DESCRIPTION.calibration, DESCRIPTION.conformal)
    )


@pytest.fixture
def illustrated_package(tmp_path: Path, whole_package: Path) -> Path:
    """A package with two of the card's figures."""
    network, tokenizer = load_network(read_package(whole_package))
    figures = {"emotions.png": b"an image", "correlation.png": b"another one"}
    return write_package(tmp_path / "illustrated", network, tokenizer, DESCRIPTION, card="", figures=figures).path


def test_a_package_may_hold_the_cards_figures(illustrated_package: Path) -> None:
    """They stand beside the card, as they were given, and reading the package asks for no others."""
    assert sorted(path.name for path in illustrated_package.iterdir()) == sorted(
        [*FILES, "emotions.png", "correlation.png"]
    )
    assert (illustrated_package / "emotions.png").read_bytes() == b"an image"
    load_network(read_package(illustrated_package))


def test_a_figure_is_covered_by_the_digest_like_every_file(illustrated_package: Path) -> None:
    """Changed, missing, or put beside files that eqn.json does not name it with: refused with its name."""
    figure = illustrated_package / "emotions.png"
    figure.write_bytes(b"in image")
    assert "emotions.png: changed" in str(_refused(illustrated_package))
    figure.unlink()
    assert "emotions.png" in str(_refused(illustrated_package))
    figure.write_bytes(b"an image")
    (illustrated_package / "reliability.png").write_bytes(b"a figure that nobody announced")
    assert "reliability.png: a file that does not belong here" in str(_refused(illustrated_package))


@pytest.mark.parametrize("name", ["evil.png", "modeling_evil.py", "emotions.PNG", "pytorch_model.bin"])
def test_eqn_json_cannot_announce_other_files(illustrated_package: Path, name: str) -> None:
    """Nothing but the figures' own names may be listed beside the five files, whatever its digest."""
    (illustrated_package / name).write_bytes(b"x")
    facts = json.loads((illustrated_package / "eqn.json").read_text("utf-8"))
    _say(illustrated_package, files=facts["files"] | {name: {"sha256": "", "bytes": 1}})
    assert "beside them none but" in str(_refused(_sealed(illustrated_package)))


def test_equal_models_give_equal_bytes(tmp_path: Path, whole_package: Path) -> None:
    """The same network written twice, in two places, is the same package, byte by byte."""
    network, tokenizer = load_network(read_package(whole_package))
    again = write_package(tmp_path / "again", network, tokenizer, DESCRIPTION, card="# A card ☺\n")
    assert again.digest == read_package(whole_package).digest
    for name in FILES:
        assert (again.path / name).read_bytes() == (whole_package / name).read_bytes(), name


def test_weights_are_written_as_float32_whatever_they_were(tmp_path: Path, tiny_backbone: Backbone) -> None:
    """A network in half precision gives a package that every machine can read."""
    network = EmotionNetwork(tiny_backbone.encoder, pooling="mean", dropout=0.0).to(torch.bfloat16)
    package = write_package(tmp_path / "model", network, tiny_backbone.tokenizer, DESCRIPTION, card="")
    dtypes = {tensor.dtype for tensor in load((package.path / "model.safetensors").read_bytes()).values()}
    assert dtypes == {torch.float32}


def test_every_file_can_be_read_by_whom_the_umask_allows(tmp_path: Path, whole_package: Path) -> None:
    """A package is shared: no file is closed to others by the library that wrote it."""
    probe = tmp_path / "probe"
    probe.write_bytes(b"")
    modes = {name: stat.S_IMODE((whole_package / name).stat().st_mode) for name in FILES}
    assert modes == dict.fromkeys(FILES, stat.S_IMODE(probe.stat().st_mode))


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_anywhere_is_noticed(package_copy: Path, name: str) -> None:
    """In a file that eqn.json covers it is refused; eqn.json's own bytes are the package's identity."""
    whole = read_package(package_copy).digest
    content = bytearray((package_copy / name).read_bytes())
    for place in (0, len(content) // 2, len(content) - 2):
        changed = content.copy()
        changed[place] ^= 1
        (package_copy / name).write_bytes(changed)
        if name != "eqn.json":
            assert f"{name}: changed" in str(_refused(package_copy))
            continue
        with contextlib.suppress(ArtifactRefused):
            assert read_package(package_copy).digest != whole


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(package_copy: Path, name: str) -> None:
    """Every one of the five is needed, and the message names it."""
    (package_copy / name).unlink()
    assert name in str(_refused(package_copy))


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused(package_copy: Path, tmp_path: Path, name: str) -> None:
    """Even to the very same bytes: what it points to may change after it was checked."""
    moved = (package_copy / name).rename(tmp_path / name)
    (package_copy / name).symlink_to(moved)
    assert name in str(_refused(package_copy))


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file_is_refused(package_copy: Path, name: str) -> None:
    """No file can be a directory."""
    (package_copy / name).unlink()
    (package_copy / name).mkdir()
    assert name in str(_refused(package_copy))


@pytest.mark.parametrize("name", ["modeling_evil.py", "pytorch_model.bin", ".hidden", "requirements.txt"])
def test_a_foreign_file_is_refused(package_copy: Path, name: str) -> None:
    """What is not one of the five does not belong there."""
    (package_copy / name).write_bytes(b"")
    assert f"{name}: a file that does not belong here" in str(_refused(package_copy))


def test_all_faults_of_a_package_are_named_at_once(package_copy: Path) -> None:
    """A foreign file, a changed one, a missing one and wrong labels make one refusal."""
    (package_copy / "foreign").write_bytes(b"")
    (package_copy / "README.md").write_bytes(b"another card")
    (package_copy / "config.json").unlink()
    _say(package_copy, labels=list(EMOTIONS[::-1]))
    named = [fault.split(":")[0] for fault in _refused(package_copy).faults]
    assert named == ["foreign", "README.md", "config.json", "labels"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"labels": [EMOTIONS[1], EMOTIONS[0], *EMOTIONS[2:]]}, "labels"),
        ({"labels": list(EMOTIONS[:-1])}, "labels"),
        ({"labels": 28}, "not readable"),
        ({"thresholds": dict.fromkeys(EMOTIONS[1:], 0.5)}, "thresholds"),
        ({"thresholds": dict.fromkeys((*EMOTIONS, "bliss"), 0.5)}, "thresholds"),
        ({"thresholds": list(EMOTIONS)}, "thresholds"),
        ({"thresholds": None}, "thresholds"),
        ({"thresholds": dict.fromkeys(EMOTIONS, "0.5")}, "thresholds"),
        ({"thresholds": dict.fromkeys(EMOTIONS, 1.5)}, "thresholds"),
        ({"thresholds": dict.fromkeys(EMOTIONS, float("nan"))}, "thresholds"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "64"}, "max_tokens"),
        ({"pooling": "max"}, "pooling"),
        ({"pooling": ["mean"]}, "pooling"),
        ({"output": "softmax"}, "output"),
        ({"output": None}, "output"),
        ({"recipe": []}, "recipe"),
        ({"corpus": "goemotions"}, "corpus"),
        ({"metrics": None}, "metrics"),
        ({"calibration": None}, "calibration"),
        ({"calibration": ["a map"]}, "calibration"),
        ({"conformal": None}, "conformal"),
        ({"conformal": []}, "conformal"),
        ({"conformal": {"coverage": 0.9}}, "conformal"),
        ({"conformal": CONFORMAL | {"more": 1}}, "conformal"),
        ({"conformal": CONFORMAL | {"coverage": 1.0}}, "conformal"),
        ({"conformal": CONFORMAL | {"coverage": 0.0}}, "conformal"),
        ({"conformal": CONFORMAL | {"coverage": float("nan")}}, "conformal"),
        ({"conformal": CONFORMAL | {"coverage": "0.9"}}, "conformal"),
        ({"conformal": CONFORMAL | {"limits": {"bliss": 0.5}}}, "conformal"),
        ({"conformal": CONFORMAL | {"limits": {"joy": 1.5}}}, "conformal"),
        ({"conformal": CONFORMAL | {"limits": {"joy": float("nan")}}}, "conformal"),
        ({"conformal": CONFORMAL | {"limits": {"joy": "0.5"}}}, "conformal"),
        ({"conformal": CONFORMAL | {"limits": [0.5]}}, "conformal"),
        ({"conformal": CONFORMAL | {"rows": dict.fromkeys(EMOTIONS[1:], 50)}}, "conformal"),
        ({"conformal": CONFORMAL | {"rows": dict.fromkeys(EMOTIONS, "50")}}, "conformal"),
        ({"conformal": CONFORMAL | {"rows": None}}, "conformal"),
        ({"int8": None}, "int8"),
        ({"int8": ["ranges"]}, "int8"),
        ({"int8": {"mean_change": 0.1}}, "int8"),
        ({"int8": INT8 | {"refused": "too far off"}}, "int8"),
        ({"int8": INT8 | {"ranges": [[0, 1]]}}, "int8"),
        ({"int8": INT8 | {"ranges": {"0.inner": [0]}}}, "int8"),
        ({"int8": INT8 | {"ranges": {"0.inner": 1}}}, "int8"),
        ({"int8": INT8 | {"ranges": {"0.inner": [0, "1"]}}}, "int8"),
        ({"int8": INT8 | {"ranges": {"0.inner": [1, 0]}}}, "int8"),
        ({"int8": INT8 | {"ranges": {"0.inner": [float("-inf"), 1]}}}, "int8"),
        ({"int8": INT8 | {"ranges": {"0.inner": [0, float("nan")]}}}, "int8"),
        ({"int8": INT8 | {"ranges": {"0.inner": [0, 10**400]}}}, "int8"),
        ({"int8": INT8 | {"ranges": {"0.inner": [-1e308, 1e308]}}}, "int8"),
        ({"format": 5}, "format 4 expected, got 5"),
        ({"format": 0}, "format 4 expected, got 0"),
        ({"files": {}}, "must list"),
        ({"files": None}, "must list"),
        ({"unknown": 1}, "not readable"),
    ],
)
def test_a_description_that_cannot_be_true_is_refused(package_copy: Path, changes: dict[str, Any], named: str) -> None:
    """Labels in another order, a threshold too few, a value of the wrong kind: refused with the fact's name."""
    _say(package_copy, **changes)
    assert named in str(_refused(package_copy))


@pytest.mark.parametrize("names", [product_names(1), product_names(3), [*product_names(2), "encoder"], []])
def test_8_bit_ranges_of_another_network_are_refused(package_copy: Path, names: list[str]) -> None:
    """A product without a range would only be missed in the middle of making the network ready."""
    _say(package_copy, int8=INT8 | {"ranges": {name: [-1, 1] for name in names}})
    with pytest.raises(ArtifactRefused, match="cannot be built") as refusal:
        load_network(read_package(package_copy))
    assert all("8-bit range" in fault for fault in refusal.value.faults)


def test_why_8_bits_were_refused_is_kept(package_copy: Path) -> None:
    """A package without ranges may say what dev said; it is read, and its network is the same."""
    said = {"mean_change": 0.02, "macro_f1_loss": 0.01, "interval": [0.005, 0.02], "refused": "scores move"}
    _say(package_copy, int8=said)
    package = read_package(package_copy)
    assert package.int8 == said
    load_network(package)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, None])
def test_a_description_that_is_none_is_refused(package_copy: Path, content: bytes | None) -> None:
    """Empty, truncated (None: in the middle), of another kind, no UTF-8, or nested without end."""
    place = package_copy / "eqn.json"
    place.write_bytes(place.read_bytes()[: place.stat().st_size // 2] if content is None else content)
    assert "not readable" in str(_refused(package_copy))


def test_what_is_no_directory_is_no_package(tmp_path: Path) -> None:
    """A file, or nothing at all, is refused like everything else."""
    (tmp_path / "file").write_bytes(b"")
    for place in ("file", "nothing"):
        assert "expected a model package" in str(_refused(tmp_path / place))


def _without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda weights: weights.pop(name)


def _with(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], object]:
    return lambda weights: weights.update({name: tensor})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_with("head.bias", torch.full((28,), float("nan"))), "no numbers"),
        (_with("head.weight", torch.full((28, 64), float("inf"))), "no numbers"),
        (_with("head.bias", torch.zeros(27)), "cannot be built"),
        (_with("head.weight", torch.zeros(64, 28)), "cannot be built"),
        (_with("head.extra", torch.zeros(1)), "cannot be built"),
        (_without("head.bias"), "cannot be built"),
    ],
    ids=["NaN", "infinite", "a label short", "transposed", "one too many", "one too few"],
)
def test_weights_that_are_no_such_network_are_refused(
    package_copy: Path, change: Callable[[dict[str, Tensor]], object], named: str
) -> None:
    """Also when the forger has made all digests right: NaN, wrong shapes, tensors too many or too few."""
    weights = load((package_copy / "model.safetensors").read_bytes())
    change(weights)
    save_file(weights, package_copy / "model.safetensors")
    assert named in str(_refused(_sealed(package_copy)))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "roberta"},
        {"model_type": "gpt2"},
        {"hidden_size": 128},
        {"hidden_size": "64"},
        {"hidden_size": 0},
        {"num_attention_heads": 0},
        {"num_attention_heads": 5},
        {"num_hidden_layers": 3},
        {"hidden_act": "os.system"},
        {"vocab_size": 10**13},
        {"max_position_embeddings": 32},
    ],
    ids=str,
)
def test_a_configuration_of_something_else_is_refused(package_copy: Path, changes: dict[str, Any]) -> None:
    """Another architecture, or numbers that no network or not this one has; digests are all right."""
    config = json.loads((package_copy / "config.json").read_text("utf-8"))
    (package_copy / "config.json").write_text(json.dumps(config | changes), "utf-8")
    _refused(_sealed(package_copy))


def test_a_package_that_says_to_read_more_than_its_encoder_can_is_refused(package_copy: Path) -> None:
    """The encoder knows 512 positions; with fewer, 64 tokens would end in the middle of a corpus."""
    weights = load((package_copy / "model.safetensors").read_bytes())
    positions = "encoder.embeddings.position_embeddings.weight"
    save_file(weights | {positions: weights[positions][:60].clone()}, package_copy / "model.safetensors")
    config = json.loads((package_copy / "config.json").read_text("utf-8"))
    (package_copy / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 60}), "utf-8")
    assert "reads 64 tokens; its encoder has 60 positions" in str(_refused(_sealed(package_copy)))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}"])
def test_files_that_cannot_be_read_are_refused(package_copy: Path, name: str, content: bytes) -> None:
    """Whatever a library says to a file that is none of its kind, the person gets one refusal."""
    (package_copy / name).write_bytes(content)
    _refused(_sealed(package_copy))


class _Evil:
    """Runs a command when somebody unpickles it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def test_nothing_in_a_package_is_executed(package_copy: Path, tmp_path: Path) -> None:
    """A configuration that names code is refused, and so are pickled weights: no canary is born."""
    canary = tmp_path / "canary"
    (tmp_path / "modeling_evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Evil: ...\n", "utf-8")
    config = json.loads((package_copy / "config.json").read_text("utf-8"))
    config |= {
        "auto_map": {"AutoModel": f"{tmp_path}--modeling_evil.Evil", "AutoConfig": "modeling_evil.Evil"},
        "architectures": ["Evil"],
        "trust_remote_code": True,
        "_attn_implementation_internal": f"{tmp_path}/modeling_evil",
    }
    (package_copy / "config.json").write_text(json.dumps(config), "utf-8")
    assert "auto_map: not allowed" in str(_refused(_sealed(package_copy)))

    for content in (pickle.dumps(_Evil(canary)), _torch_pickle(tmp_path, canary)):
        (package_copy / "model.safetensors").write_bytes(content)
        _refused(_sealed(package_copy))
    assert not canary.exists()
    pickle.loads(pickle.dumps(_Evil(canary)))  # noqa: S301  the proof that the canary would have sung
    assert canary.exists()


def _torch_pickle(tmp_path: Path, canary: Path) -> bytes:
    torch.save({"head.bias": _Evil(canary)}, tmp_path / "weights.bin")
    return (tmp_path / "weights.bin").read_bytes()


@pytest.mark.parametrize(
    "changes", [{"recipe": {"name": {1, 2}}}, {"card": "half a surrogate \ud800"}], ids=["description", "card"]
)
def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, tiny_backbone: Backbone, tiny_network: EmotionNetwork, changes: dict[str, Any]
) -> None:
    """A value that cannot be written, found after the weights were: the folder is as it was before."""
    card = changes.pop("card", "")
    description = dataclasses.replace(DESCRIPTION, **changes)
    (tmp_path / "other").write_bytes(b"")
    with pytest.raises((TypeError, UnicodeEncodeError)):
        write_package(tmp_path / "model", tiny_network, tiny_backbone.tokenizer, description, card=card)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_place_that_is_taken_is_refused_and_left_alone(
    tmp_path: Path, tiny_backbone: Backbone, tiny_network: EmotionNetwork
) -> None:
    """A directory with something in it, or a file, is somebody's; an empty directory is free."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine", "utf-8")
    (tmp_path / "file").write_text("mine", "utf-8")
    for place in ("folder", "file"):
        with pytest.raises(UsageError, match="expected a new directory"):
            write_package(tmp_path / place, tiny_network, tiny_backbone.tokenizer, DESCRIPTION, card="")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "mine"]
    (tmp_path / "empty").mkdir()
    require_free(tmp_path / "empty")
    package = write_package(tmp_path / "empty", tiny_network, tiny_backbone.tokenizer, DESCRIPTION, card="")
    assert isinstance(package, Package)
    assert sorted(path.name for path in package.path.iterdir()) == FILES
