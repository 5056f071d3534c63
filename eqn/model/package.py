"""The model package: a directory that holds a model, says what it is, and proves that it is unchanged.

    config.json         the encoder's numbers
    model.safetensors   all weights, float32
    tokenizer.json      the tokenizer
    README.md           the model card
    emotions.png ...    the card's figures, where they could be drawn
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
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.model.shapes import first, shape_faults

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from eqn.model.network import EmotionNetwork, Output, Pooling

FORMAT = 4
_FORMATS = (1, 2, 3, FORMAT)
"""Format 1 knew neither `output` nor figures, format 2 neither calibration nor conformal limits, format 3 no 8-bit
ranges; such a package is read as it always was."""
FIGURES = ("emotions.png", "reliability.png", "intensities.png", "correlation.png")
"""Images that a package may hold beside its card."""
_DESCRIPTION = "eqn.json"
_FILES = frozenset({"config.json", "model.safetensors", "tokenizer.json", "README.md"})
_LARGEST_DESCRIPTION = 2**20
_FLOAT32 = 1e38
"""Further from 0 no state of a float32 network lies."""
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
    output: str = "sigmoid"
    """How the head's outputs become intensities: `sigmoid` or `clip`."""
    calibration: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """How the outputs were calibrated, which is part of the head already; empty if they were not."""
    conformal: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """`coverage`, `limits` and `rows` of the conformal sets (see `eqn.evaluation.conformal`); empty without them."""
    int8: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """`ranges` of what goes into each product where it may be computed in 8-bit integers, or why it was `refused`, with
    what dev said (see `eqn.evaluation.int8`); empty where nobody tried."""


@dataclasses.dataclass(frozen=True, slots=True)
class Package(Description):
    """A package that was read and whose every file was verified."""

    path: Path = Path()
    digest: str = ""


def write_package(
    path: Path,
    network: "EmotionNetwork",
    tokenizer: "Tokenizer",
    description: Description,
    *,
    card: str,
    figures: Mapping[str, bytes] | None = None,
) -> Package:
    """Write a package to `path`, which must not exist or be an empty directory; nothing half-written is left.

    `figures` are images by their names, all among `FIGURES`.

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
        for name, image in (figures or {}).items():
            (temporary / name).write_bytes(image)
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
        content = _said_in(path / _DESCRIPTION)
        facts = json.loads(content)
        files, form = facts.pop("files"), facts.pop("format")
        description = Description(**{**facts, "labels": tuple(facts["labels"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactRefused(
            f"expected a model package in {path}; its {_DESCRIPTION} is missing or not readable ({error}).",
            todo=_FETCH_AGAIN,
        ) from error
    faults = _faults(path, files)
    if form not in _FORMATS:
        faults.append(f"format {FORMAT} expected, got {form}")
    faults += _impossible(description)
    if faults:
        raise ArtifactRefused(f"the model package {path} is not what it says it is.", faults=faults, todo=_FETCH_AGAIN)
    whole = {field.name: getattr(description, field.name) for field in dataclasses.fields(Description)}
    return Package(**whole, path=path, digest=hashlib.sha256(content).hexdigest())


def load_network(package: Package) -> tuple["EmotionNetwork", "Tokenizer"]:
    """Build the network of a verified package, in evaluation mode on the CPU, and its tokenizer.

    Raises:
        ArtifactRefused: weights or tokenizer do not fit the description, hold something that is no number, or the
            network that they make does not answer.

    """
    from transformers import BertModel

    from eqn.model.network import EmotionNetwork
    from eqn.model.soundness import require_answers
    from eqn.model.tokenizer_file import tokenizer_from

    try:
        config = _config(package)
        encoder = BertModel(config, add_pooling_layer=package.pooling == "pooler")
        network = EmotionNetwork(
            encoder,
            pooling=cast("Pooling", package.pooling),  # its value was checked on reading
            dropout=0.0,
            output=cast("Output", package.output),
        )
        network.load_state_dict(_weights(package), strict=True)
        network.eval()
        tokenizer = tokenizer_from((package.path / "tokenizer.json").read_text("utf-8"))
        require_answers(network, tokenizer, package.max_tokens)
    except ArtifactRefused as error:
        raise ArtifactRefused(
            f"the model in {package.path} cannot be built: {error.what}", faults=error.faults, todo=_FETCH_AGAIN
        ) from error
    except Exception as error:  # transformers, torch and safetensors raise whatever they meet
        raise ArtifactRefused(f"the model in {package.path} cannot be built: {error}", todo=_FETCH_AGAIN) from error
    return network, tokenizer


def _config(package: Package) -> Any:
    """Give the encoder's configuration, once it is certain that the weights on disk are of its shapes."""
    from safetensors import safe_open

    from eqn.model.backbone import CONFIG_KEYS, bert_config
    from eqn.model.int8_layers import product_names

    values = json.loads((package.path / "config.json").read_text("utf-8"))
    foreign = sorted(values.keys() - CONFIG_KEYS - {"model_type"})
    if foreign:
        raise ArtifactRefused(
            "its config.json sets what no package does.", faults=first([f"{key}: not allowed" for key in foreign])
        )
    config = bert_config(values)
    with safe_open(package.path / "model.safetensors", "pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  no mapping
    faults = shape_faults(
        {name: tuple(part.get_shape()) for name, part in slices.items()}, config, pooler=package.pooling == "pooler"
    )
    faults += first([f"{name}: expected F32" for name, part in slices.items() if part.get_dtype() != "F32"])
    if "ranges" in package.int8:
        odd = package.int8["ranges"].keys() ^ set(product_names(config.num_hidden_layers))
        faults += first([f"{name}: expected an 8-bit range for each product, and no others" for name in sorted(odd)])
    if faults:
        raise ArtifactRefused("its weights are not those of its configuration.", faults=faults)
    return config


def _weights(package: Package) -> "dict[str, Tensor]":
    import torch
    from safetensors.torch import load_file

    weights: dict[str, Tensor] = load_file(package.path / "model.safetensors")
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ArtifactRefused("its weights hold values that are no numbers.", faults=first(broken))
    return weights


def _said_in(file: Path) -> bytes:
    """Read eqn.json, a plain file of some kilobytes: from a pipe, or a link into /dev, reading might never end."""
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_DESCRIPTION:
        raise ValueError("not a plain file of at most 1 MiB")
    return file.read_bytes()


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
        ("pooling: expected mean, cls or pooler", said.pooling in ("mean", "cls", "pooler")),
        ("output: expected sigmoid or clip", said.output in ("sigmoid", "clip")),
        ("calibration: expected an object", isinstance(said.calibration, dict)),
        ("conformal: expected a coverage, limits in [0, 1] and rows of emotions", _is_conformal(said.conformal)),
        ("int8: expected ranges of numbers, or why there are none", _is_int8(said.int8)),
        ("recipe: expected an object with a name", _has_texts(said.recipe, "name")),
        ("backbone: expected an object with name and digest", _has_texts(said.backbone, "name", "digest")),
        (
            "corpus: expected an object with name, digest and rows of each split",
            _has_texts(said.corpus, "name", "digest") and _is_numbers(said.corpus.get("rows"), "train", "dev", "test"),
        ),
        (
            "metrics: expected numbers for each split",
            isinstance(said.metrics, dict) and all(_is_numbers(figures) for figures in said.metrics.values()),
        ),
    )
    return [fault for fault, fits in rules if not fits]


