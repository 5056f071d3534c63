"""Promises about emoji as words, on the tokenizer of the tiny backbone's kind with the words it needs."""

import json
import unicodedata

import pytest
from tokenizers import BertWordPieceTokenizer, Tokenizer

from eqn.errors import ArtifactRefused
from eqn.model.emoji import EMOJI, name_emoji
from eqn.model.tokenizer_file import tokenizer_from

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "so", "funny", "face", "with", "tears", "of", "joy", "!"]


@pytest.fixture
def tokenizer() -> Tokenizer:
    """A BERT's tokenizer of a dozen words."""
    pieces = BertWordPieceTokenizer({word: number for number, word in enumerate(WORDS)}, lowercase=True)
    return Tokenizer.from_str(pieces.to_str())


def _tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    found: list[str] = tokenizer.encode(text).tokens
    return found[1:-1]


def test_an_emoji_is_read_as_its_name_wherever_it_stands(tokenizer: Tokenizer) -> None:
    """Within a word's reach and several of them; before, it was unknown."""
    assert _tokens(tokenizer, "so funny 😂!") == ["so", "funny", "[UNK]", "!"]
    name_emoji(tokenizer)
    named = ["face", "with", "tears", "of", "joy"]
    assert _tokens(tokenizer, "so funny😂!") == ["so", "funny", *named, "!"]
    assert _tokens(tokenizer, "😂😂") == named * 2
    assert _tokens(tokenizer, "so funny!") == ["so", "funny", "!"]


def test_the_rule_travels_in_the_tokenizers_file(tokenizer: Tokenizer) -> None:
    """What a package's reader builds from the file reads the same."""
    name_emoji(tokenizer)
    again = tokenizer_from(tokenizer.to_str())
    assert _tokens(again, "so 😂") == ["so", "face", "with", "tears", "of", "joy"]


def test_how_an_emoji_is_drawn_and_its_skin_do_not_matter(tokenizer: Tokenizer) -> None:
    """The variation selector after a heart, a skin tone after a thumb."""
    name_emoji(tokenizer)
    assert tokenizer.encode("❤\ufe0f").tokens == tokenizer.encode("❤").tokens
    assert tokenizer.encode("👍🏽").tokens == tokenizer.encode("👍").tokens


def test_each_emoji_stands_there_once_and_has_a_name() -> None:
    """A second rule for the same one would never be used."""
    assert len(set(EMOJI)) == len(EMOJI)
    assert all(unicodedata.name(emoji) for emoji in EMOJI)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
        {"type": "Replace", "pattern": {"String": ""}, "content": "x"},
        {"type": "Precompiled", "precompiled_charsmap": ""},
    ],
)
def test_a_file_with_other_rules_is_refused(tokenizer: Tokenizer, part: dict[str, object]) -> None:
    """A regular expression out of a file could take hours for a short text; an empty pattern matches everywhere."""
    said = json.loads(tokenizer.to_str())
    said["normalizer"] = {"type": "Sequence", "normalizers": [part, said["normalizer"]]}
    with pytest.raises(ArtifactRefused, match="normalizer"):
        tokenizer_from(json.dumps(said))


def test_a_sequence_must_end_in_berts_own(tokenizer: Tokenizer) -> None:
    """Else the words would not be those of the vocabulary."""
    name_emoji(tokenizer)
    said = json.loads(tokenizer.to_str())
    said["normalizer"]["normalizers"].pop()
    with pytest.raises(ArtifactRefused, match="normalizer"):
        tokenizer_from(json.dumps(said))
