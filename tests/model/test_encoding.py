"""Promises about turning text into token ids."""

import functools
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, BertWordPieceTokenizer, Tokenizer
from tokenizers.normalizers import BertNormalizer, Normalizer, Replace, Sequence
from tokenizers.processors import BertProcessing

from eqn.model import encoding
from eqn.model.backbone import Backbone
from eqn.model.emoji import name_emoji
from eqn.model.encoding import Encoded, encode, padded


def test_a_text_stands_between_its_special_tokens(tiny_backbone: Backbone) -> None:
    """[CLS], the text's tokens, [SEP]; an empty text is the two alone."""
    tokenizer = tiny_backbone.tokenizer
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    encoded = encode(tokenizer, ["hi!", ""], 128)
    spelt = [tokenizer.token_to_id(token) for token in ("h", "##i", "!")]
    assert encoded.ids == [[first, *spelt, last], [first, last]]
    assert encoded.lengths() == [5, 2]


@pytest.mark.parametrize(("letters", "tokens", "truncated"), [(6, 8, False), (7, 8, True), (90, 8, True)])
def test_a_text_is_marked_truncated_exactly_when_tokens_are_lost(
    tiny_backbone: Backbone, letters: int, tokens: int, *, truncated: bool
) -> None:
    """Six letters and two special tokens fill eight places; the seventh is one too many."""
    encoded = encode(tiny_backbone.tokenizer, ["a" * letters], 8)
    assert encoded.lengths() == [tokens]
    assert encoded.truncated == [truncated]


def test_a_truncated_text_keeps_its_beginning_and_its_special_tokens(tiny_backbone: Backbone) -> None:
    """What is cut off is the end of the text, not [SEP]."""
    tokenizer = tiny_backbone.tokenizer
    (ids,) = encode(tokenizer, ["a b c d e f g h i"], 8).ids
    assert [tokenizer.id_to_token(token) for token in ids] == ["[CLS]", "a", "b", "c", "d", "e", "f", "[SEP]"]


def test_a_text_is_encoded_alike_in_any_company(tiny_backbone: Backbone, model_texts: list[str]) -> None:
    """Neither the neighbours nor an earlier call with another limit changes the ids."""
    together = encode(tiny_backbone.tokenizer, model_texts, 64)
    encode(tiny_backbone.tokenizer, model_texts, 8)
    alone = [encode(tiny_backbone.tokenizer, [text], 64) for text in model_texts]
    assert [one.ids[0] for one in alone] == together.ids
    assert [one.truncated[0] for one in alone] == together.truncated
    assert True in together.truncated
    assert False in together.truncated


def test_padding_and_truncation_of_the_tokenizers_own_are_overridden(minilm_folder: Path) -> None:
    """MiniLM's tokenizer.json pads everything to 128 and cuts there; ours does neither."""
    tokenizer = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    assert len(tokenizer.encode("Thanks!").ids) == 128
    encoded = encode(tokenizer, ["Thanks!", "so " * 300], 256)
    assert encoded.ids[0] == [101, 4283, 999, 102]  # [CLS] thanks ! [SEP] of BERT's uncased vocabulary
    assert encoded.lengths() == [4, 256]
    assert encoded.truncated == [False, True]


def test_padding_stands_on_the_right_and_is_masked() -> None:
    """Both tensors are as wide as the longest row, rounded up to eight; the mask is 1 exactly on the rows' tokens."""
    ids, mask = padded([[5, 6, 7], [8]], pad=9, device=torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7, 9, 9, 9, 9, 9], [8, 9, 9, 9, 9, 9, 9, 9]]
    assert mask.tolist() == [[1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]]
    wide, _ = padded([[1] * 8], pad=0, device=torch.device("cpu"))
    assert wide.shape == (1, 8)


@functools.cache
def some_tokenizer(kind: str) -> Tokenizer:
    """Make a BERT's tokenizer: of lower case, of both cases, with named emoji, or with longer rules of its own."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "so", "fun", "##ny", "face", "with", "tears", "of", "joy"]
    words += ["中", "!", ".", "e", "é", "E", "##e", "##é", "ab", "##ab", "##b", "a", "##a", "ᄒ", "##ᅡ", "##ᆫ", "[", "]"]
    pieces = BertWordPieceTokenizer({word: number for number, word in enumerate(words)}, lowercase=kind != "cased")
    tokenizer = Tokenizer.from_str(pieces.to_str())
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(["[MASK]", "[SEP]"])
    if kind == "emoji":
        name_emoji(tokenizer)
    if kind == "rules":
        rules: list[Normalizer] = [Replace("x", ""), Replace("a b", "so"), Replace("!!", "tears of"), BertNormalizer()]
        tokenizer.normalizer = Sequence(rules)
    if kind == "added":
        tokenizer.add_tokens([AddedToken("a b", normalized=True), AddedToken("fun fun", normalized=True)])
    return tokenizer


def encoded_whole(tokenizer: Tokenizer, text: str, max_tokens: int) -> Encoded:
    """Encode all of a text, and cut what the model does not read off its tokens."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_tokens)
    whole = tokenizer.encode(text)
    return Encoded([whole.ids], [bool(whole.overflowing)])


