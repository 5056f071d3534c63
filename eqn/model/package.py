"""The model package: a directory that holds a model, says what it is, and proves that it is unchanged.

    config.json         the encoder's numbers
    model.safetensors   all weights, float32
    tokenizer.json      the tokenizer
    README.md           the model card
    eqn.json            labels in order, thresholds, recipe, corpus, metrics, and sha256 and length of each file above

The package's digest is the sha256 of eqn.json, which covers every byte of it. A package is written beside its place
and renamed into it, and on reading every file is checked: a foreign, missing or changed file is refused.
"""

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from eqn.model.network import EmotionNetwork

FORMAT = 1
_DESCRIPTION = "eqn.json"
_FILES = frozenset({"config.json", "model.safetensors", "tokenizer.json", "README.md"})
_FETCH_AGAIN = "Train or fetch the model again; do not edit a package by hand."


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """What eqn.json says, but for the files' digests."""

    thresholds: Mapping[str, float]
    """Per emotion, the intensity from which it counts as a label; chosen on dev."""
    max_tokens: int
    pooling: str
    training_key: str
    """Digest that identifies this recipe on this data with this backbone."""
    recipe: Mapping[str, Any]
    backbone: Mapping[str, str]
    """`name` and `digest`."""
    corpus: Mapping[str, Any]
    """`name`, `digest` and `rows` of the training corpus."""
    metrics: Mapping[str, Mapping[str, float]]
    """Figures per split."""
    labels: tuple[str, ...] = EMOTIONS


@dataclasses.dataclass(frozen=True, slots=True)
class Package(Description):
    """A package that was read and whose every file was verified."""

    path: Path = Path()
    digest: str = ""


def write_package(
    path: Path, network: "EmotionNetwork", tokenizer: "Tokenizer", description: Description, *, card: str
) -> Package:
    """Write a package to `path`, which must not exist or be an empty directory; nothing half-written is left.

    Raises:
        UsageError: `path` is taken.

    """
    from eqn.model.backbone import CONFIG_KEYS
    from eqn.model.weights import write_tensors

    require_free(path)
    temporary = path.parent / f".tmp-{secrets.token_hex(8)}"
    temporary.mkdir(parents=True)
    try:
        values = network.encoder.config.to_dict()
        config = {"model_type": "bert"} | {key: values[key] for key in sorted(CONFIG_KEYS & values.keys())}
        (temporary / "config.json").write_text(_pretty(config), "utf-8")
        weights = {name: tensor.float() for name, tensor in network.state_dict().items()}
        write_tensors(temporary / "model.safetensors", weights)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.save(str(temporary / "tokenizer.json"))
        (temporary / "README.md").write_text(card, "utf-8")
        facts = {"format": FORMAT} | dataclasses.asdict(description) | {"files": _digests(temporary)}
        (temporary / _DESCRIPTION).write_text(_pretty(facts), "utf-8")
        for file in temporary.iterdir():
            _sync(file)
        if path.is_dir():
            path.rmdir()
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return read_package(path)


