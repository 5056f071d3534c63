"""Promises about backbones by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save_file
from torch import Tensor

from eqn.errors import ArtifactRefused, EqnError, StoreUnavailable, UsageError
from eqn.model.backbone import Backbone, backbone_digest, load_backbone
from eqn.model.encoding import encode

_Change = Callable[[Path], object]


@pytest.fixture
def bert_folder(tmp_path: Path, tiny_backbone: Backbone) -> Path:
    """A local directory with the files of a BERT: the tiny one's, as transformers and tokenizers write them."""
    folder = tmp_path / "bert"
    tiny_backbone.encoder.save_pretrained(folder)
    tiny_backbone.tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _load(folder: Path) -> Backbone:
    return load_backbone(str(folder), cache=folder.parent / "nothing-is-fetched", seed=0)


def _same_weights(one: Backbone, other: Backbone) -> bool:
    mine, theirs = one.encoder.state_dict(), other.encoder.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def _rename_weights(folder: Path, rename: Callable[[str], str]) -> None:
    weights = load((folder / "model.safetensors").read_bytes())
    save_file({rename(name): tensor for name, tensor in weights.items()}, folder / "model.safetensors")


def _configure(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def _write_vocabulary(folder: Path, tiny: Backbone) -> None:
    (folder / "tokenizer.json").unlink()
    words = sorted(tiny.tokenizer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words), "utf-8")


def test_tiny_depends_on_its_seed_alone(tmp_path: Path) -> None:
    """The same seed gives the same weights and digest, another seed others; the caller's random state is untouched."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (load_backbone("tiny", cache=tmp_path, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert _same_weights(first, again)
    assert first.digest == again.digest
    assert not _same_weights(first, other)
    assert first.digest != other.digest


def test_tiny_has_tokens_for_any_text(tiny_backbone: Backbone) -> None:
    """Letters are spelt in lower case; what it has no sign for is unknown, never an error."""
    (ids,) = encode(tiny_backbone.tokenizer, ["Ab 🙂"], 16).ids
    tokens = [tiny_backbone.tokenizer.id_to_token(token) for token in ids]
    assert tokens == ["[CLS]", "a", "##b", "[UNK]", "[SEP]"]
    assert tiny_backbone.tokenizer.get_vocab_size() <= tiny_backbone.encoder.config.vocab_size


def test_a_local_directory_is_loaded_as_it_was_saved(bert_folder: Path, tiny_backbone: Backbone) -> None:
    """Weights, tokens and configuration are those of the saved encoder."""
    loaded = _load(bert_folder)
    assert _same_weights(loaded, tiny_backbone)
    assert loaded.encoder.config.hidden_size == 64
    texts = ["Thanks, that made my day!", ""]
    assert encode(loaded.tokenizer, texts, 64) == encode(tiny_backbone.tokenizer, texts, 64)


def test_a_directory_is_known_by_its_files(bert_folder: Path, tiny_backbone: Backbone) -> None:
    """Other weights, sizes, tokens or case make another backbone; its place, the seed and foreign files do not."""

    def digest(folder: Path, seed: int = 0) -> str:
        return backbone_digest(str(folder), cache=folder, seed=seed)

    first = digest(bert_folder)
    assert first == _load(bert_folder).digest == digest(bert_folder, seed=1)
    (bert_folder / "notes.txt").write_text("mine", "utf-8")
    bert_folder = bert_folder.rename(bert_folder.with_name("elsewhere"))
    assert digest(bert_folder) == first
    digests = [first]
    for change in (
        lambda: _rename_weights(bert_folder, lambda name: f"bert.{name}"),
        lambda: _configure(bert_folder, layer_norm_eps=1e-6),
        lambda: _write_vocabulary(bert_folder, tiny_backbone),
        lambda: (bert_folder / "tokenizer_config.json").write_text('{"do_lower_case": false}', "utf-8"),
    ):
        change()
        digests.append(digest(bert_folder))
    assert len(set(digests)) == 5


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"bert.{name}",
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
        lambda name: "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma"),
    ],
    ids=["of a task's checkpoint", "of old checkpoints", "of both"],
)
def test_other_names_of_the_same_weights_are_understood(
    bert_folder: Path, tiny_backbone: Backbone, rename: Callable[[str], str]
) -> None:
    """`bert.` before the names, and gamma and beta for LayerNorm's parameters, as in bert-base-cased."""
    _rename_weights(bert_folder, rename)
    assert _same_weights(_load(bert_folder), tiny_backbone)


def test_weights_of_a_task_are_left_out(bert_folder: Path, tiny_backbone: Backbone) -> None:
    """A checkpoint's own head and pooler have no place in the encoder."""
    weights = load((bert_folder / "model.safetensors").read_bytes())
    extra = {"cls.predictions.bias": torch.zeros(3), "pooler.dense.weight": torch.zeros(64, 64)}
    save_file(weights | extra, bert_folder / "model.safetensors")
    assert _same_weights(_load(bert_folder), tiny_backbone)


