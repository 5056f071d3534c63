"""Backbones by name: the pre-trained BERT on which a model is built.

    minilm            the default, from the Python package index (see `eqn.model.minilm`)
    tiny              a random BERT of 2 layers for tests: nothing is fetched
    a directory       config.json, model.safetensors and tokenizer.json (or vocab.txt)
    any other name    a BERT on the Hugging Face hub, such as bert-base-cased (safetensors only)

Only BERT itself is accepted: the concrete class is built from plain numbers, so no file can name code to run.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.errors import ArtifactRefused, EqnError, StoreUnavailable, UsageError
from eqn.model.minilm import minilm_directory
from eqn.model.tokenizer_file import tokenizer_from

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BertModel

CONFIG_KEYS: frozenset[str] = frozenset({
    "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range",
    "intermediate_size", "layer_norm_eps", "max_position_embeddings", "num_attention_heads", "num_hidden_layers",
    "pad_token_id", "type_vocab_size", "vocab_size",
})  # fmt: skip
"""The keys of a BERT configuration that EQN reads; every one is a number, but for the activation's name."""

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
"""The files of a backbone; its digest is over those that are there."""

_TINY = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
    "vocab_size": 256, "max_position_embeddings": 512, "hidden_dropout_prob": 0.1,
}  # fmt: skip
_LETTERS = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
_TINY_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_LETTERS, *(f"##{letter}" for letter in _LETTERS), "[MASK]"]
"""The tiny backbone spells: any text has tokens, and no vocabulary file is needed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Backbone:
    """An encoder with its tokenizer, ready to be built upon."""

    name: str
    digest: str
    """sha256 over its files, or over the description of the random one."""
    encoder: "BertModel"
    tokenizer: "Tokenizer"


def load_backbone(name: str, *, cache: Path, seed: int, pooler: bool = False) -> Backbone:
    """Load the backbone called `name`; fetched files are kept in `cache`. `seed` matters to `tiny` alone.

    With `pooler` the encoder has BERT's own pooling layer.

    Raises:
        UsageError: no such backbone.
        ArtifactRefused: the files are not a BERT with safetensors weights.
        StoreUnavailable: the files must be fetched and cannot be.

    """
    digest = backbone_digest(name, cache=cache, seed=seed)
    if name == "tiny":
        return Backbone(name, digest, *_tiny(seed, pooler=pooler))
    directory = _directory(name, cache)
    return Backbone(name, digest, _encoder(directory, pooler=pooler), _tokenizer(directory))


def backbone_frame(name: str, *, cache: Path) -> "tuple[dict[str, Any], Tokenizer]":
    """Give a backbone's configuration, empty where it has none, and its tokenizer; its weights need not be there.

    Raises:
        UsageError: no such backbone.
        ArtifactRefused: the files are not those of a BERT.
        StoreUnavailable: the files must be fetched and cannot be.

    """
    if name == "tiny":
        return dict(_TINY), _tiny_tokenizer()
    directory = _directory(name, cache, files=tuple(file for file in FILES if file != "model.safetensors"))
    file = directory / "config.json"
    try:
        values = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        bert_config(values)
    except ArtifactRefused:
        raise
    except Exception as error:  # transformers raises whatever it meets
        raise ArtifactRefused(f"expected the configuration of a BERT in {file}: {error}") from error
    return {key: value for key, value in values.items() if key in CONFIG_KEYS}, _tokenizer(directory)


def backbone_digest(name: str, *, cache: Path, seed: int) -> str:
    """Give the digest of the backbone called `name` without building it; raises what `load_backbone` raises."""
    if name == "tiny":
        return hashlib.sha256(json.dumps([_TINY, _TINY_WORDS, seed]).encode()).hexdigest()
    directory = _directory(name, cache)
    if not (directory / "model.safetensors").is_file():
        raise ArtifactRefused(
            f"expected model.safetensors in {directory}; it is not there.",
            todo="Weights in other formats are not read.",
        )
    whole = hashlib.sha256()
    for part in sorted(FILES):
        if (directory / part).is_file():
            with (directory / part).open("rb") as file:
                whole.update(f"{part} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _directory(name: str, cache: Path, *, files: Sequence[str] = FILES) -> Path:
    if name == "minilm":
        return minilm_directory(cache)
    directory = Path(name)
    with contextlib.suppress(RuntimeError):  # ~nobody: there is no such user
        directory = directory.expanduser()
    return directory if directory.is_dir() else _from_hub(name, files)


def bert_config(values: dict[str, Any]) -> Any:
    """Build a BertConfig from the allowed keys of `values`.

    Raises:
        ArtifactRefused: the values describe something other than BERT.

    """
    from transformers import BertConfig

    kind = values.get("model_type", "bert")
    if kind != "bert":
        raise ArtifactRefused(f"expected a BERT encoder; got one of type {kind!r}.", todo="Choose a BERT backbone.")
    return BertConfig(**{key: value for key, value in values.items() if key in CONFIG_KEYS})


def _encoder(directory: Path, *, pooler: bool) -> "BertModel":
    try:
        encoder, missing = _filled(directory, pooler=pooler)
    except ArtifactRefused:
        raise
    except Exception as error:  # transformers, torch and safetensors raise whatever they meet: KeyError, RuntimeError
        raise ArtifactRefused(
            f"expected config.json and model.safetensors of a BERT in {directory}: {error}",
            todo="Check the directory; weights in other formats are not read.",
        ) from error
    if missing:
        raise ArtifactRefused(
            f"{directory / 'model.safetensors'} lacks {len(missing)} tensors of a BERT.", faults=missing[:5]
        )
    return encoder


def _filled(directory: Path, *, pooler: bool) -> "tuple[BertModel, list[str]]":
    """Give the encoder with the weights that are there, and the names of those that are not."""
    from safetensors.torch import load_file
    from transformers import BertModel

    config = bert_config(json.loads((directory / "config.json").read_text("utf-8")))
    weights = load_file(directory / "model.safetensors")
    encoder = BertModel(config, add_pooling_layer=pooler)
    # Checkpoints with a task head keep the encoder under `bert.`; old ones call LayerNorm's parameters gamma and beta.
    renamed = {
        key.removeprefix("bert.")
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): value
        for key, value in weights.items()
    }
    wanted = encoder.state_dict()
    found = {key: value for key, value in renamed.items() if key in wanted}
    return encoder, encoder.load_state_dict(found, strict=False).missing_keys


def _tokenizer(directory: Path) -> "Tokenizer":
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    try:
        if (directory / "tokenizer.json").is_file():
            return tokenizer_from((directory / "tokenizer.json").read_text("utf-8"))
        described = directory / "tokenizer_config.json"
        lowercase = json.loads(described.read_text("utf-8")).get("do_lower_case", True) if described.is_file() else True
        pieces = BertWordPieceTokenizer(str(directory / "vocab.txt"), lowercase=lowercase)
        return Tokenizer.from_str(pieces.to_str())
    except ArtifactRefused as error:
        raise ArtifactRefused(
            f"expected tokenizer.json or vocab.txt of a BERT in {directory}: {error.what}", faults=error.faults
        ) from error
    except Exception as error:  # tokenizers raises bare Exception for files it cannot read
        raise ArtifactRefused(f"expected tokenizer.json or vocab.txt in {directory}: {error}") from error


def _from_hub(name: str, files: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    if name.startswith((".", "/", "~")):
        raise UsageError(
            f"expected a backbone; there is no directory {name}.", todo="Give minilm, tiny, a directory or a hub name."
        )
    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise UsageError(
            f"expected a backbone; {name!r} is neither minilm nor tiny, a directory nor on the hub."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise _unreachable(name) from error


def _unreachable(name: str) -> EqnError:
    return StoreUnavailable(
        f"expected to fetch the backbone {name!r} from the Hugging Face hub, which cannot be reached.",
        todo="Check the network, or give --backbone a directory that holds its files. minilm needs no hub.",
    )


def _tiny(seed: int, *, pooler: bool) -> "tuple[BertModel, Tokenizer]":
    import torch
    from transformers import BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertModel(bert_config(_TINY), add_pooling_layer=pooler), _tiny_tokenizer()


def _tiny_tokenizer() -> "Tokenizer":
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate(_TINY_WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106  no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    return tokenizer