_PIECES = st.sampled_from(
    [
        *(" ", "\n", "\t", "\u00a0", "\u200b", "\u0301", "e\u0301", "é", "E", "a", "ab", "x", "so ", "funny ", "fun "),
        *(
            "!",
            ".",
            "中",
            "中文 ",
            "\u1112\u1161\u11ab",
            "한",
            "😂",
            "❤\ufe0f",
            "👍🏽",
            "\u200d",
            "[MASK]",
            "[SEP",
            "]",
        ),
        *("a b", "\x00", "\ufffd", "İ", "ß", "\u0345", "\U0001d49c", "\U000e0101"),
    ]
)
_ODD_TEXTS = st.lists(st.tuples(_PIECES, st.integers(1, 90) | st.integers(200, 700)), max_size=8).map(
    lambda parts: "".join(piece * times for piece, times in parts)
)


@pytest.mark.parametrize("kind", ["lower", "cased", "emoji", "rules", "added"])
@settings(deadline=None, max_examples=60)
@given(text=_ODD_TEXTS, max_tokens=st.sampled_from([8, 9, 16]))
@example(text="a" * 257 + " so", max_tokens=8)
@example(text=" " * 5000 + "so funny", max_tokens=8)
@example(text=" " * 5000 + "so funny " * 9, max_tokens=8)
@example(text="so " * 5 + " " * 236 + "ab" * 60, max_tokens=8)
@example(text="so " * 5 + "a" * 241, max_tokens=8)
@example(text="so " * 6 + "a" * 238, max_tokens=8)
@example(text="e\u0301" * 400, max_tokens=8)
@example(text="e" + "\u0301" * 4000, max_tokens=8)
@example(text="so " * 80 + "[MASK] so" * 9, max_tokens=8)
@example(text="so " * 5 + " " * 238 + "[MASK]" + " so" * 20, max_tokens=8)
@example(text="x" * 3000 + "a" + "x" * 3000 + " b", max_tokens=8)
def test_a_long_text_is_encoded_as_if_all_of_it_were_looked_at(kind: str, text: str, max_tokens: int) -> None:
    """Runs of letters that make one unknown word, blanks, marks that combine, Chinese, emoji: the same ids and flag."""
    tokenizer = some_tokenizer(kind)
    assert encode(tokenizer, [text], max_tokens) == encoded_whole(tokenizer, text, max_tokens)


@settings(deadline=None, max_examples=30)
@given(text=st.text(min_size=200, max_size=600), times=st.integers(1, 4))
def test_any_text_is_encoded_as_if_all_of_it_were_looked_at(text: str, times: int) -> None:
    """Whatever Unicode has, wherever it is cut."""
    for kind in ("lower", "cased", "emoji"):
        tokenizer = some_tokenizer(kind)
        assert encode(tokenizer, [text * times], 8) == encoded_whole(tokenizer, text * times, 8)


@pytest.mark.parametrize(("kind", "is_cut"), [("lower", True), ("emoji", True), ("rules", False), ("added", False)])
def test_of_a_very_long_text_only_what_is_read_is_looked_at(
    kind: str, monkeypatch: pytest.MonkeyPatch, *, is_cut: bool
) -> None:
    """A megabyte of words does not hold up the others; where rules may reach far, all of it is looked at."""
    looked_at: list[int] = []

    class Watched:
        def __init__(self, tokenizer: Tokenizer) -> None:
            self._tokenizer = tokenizer

        def __getattr__(self, name: str) -> object:
            return getattr(self._tokenizer, name)

        def encode_batch(self, texts: list[str]) -> object:
            looked_at.extend(map(len, texts))
            return self._tokenizer.encode_batch(texts)

        def encode(self, text: str) -> object:
            looked_at.append(len(text))
            return self._tokenizer.encode(text)

    tokenizer, text = some_tokenizer(kind), "so funny! " * 100_000
    encoded = encode(Watched(tokenizer), ["so", text, "funny"], 128)  # type: ignore[arg-type]
    assert encoded.truncated == [False, True, False]
    assert encoded.lengths() == [3, 128, 4]
    assert sum(looked_at) == (7 + 128 * encoding._CHARACTERS if is_cut else 7 + len(text))


def test_minilm_reads_long_texts_as_if_all_of_them_were_looked_at(minilm_folder: Path) -> None:
    """The vocabulary of the real one."""
    tokenizer = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    for text in ("antidisestablishmentarianism " * 3000, "é" * 60_000, "中" * 20_000, " " * 99_999 + "so", "😂" * 9000):
        assert encode(tokenizer, [text], 128) == encoded_whole(tokenizer, text, 128)
