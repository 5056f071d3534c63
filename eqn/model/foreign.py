"""Checkpoints of the original EQN, as torch.save wrote them: opened in a child process, held against BERT, taken over.

Such a file is a pickle in a zip archive. This process never opens it: a child without network and with little memory
does (`eqn.model.foreign_reader`), and gives back tensors as safetensors, and words. What comes back is trusted no more
than any other file: names, shapes and values are checked here.

Where the system does not let a child give up the network (some containers forbid namespaces), the checkpoint is read
all the same and the caller is told: the unpickler used knows no way to call code, which the child only backs up.

    bert.*                BERT with its pooler; position_ids, a constant that old versions kept, is ignored
    regressor.weight      (28, width); regressor.bias (28,): one row for each emotion, in the canonical order
"""

import dataclasses
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from eqn.errors import ArtifactRefused, UsageError
from eqn.model.shapes import first, shape_faults

if TYPE_CHECKING:
    from torch import Tensor

    from eqn.model.network import EmotionNetwork

ORIGINAL_BACKBONE = "bert-base-cased"
"""What the original was trained from."""

_READER = Path(__file__).with_name("foreign_reader.py")
_SECONDS = 900.0
_MOST_WORDS = 2**16
_SHA256 = re.compile("[0-9a-f]{64}")
_LAYER = re.compile(r"bert\.encoder\.layer\.([0-9]{1,3})\.")
_CONSTANTS = {"bert.embeddings.position_ids", "bert.embeddings.token_type_ids"}
_HEAD_WIDTH = 64
"""Every published BERT splits its width into heads of 64."""


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was in a checkpoint's file."""

    path: Path
    sha256: str
    """Of the file."""
    tensors: "Mapping[str, Tensor]"
    """By their names in the file, without `module.` before them; float32, every value finite."""
    unconfined: tuple[str, ...]
    """What the child that opened the file might have done, had there been a way to make it."""


def read_checkpoint(path: Path, *, room: Path, sha256: str = "") -> Checkpoint:
    """Read the checkpoint in the file `path`; whatever is needed on the way is kept in, and removed from, `room`.

    Raises:
        UsageError: there is no such file, or `sha256` is none.
        ArtifactRefused: the file has another sha256, or is no checkpoint of plain, finite tensors.

    """
    if sha256 and not _SHA256.fullmatch(sha256.lower()):
        raise UsageError(f"expected a sha256 of 64 hexadecimal digits, got {sha256!r}.")
    with _opened(path) as file:
        found = hashlib.sha256()
        while block := os.read(file, 2**20):
            found.update(block)
        if sha256 and found.hexdigest() != sha256.lower():
            raise ArtifactRefused(
                f"{path} is not the expected checkpoint.",
                faults=[f"expected sha256: {sha256.lower()}", f"found: {found.hexdigest()}"],
                todo="Fetch it again, and compare with what its author publishes.",
            )
        with tempfile.TemporaryDirectory(prefix=".import-", dir=room) as folder:
            unconfined = _read_in_child(path, file, Path(folder))
            tensors = _tensors(path, Path(folder) / "tensors.safetensors")
    return Checkpoint(path, found.hexdigest(), tensors, tuple(unconfined))


