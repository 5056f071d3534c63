"""Promises about the original's checkpoints: plain ones are taken over exactly, all others refused, nothing is run."""

import hashlib
import json
import os
import pickle
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from eqn.cli import run as cli
from eqn.errors import ArtifactRefused, UsageError
from eqn.model.backbone import Backbone, backbone_frame
from eqn.model.encoding import encode, padded
from eqn.model.foreign import Checkpoint, network_of, read_checkpoint
from eqn.model.network import EmotionNetwork
from eqn.model.scoring import Scorer
from eqn.model.shapes import tensor_shapes
from tests.faults.promises import Trials
from tests.model.foreign_files import Evil, original_tensors, write_original

pytestmark = pytest.mark.promise(27)

READER = Path(__file__).parents[2] / "eqn" / "model" / "foreign_reader.py"
TINY, _ = backbone_frame("tiny", cache=Path())


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that is there once hostile code ran."""
    return tmp_path / "canary"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Where files may be kept for a while; each test leaves it empty."""
    folder = tmp_path / "room"
    folder.mkdir()
    return folder


def checkpoint(tensors: dict[str, Tensor]) -> Checkpoint:
    return Checkpoint(path=Path("55770-1.pth"), sha256="0" * 64, tensors=tensors, unconfined=())


def refused(path: Path, room: Path, **options: Any) -> ArtifactRefused:
    with pytest.raises(ArtifactRefused) as refusal:
        read_checkpoint(path, room=room, **options)
    assert refusal.value.exit_code == 8
    assert "weights_only" not in str(refusal.value)  # torch's own message advises to load it without protection
    assert list(room.iterdir()) == []
    return refusal.value


def test_a_plain_checkpoint_is_read_exactly(tmp_path: Path, room: Path) -> None:
    """Every tensor comes back bit by bit, without `module.`; halves become float32, the rest of the file nothing."""
    tensors = original_tensors()
    written = {f"module.{name}": tensor for name, tensor in tensors.items()}
    written["module.bert.embeddings.position_ids"] = torch.arange(512)[None]
    written["module.regressor.bias"] = tensors["regressor.bias"].half()
    read = read_checkpoint(write_original(tmp_path / "55770-1.pth", written), room=room)

    expected = tensors | {"regressor.bias": tensors["regressor.bias"].half().float()}
    assert read.tensors.keys() == expected.keys()
    assert all(torch.equal(read.tensors[name], expected[name]) for name in expected)
    assert {tensor.dtype for tensor in read.tensors.values()} == {torch.float32}
    assert list(room.iterdir()) == []