def require_free(path: Path) -> None:
    """Check that a package can be written to `path`.

    Raises:
        UsageError: something is there already.

    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"expected a new directory for the model; {path} exists.", todo="Choose another --out.")


def read_package(path: Path) -> Package:
    """Read and verify the package at `path`. Loads no weights and runs nothing.

    Raises:
        ArtifactRefused: it is not a package, or not the one that was written; all faults are named.

    """
    try:
        content = (path / _DESCRIPTION).read_bytes()
        facts = json.loads(content)
        files, form = facts.pop("files"), facts.pop("format")
        description = Description(**{**facts, "labels": tuple(facts["labels"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactRefused(
            f"expected a model package in {path}; its {_DESCRIPTION} is missing or not readable ({error}).",
            todo=_FETCH_AGAIN,
        ) from error
    faults = _faults(path, files)
    if form != FORMAT:
        faults.append(f"format {FORMAT} expected, got {form}")
    faults += _impossible(description)
    if faults:
        raise ArtifactRefused(f"the model package {path} is not what it says it is.", faults=faults, todo=_FETCH_AGAIN)
    whole = {field.name: getattr(description, field.name) for field in dataclasses.fields(Description)}
    return Package(**whole, path=path, digest=hashlib.sha256(content).hexdigest())


def load_network(package: Package) -> tuple["EmotionNetwork", "Tokenizer"]:
    """Build the network of a verified package, in evaluation mode on the CPU, and its tokenizer.

    Raises:
        ArtifactRefused: weights or tokenizer do not fit the description, or hold something that is no number.

    """
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertModel

    from eqn.model.backbone import bert_config
    from eqn.model.batching import padded_width
    from eqn.model.network import EmotionNetwork

    try:
        config = bert_config(json.loads((package.path / "config.json").read_text("utf-8")))
        encoder = BertModel(config, add_pooling_layer=False)
        network = EmotionNetwork(encoder, pooling="cls" if package.pooling == "cls" else "mean", dropout=0.0)
        weights = load_file(package.path / "model.safetensors")
        network.load_state_dict(weights, strict=True)
        tokenizer = Tokenizer.from_file(str(package.path / "tokenizer.json"))
    except ArtifactRefused:
        raise
    except Exception as error:  # tokenizers raises bare Exception, transformers and torch whatever they meet
        raise ArtifactRefused(f"the model in {package.path} cannot be built: {error}", todo=_FETCH_AGAIN) from error
    if padded_width(package.max_tokens) > config.max_position_embeddings:
        raise ArtifactRefused(
            f"{package.path} says that it reads {package.max_tokens} tokens; its encoder has "
            f"{config.max_position_embeddings} positions.",
            todo=_FETCH_AGAIN,
        )
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ArtifactRefused(
            f"the weights in {package.path} hold values that are no numbers.", faults=broken[:5], todo=_FETCH_AGAIN
        )
    return network.eval(), tokenizer


def _impossible(said: Description) -> list[str]:
    """Name what cannot be true of a model. Nothing is certain of the values' types: they come from a file."""
    thresholds = said.thresholds if isinstance(said.thresholds, dict) else {}
    rules = (
        ("labels: expected the 28 emotions in canonical order", said.labels == EMOTIONS),
        (
            "thresholds: expected a number in [0, 1] for each emotion",
            set(thresholds) == set(EMOTIONS)
            and all(isinstance(value, int | float) and 0 <= value <= 1 for value in thresholds.values()),
        ),
        ("max_tokens: expected 8 ... 512", isinstance(said.max_tokens, int) and 8 <= said.max_tokens <= 512),
        ("pooling: expected mean or cls", said.pooling in ("mean", "cls")),
        *(
            (f"{name}: expected an object", isinstance(getattr(said, name), dict))
            for name in ("recipe", "backbone", "corpus", "metrics")
        ),
    )
    return [fault for fault, fits in rules if not fits]


def _faults(path: Path, files: Any) -> list[str]:
    """Compare the directory with what eqn.json says of its files."""
    if not isinstance(files, dict) or set(files) != _FILES:
        return [f"{_DESCRIPTION} must list {', '.join(sorted(_FILES))}"]
    present = {entry.name: entry for entry in os.scandir(path)}
    faults = [f"{name}: a file that does not belong here" for name in sorted(present.keys() - _FILES - {_DESCRIPTION})]
    if present[_DESCRIPTION].is_symlink():
        faults.append(f"{_DESCRIPTION}: not a plain file")
    for name, said in sorted(files.items()):
        entry = present.get(name)
        if entry is None or not entry.is_file(follow_symlinks=False):
            faults.append(f"{name}: missing, or not a plain file")
        elif {"sha256": _sha256(path / name), "bytes": entry.stat().st_size} != said:
            faults.append(f"{name}: changed since the package was written")
    return faults


def _digests(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        name: {"sha256": _sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in sorted(_FILES)
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pretty(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