def network_of(checkpoint: Checkpoint, known: Mapping[str, Any]) -> "EmotionNetwork":
    """Build the network of `checkpoint`, in evaluation mode on the CPU.

    Sizes are told by the tensors. `known` is the configuration of the BERT that it was trained from, as far as there is
    one: it says what tensors do not (heads, activation ...), and must not contradict them.

    Raises:
        ArtifactRefused: the tensors are not those of EQN, or of another BERT than `known`; all faults are named.

    """
    from transformers import BertModel

    from eqn.model.backbone import bert_config
    from eqn.model.network import EmotionNetwork

    told = _sizes(checkpoint)
    different = [
        f"{name}: {size} in the checkpoint, {known[name]} in the backbone"
        for name, size in told.items()
        if known.get(name, size) != size
    ]
    if different:
        raise ArtifactRefused(
            f"{checkpoint.path} was not trained from this backbone.",
            faults=different,
            todo="Name the BERT that it was trained from with --backbone.",
        )
    width = told["hidden_size"]
    if "num_attention_heads" not in known and width % _HEAD_WIDTH:
        raise _no_bert(checkpoint, f"a width of {width} does not tell how many heads it has")
    try:
        config = bert_config({"num_attention_heads": width // _HEAD_WIDTH, **known, **told})
        encoder = BertModel(config, add_pooling_layer=True)
    except Exception as error:  # transformers and torch raise whatever they meet
        raise _no_bert(checkpoint, str(error)) from error
    network = EmotionNetwork(encoder, pooling="pooler", dropout=0.0, output="clip")
    network.load_state_dict({name: checkpoint.tensors[_theirs(name)] for name in network.state_dict()}, strict=True)
    return network.eval()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not keep us waiting
    except FileNotFoundError as error:
        raise UsageError(f"expected a checkpoint; there is no file {path}.") from error
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode) or not facts.st_size:
            came = "is empty" if stat.S_ISREG(facts.st_mode) else "is no plain file"
            raise ArtifactRefused(f"expected a checkpoint as torch.save writes it; {path} {came}.")
        yield file
    finally:
        os.close(file)


def _read_in_child(path: Path, file: int, folder: Path) -> list[str]:
    """Let a child read `file` into `folder`; give what it could not be kept from.

    Its output is not read, and nothing of this process' environment reaches it but where libraries lie.
    """
    libraries = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    os.lseek(file, 0, os.SEEK_SET)
    try:
        done = subprocess.run(  # noqa: S603  our own program
            [sys.executable, "-I", str(_READER), str(os.getpid())],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=libraries | {"HOME": str(folder), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refusal(path, f"it was not read within {_SECONDS:.0f} seconds") from error
    said = _said(folder / "found.json")
    if done.returncode or said is None:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise _refusal(path, f"the process that read it came to an end of its own ({how})")
    if "errno" in said:
        raise OSError(said["errno"], os.strerror(said["errno"]), str(folder.parent))
    if "refused" in said:
        raise _refusal(path, str(said["refused"])[:500])
    return [str(sentence)[:200] for sentence in said.get("unconfined", [])]


def _said(file: Path) -> dict[str, Any] | None:
    if not _is_plain_file(file) or file.stat().st_size > _MOST_WORDS:
        return None
    try:
        said = json.loads(file.read_text("utf-8"))
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _tensors(path: Path, file: Path) -> "dict[str, Tensor]":
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        read = load_file(file) if _is_plain_file(file) else {}
    except SafetensorError as error:
        raise _refusal(path, f"what was read of it is damaged ({error})") from error
    named = {name.removeprefix("module."): tensor for name, tensor in read.items()}
    tensors = {name: tensor for name, tensor in named.items() if name not in _CONSTANTS}
    faults = [
        f"{name}: expected real numbers, got {t.dtype}" for name, t in tensors.items() if not t.is_floating_point()
    ]
    tensors = {name: tensor.to(torch.float32) for name, tensor in tensors.items()}
    faults += [f"{name}: holds NaN or infinity" for name, t in tensors.items() if not torch.isfinite(t).all()]
    if len(named) != len(read):
        faults.append("names that differ in nothing but `module.` before them")
    if faults:
        raise _refusal(path, "its tensors cannot be used", first(faults))
    return tensors


def _sizes(checkpoint: Checkpoint) -> dict[str, int]:
    """Tell BERT's sizes from the shapes of its tensors, and check that there are all of them and no others."""
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}

    def size(name: str, axis: int) -> int:
        shape = shapes.get(name, ())
        return shape[axis] if len(shape) == 2 else 0

    layers = [int(found[1]) for name in shapes if (found := _LAYER.match(name))]
    told = {
        "hidden_size": size("regressor.weight", 1),
        "num_hidden_layers": max(layers, default=-1) + 1,
        "intermediate_size": size("bert.encoder.layer.0.intermediate.dense.weight", 0),
        "vocab_size": size("bert.embeddings.word_embeddings.weight", 0),
        "max_position_embeddings": size("bert.embeddings.position_embeddings.weight", 0),
        "type_vocab_size": size("bert.embeddings.token_type_embeddings.weight", 0),
    }
    faults = shape_faults(shapes, SimpleNamespace(**told), pooler=True, called=_theirs)
    if faults:
        raise _refusal(
            checkpoint.path,
            "its tensors are not those of a BERT under `bert.` with its pooler, and of a `regressor` to 28 emotions",
            faults,
        )
    return told


def _theirs(name: str) -> str:
    """Give the name in the file of what is called `name` in an `EmotionNetwork`."""
    return re.sub(r"^head\.", "regressor.", re.sub(r"^encoder\.", "bert.", name))


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _refusal(path: Path, why: str, faults: list[str] | None = None) -> ArtifactRefused:
    return ArtifactRefused(
        f"{path} is not taken as a checkpoint of EQN: {why}.",
        faults=faults or (),
        todo="Expected: a file of torch.save with the tensors `bert.*` and `regressor.*` under `model_state_dict`.",
    )


def _no_bert(checkpoint: Checkpoint, why: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"no BERT can be built for {checkpoint.path}: {why}.",
        todo="Name the BERT that it was trained from, with its config.json, with --backbone.",
    )