def test_a_checkpoints_own_pooler_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    """With `pooler` its trained weights are there; a checkpoint that has none is refused, and what it lacks named."""
    pooled = load_backbone("tiny", cache=tmp_path, seed=0, pooler=True)
    pooled.encoder.save_pretrained(tmp_path / "bert")
    pooled.tokenizer.save(str(tmp_path / "bert" / "tokenizer.json"))
    again = load_backbone(str(tmp_path / "bert"), cache=tmp_path, seed=1, pooler=True)
    assert "pooler.dense.weight" in again.encoder.state_dict()
    assert _same_weights(again, pooled)
    weights = load((tmp_path / "bert" / "model.safetensors").read_bytes())
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    save_file(kept, tmp_path / "bert" / "model.safetensors")
    with pytest.raises(ArtifactRefused) as refusal:
        load_backbone(str(tmp_path / "bert"), cache=tmp_path, seed=1, pooler=True)
    assert set(refusal.value.faults) == {"pooler.dense.weight", "pooler.dense.bias"}


def test_a_vocabulary_is_enough_for_a_tokenizer(bert_folder: Path, tiny_backbone: Backbone) -> None:
    """With vocab.txt in place of tokenizer.json the tokens are the same; case is ignored unless told otherwise."""
    _write_vocabulary(bert_folder, tiny_backbone)
    text = ["Thanks, that made MY day!"]
    assert encode(_load(bert_folder).tokenizer, text, 64) == encode(tiny_backbone.tokenizer, text, 64)
    (bert_folder / "tokenizer_config.json").write_text('{"do_lower_case": false}', "utf-8")
    (ids,) = encode(_load(bert_folder).tokenizer, ["My"], 64).ids
    assert [tiny_backbone.tokenizer.id_to_token(token) for token in ids] == ["[CLS]", "[UNK]", "[SEP]"]


def _drop_a_weight(folder: Path) -> None:
    weights = load((folder / "model.safetensors").read_bytes())
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors")


def _pickle_the_weights(folder: Path) -> None:
    weights: dict[str, Tensor] = load((folder / "model.safetensors").read_bytes())
    torch.save(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: _configure(folder, model_type="roberta"), "of type 'roberta'"),
        (lambda folder: _configure(folder, hidden_size=128), "config.json and model.safetensors"),
        (lambda folder: _configure(folder, hidden_size="x"), "config.json and model.safetensors"),
        (lambda folder: _configure(folder, hidden_act="nonsense"), "config.json and model.safetensors"),
        (lambda folder: (folder / "config.json").unlink(), "config.json and model.safetensors"),
        (lambda folder: (folder / "config.json").write_bytes(b"[]"), "config.json and model.safetensors"),
        (lambda folder: (folder / "model.safetensors").unlink(), "Weights in other formats are not read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), "config.json and model.safetensors"),
        (_pickle_the_weights, "weights in other formats are not read"),
        (_drop_a_weight, "encoder.layer.1.output.dense.weight"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json or vocab.txt"),
        (lambda folder: (folder / "tokenizer.json").write_bytes(b"{}"), "tokenizer.json or vocab.txt"),
    ],
    ids=[
        "another architecture", "other sizes", "no number", "an unknown activation", "no configuration",
        "a configuration of nothing", "no weights", "weights cut short", "pickled weights", "a weight missing",
        "no tokenizer", "a tokenizer of nothing",
    ],
)  # fmt: skip
def test_a_directory_that_holds_no_bert_is_refused(bert_folder: Path, change: _Change, named: str) -> None:
    """Exit 8 and a sentence, whatever is wrong with the files."""
    change(bert_folder)
    with pytest.raises(ArtifactRefused) as refusal:
        _load(bert_folder)
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("/no/such/directory", UsageError),
        ("./no-such-directory", UsageError),
        ("~/no-such-directory", UsageError),
        ("~nobody-of-that-name/model", UsageError),
        ("no such model", UsageError),
        ("a/b/c", UsageError),
        ("eqn-no-such-owner/no-such-model", StoreUnavailable),
    ],
)
def test_an_unknown_name_is_told_in_a_sentence(tmp_path: Path, name: str, error: type[EqnError]) -> None:
    """What can be no name on the hub is a wrong call; what might be one needs the hub, which nothing reaches here."""
    with pytest.raises(error, match="expected"):
        load_backbone(name, cache=tmp_path, seed=0)


def test_minilm_is_the_bert_that_it_is_said_to_be(minilm_folder: Path) -> None:
    """6 layers, 384 wide, and real language in it: texts of one meaning lie closer than others."""
    backbone = load_backbone("minilm", cache=minilm_folder.parent, seed=0)
    assert (backbone.encoder.config.num_hidden_layers, backbone.encoder.config.hidden_size) == (6, 384)
    encoded = encode(backbone.tokenizer, ["I am so happy", "This fills me with joy", "The bus is late again"], 32)
    with torch.inference_mode():
        happy, joy, bus = (
            torch.nn.functional.normalize(
                backbone.encoder.eval()(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(dim=0), dim=0
            )
            for ids in encoded.ids
        )
    assert float(happy @ joy) > float(happy @ bus) + 0.2