def test_a_bare_state_dict_with_its_digest_is_read(tmp_path: Path, room: Path) -> None:
    """The published training script saved state dicts without anything around them."""
    path = tmp_path / "model.pth"
    torch.save(original_tensors(), path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    read = read_checkpoint(path, room=room, sha256=digest.upper())
    assert read.sha256 == digest
    assert read.tensors.keys() == original_tensors().keys()


def test_the_network_gives_the_original_formula_s_scores(model_texts: list[str], tiny_backbone: Backbone) -> None:
    """BERT's pooler, one linear layer, clipped to [0, 1]; both ends of the range are met."""
    tensors = original_tensors()
    network = network_of(checkpoint(tensors), TINY)
    assert (network.pooling, network.output, network.training) == ("pooler", "clip", False)
    scorer = Scorer(network, tiny_backbone.tokenizer, max_tokens=128, precision=torch.float32)
    scores = torch.from_numpy(scorer.scores(scorer.encode(model_texts)))

    bert = type(network.encoder)(network.encoder.config, add_pooling_layer=True).eval()
    bert.load_state_dict({n.removeprefix("bert."): t for n, t in tensors.items() if n.startswith("bert.")})
    for row, ids in enumerate(encode(tiny_backbone.tokenizer, model_texts, 128).ids):
        with torch.inference_mode():
            tokens, mask = padded([ids], pad=0, device=torch.device("cpu"))
            pooled = bert(input_ids=tokens, attention_mask=mask).pooler_output
            regressed = nn.functional.linear(pooled, tensors["regressor.weight"], tensors["regressor.bias"])
        torch.testing.assert_close(scores[row], regressed[0].clamp(0, 1), atol=1e-5, rtol=0)
    assert (scores == 0).any()
    assert (scores == 1).any()
    assert ((scores > 0) & (scores < 1)).any()


def test_sizes_are_told_by_the_tensors_alone() -> None:
    """Without a configuration: all sizes from shapes, and heads of 64."""
    config = network_of(checkpoint(original_tensors()), {}).encoder.config
    sizes = {name: getattr(config, name) for name in TINY if name != "num_attention_heads"}
    assert sizes == {name: value for name, value in TINY.items() if name != "num_attention_heads"}
    assert config.num_attention_heads == 1


def test_another_backbone_s_configuration_is_refused() -> None:
    """Every size in which it differs is named."""
    with pytest.raises(ArtifactRefused, match="was not trained from this backbone") as refusal:
        network_of(checkpoint(original_tensors()), TINY | {"vocab_size": 28996, "hidden_size": 768})
    assert refusal.value.faults == (
        "hidden_size: 64 in the checkpoint, 768 in the backbone",
        "vocab_size: 256 in the checkpoint, 28996 in the backbone",
    )


@pytest.mark.parametrize("heads", [0, 3, "four", 10**9])
def test_heads_that_do_not_divide_the_width_are_refused(heads: object) -> None:
    """Nothing that a configuration says of the heads ends in a traceback."""
    with pytest.raises(ArtifactRefused, match="no BERT can be built"):
        network_of(checkpoint(original_tensors()), TINY | {"num_attention_heads": heads})


def _without(*names: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name not in names}


def _with(name: str, *shape: int) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: tensors | {name: torch.zeros(shape)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_without("regressor.bias", "bert.pooler.dense.weight"), ["bert.pooler.dense.weight: missing"]),
        (_without("regressor.weight"), ["regressor.weight: missing"]),
        (_without("bert.embeddings.word_embeddings.weight"), ["bert.embeddings.word_embeddings.weight: missing"]),
        (_with("regressor.weight", 27, 64), ["regressor.weight: expected the shape (28, 64), got (27, 64)"]),
        (_with("regressor.bias", 28, 1), ["regressor.bias: expected the shape (28,), got (28, 1)"]),
        (_with("bert.pooler.dense.weight", 64, 63), ["bert.pooler.dense.weight: expected the shape (64, 64)"]),
        (_with("classifier.weight", 28, 64), ["classifier.weight: does not belong here"]),
        (_with("encoder.pooler.dense.weight", 64, 64), ["encoder.pooler.dense.weight: does not belong here"]),
        (_with("bert.encoder.layer.7.output.dense.bias", 64), ["bert.encoder.layer.2.", "and 83 more"]),
        (_with("bert.encoder.layer.999.output.dense.bias", 64), ["1000 layers are said to be in 42 tensors"]),
        (_with("bert.encoder.layer.1000.output.dense.bias", 64), ["layer.1000.output.dense.bias: does not belong"]),
        (lambda _: {}, ["bert.pooler.dense.bias: missing", "regressor.weight: missing"]),
        (lambda tensors: {f"x.{name}": tensor for name, tensor in tensors.items()}, ["missing", "more"]),
    ],
)
def test_tensors_that_are_not_eqn_s_are_refused_by_name(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], named: list[str]
) -> None:
    """Missing, foreign or of another shape: the message names them, a dozen at most."""
    with pytest.raises(ArtifactRefused) as refusal:
        network_of(checkpoint(change(original_tensors())), {})
    assert [part for part in named if part not in str(refusal.value)] == []
    assert len(refusal.value.faults) <= 13


def _pickled(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps({"model_state_dict": Evil(canary)}))


def _legacy(path: Path, canary: Path) -> None:
    whole = {"model_state_dict": {"regressor.bias": Evil(canary)}}
    torch.save(whole, path, _use_new_zipfile_serialization=False)


def _reduced(path: Path, canary: Path) -> None:
    write_original(path, original_tensors() | {"regressor.extra": Evil(canary)})


def _zip_around_code(path: Path, canary: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil(canary), protocol=2))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")


def _whole_module(path: Path, canary: Path) -> None:
    torch.save(nn.Linear(64, 28), path)