def _has_texts(said: Any, *names: str) -> bool:
    return isinstance(said, dict) and all(isinstance(said.get(name), str) for name in names)


def _is_numbers(said: Any, *names: str) -> bool:
    return isinstance(said, dict) and set(names) <= set(said) and all(isinstance(v, int | float) for v in said.values())


def _is_int8(said: Any) -> bool:
    if not isinstance(said, dict) or ("ranges" in said) is not ("refused" not in said and said != {}):
        return False
    ranges = said.get("ranges", {})
    return isinstance(ranges, dict) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(limit, int | float) for limit in pair)
        and -_FLOAT32 <= pair[0] <= pair[1] <= _FLOAT32
        for pair in ranges.values()
    )


def _is_conformal(said: Any) -> bool:
    if said == {}:
        return True
    return (
        isinstance(said, dict)
        and said.keys() == {"coverage", "limits", "rows"}
        and isinstance(said["coverage"], float)
        and 0 < said["coverage"] < 1
        and _is_numbers(said["limits"])
        and set(said["limits"]) <= set(EMOTIONS)
        and all(0 <= limit <= 1 for limit in said["limits"].values())
        and _is_numbers(said["rows"], *EMOTIONS)
    )


def _faults(path: Path, files: Any) -> list[str]:
    """Compare the directory with what eqn.json says of its files."""
    if not isinstance(files, dict) or not _FILES <= set(files) <= _FILES.union(FIGURES):
        return [f"{_DESCRIPTION} must list {', '.join(sorted(_FILES))}, and beside them none but {', '.join(FIGURES)}"]
    present = {entry.name: entry for entry in os.scandir(path)}
    foreign = sorted(present.keys() - files.keys() - {_DESCRIPTION})
    faults = [f"{name}: a file that does not belong here" for name in foreign]
    for name, said in sorted(files.items()):
        entry = present.get(name)
        if entry is None or not entry.is_file(follow_symlinks=False):
            faults.append(f"{name}: missing, or not a plain file")
        elif {"sha256": _sha256(path / name), "bytes": entry.stat().st_size} != said:
            faults.append(f"{name}: changed since the package was written")
    return faults


def _digests(folder: Path) -> dict[str, dict[str, Any]]:
    return {file.name: {"sha256": _sha256(file), "bytes": file.stat().st_size} for file in sorted(folder.iterdir())}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pretty(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