def _script(path: Path, canary: Path) -> None:
    """By its constants torch knows a TorchScript archive; what is in it makes no difference."""
    write_original(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{path.stem}/constants.pkl", pickle.dumps(Evil(canary), protocol=2))


def _safetensors(path: Path, canary: Path) -> None:
    save_file(original_tensors(), path)


def _cut_off(path: Path, canary: Path) -> None:
    content = write_original(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _claims(path: Path, canary: Path) -> None:
    """A tensor of 10 GB whose every value is the same four bytes."""
    write_original(path, original_tensors() | {"regressor.bias": torch.zeros(1).expand(10 * 2**30 // 4)})


class _Zeros:
    """Ten gigabytes, in a pickle that the weights-only unpickler takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (10 * 2**30,)


def _hungry(path: Path, canary: Path) -> None:
    torch.save({"model_state_dict": original_tensors(), "epoch": _Zeros()}, path)


def _odd_values(path: Path, canary: Path) -> None:
    odd = {"a": 1, "b": torch.zeros(3, device="meta"), "c": torch.eye(2).to_sparse(), 4: torch.zeros(1)}
    write_original(path, original_tensors() | odd)


def _no_numbers(path: Path, canary: Path) -> None:
    wrong = {
        "regressor.bias": torch.full((28,), torch.nan),
        "bert.pooler.dense.bias": torch.zeros(64, dtype=torch.int64),
    }
    write_original(path, original_tensors() | wrong)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path, _: path.touch(), "is empty"),
        (lambda path, _: path.mkdir(), "is no plain file"),
        (lambda path, _: os.mkfifo(path), "is no plain file"),
        (lambda path, _: path.write_bytes(b"id,text\n"), "no archive as torch.save writes it"),
        (_pickled, "no archive as torch.save writes it"),
        (_legacy, "no archive as torch.save writes it"),
        (_safetensors, "it is a safetensors file"),
        (_reduced, "it holds more than tensors, namely posix.system"),
        (_zip_around_code, "it holds more than tensors, namely posix.system"),
        (_whole_module, "it holds more than tensors, namely torch.nn.modules.linear.Linear"),
        (_script, "it is a TorchScript archive"),
        (_cut_off, "its end is missing"),
        (_claims, "its tensors are said to be"),
        (_hungry, "it asks for more memory than a checkpoint of its size needs"),
        (_odd_values, "holds 4 things that are no plain tensors, such as a, b, c, 4"),
        (
            _no_numbers,
            "bert.pooler.dense.bias: expected real numbers, got torch.int64\n  - regressor.bias: holds NaN or infinity",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "refused",
)
def test_what_is_no_plain_checkpoint_is_refused_and_nothing_runs(
    tmp_path: Path, room: Path, canary: Path, write: Callable[[Path, Path], object], reason: str
) -> None:
    """One sentence says why; this process lives on, no file stays behind, and no canary is born."""
    path = tmp_path / "55770-1.pth"
    write(path, canary)
    assert reason in str(refused(path, room))
    assert not canary.exists()


def _wrong_keys(path: Path, canary: Path) -> None:
    write_original(path, {name.replace("regressor", "classifier"): it for name, it in original_tensors().items()})


CHECKPOINTS: dict[str, tuple[Callable[[Path, Path], object], str, int]] = {
    "good": (lambda path, _: torch.save(original_tensors(), path), "", 0),
    "whole module": (_whole_module, "", 8),
    "legacy pickle": (_legacy, "", 8),
    "os.system": (_reduced, "", 8),
    "wrong sha256": (lambda path, _: torch.save(original_tensors(), path), "0" * 64, 8),
    "truncated": (_cut_off, "", 8),
    "tensor of 10 GB": (_claims, "", 8),
    "wrong keys": (_wrong_keys, "", 8),
}
"""Files, the sha256 that is expected where it is not their own, and the exit code."""


def test_eight_checkpoints_end_as_they_should_on_the_command_line(
    tmp_path: Path, canary: Path, trials: Trials, capfd: pytest.CaptureFixture[str]
) -> None:
    """The plain one becomes a package of safetensors; of the others nothing is left, and nothing in them ran."""
    for number, (name, (write, expected, code)) in enumerate(CHECKPOINTS.items()):
        path, out = tmp_path / f"{number}.pth", tmp_path / f"package {number}"
        write(path, canary)
        digest = expected or hashlib.sha256(path.read_bytes()).hexdigest()
        found = cli(["import-checkpoint", str(path), "--sha256", digest, "--out", str(out), "--backbone", "tiny"])
        told = capfd.readouterr()
        assert found == code, (name, told.err)
        assert "Traceback" not in told.err, name
        assert ((out / "model.safetensors").is_file(), out.exists()) == (code == 0, code == 0), name
        assert not canary.exists(), name
        path.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["package 0"]
    trials(len(CHECKPOINTS), "checkpoints through the command")


@pytest.mark.parametrize("write", [_pickled, _legacy, _reduced])
def test_the_canary_would_sing(tmp_path: Path, canary: Path, write: Callable[[Path, Path], object]) -> None:
    """The very files of the test above do run their code where somebody loads them without protection."""
    path = tmp_path / "hostile.pth"
    write(path, canary)
    if write is _pickled:
        pickle.loads(path.read_bytes())  # noqa: S301  the proof
    else:
        torch.load(path, weights_only=False)
    assert canary.exists()


def test_a_file_with_another_digest_is_not_even_opened(tmp_path: Path, room: Path, canary: Path) -> None:
    """Both digests are told; what was expected is no digest at all is the caller's mistake, as is a missing file."""
    path = tmp_path / "x.pth"
    path.write_bytes(b"not a checkpoint")
    assert f"expected sha256: {'0' * 64}" in str(refused(path, room, sha256="0" * 64))
    for place, digest in ((path, "0" * 63), (path, "z" * 64), (tmp_path / "nothing", "")):
        with pytest.raises(UsageError):
            read_checkpoint(place, room=room, sha256=digest)


CONFINED = """
import ctypes, importlib.util, json, os, resource, signal, socket, sys
spec = importlib.util.spec_from_file_location("reader", sys.argv[1])
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)
unconfined = reader.confine(int(sys.argv[2]), 1000)
reader.limit_memory(1000)
death = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(death), 0, 0, 0)
reached, spent = True, False
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[3])), timeout=5)
except OSError:
    reached = False
try:
    bytearray(2 * 2**30)
except MemoryError:
    spent = True
limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE)]
print(json.dumps([unconfined, reached, spent, death.value, limits]))
"""


def _confined(parent: int, port: int = 9) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", CONFINED, str(READER), str(parent), str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_process_that_opens_the_file_is_confined() -> None:
    """It cannot reach an open port of this machine, nor take much memory or disk, and dies with its parent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = _confined(os.getpid(), server.getsockname()[1])
    unconfined, reached, spent, death, limits = json.loads(done.stdout)
    if unconfined:
        pytest.skip(f"NOT RUN: this system lets nobody give up the network: {unconfined}")
    assert (reached, spent, death, limits) == (False, True, 9, [0, 1000 + 2**20])


def test_a_reader_whose_parent_has_gone_ends(tmp_path: Path) -> None:
    """The parent's process id is told, because a death before the signal was asked for gives none."""
    done = _confined(os.getpid() + 1)
    assert done.returncode == 1
    assert "the parent has gone" in done.stderr


def test_what_could_not_be_given_up_is_told(tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where namespaces are forbidden the checkpoint is read all the same, and the caller learns of it."""
    forbidding = tmp_path / "reader.py"
    forbidding.write_text(READER.read_text("utf-8").replace("0x10000000 | 0x40000000", "-1"), "utf-8")
    monkeypatch.setattr("eqn.model.foreign._READER", forbidding)
    read = read_checkpoint(write_original(tmp_path / "x.pth"), room=room)
    assert read.unconfined == ("it could have used the network (Invalid argument)",)


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.abort()",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "raise SystemExit(3)",
        "pass",
        "open('found.json', 'w').write('[1]')",
        "open('found.json', 'w').write('{' * 70000)",
        "import os; os.symlink('/dev/zero', 'found.json')",
        "open('found.json', 'w').write('{}'); open('tensors.safetensors', 'wb').write(b'\\xff' * 99)",
        "open('found.json', 'w').write('{}'); import os; os.mkfifo('tensors.safetensors')",
    ],
)
def test_a_reader_that_was_taken_over_gets_nowhere(
    tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """Whatever the child does instead of its work, its parent refuses the checkpoint."""
    (tmp_path / "reader.py").write_text(program, "utf-8")
    monkeypatch.setattr("eqn.model.foreign._READER", tmp_path / "reader.py")
    (tmp_path / "x.pth").write_bytes(b"x")
    try:
        taken = read_checkpoint(tmp_path / "x.pth", room=room)
    except ArtifactRefused:
        return
    with pytest.raises(ArtifactRefused):
        network_of(taken, {})


def test_a_full_disk_is_told_as_such(tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says to the child is said to the caller."""
    (tmp_path / "reader.py").write_text("""open("found.json", "w").write('{"errno": 28}')""", "utf-8")
    monkeypatch.setattr("eqn.model.foreign._READER", tmp_path / "reader.py")
    (tmp_path / "x.pth").write_bytes(b"x")
    with pytest.raises(OSError, match="No space left"):
        read_checkpoint(tmp_path / "x.pth", room=room)


def test_the_environment_does_not_reach_the_child(tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither secrets nor variables that change how torch loads, or what Python runs at its start."""
    program = "import json, os; json.dump({'refused': ' '.join(os.environ)}, open('found.json', 'w'))"
    (tmp_path / "reader.py").write_text(program, "utf-8")
    monkeypatch.setattr("eqn.model.foreign._READER", tmp_path / "reader.py")
    for name in ("AWS_SECRET_ACCESS_KEY", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "PYTHONSTARTUP", "PYTHONPATH"):
        monkeypatch.setenv(name, "1")
    (tmp_path / "x.pth").write_bytes(b"x")
    told = str(refused(tmp_path / "x.pth", room))
    assert "HOME" in told
    assert not any(name in told for name in ("AWS", "TORCH", "PYTHON"))


def test_the_shapes_of_a_network_are_known_without_building_it() -> None:
    """They are those that it has once it is built, with BERT's pooler and without."""
    for pooler in (False, True):
        encoder = network_of(checkpoint(original_tensors()), TINY).encoder
        bert = type(encoder)(encoder.config, add_pooling_layer=pooler)
        network = EmotionNetwork(bert, pooling="pooler" if pooler else "mean", dropout=0.0)
        shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        assert tensor_shapes(encoder.config, pooler=pooler) == shapes
