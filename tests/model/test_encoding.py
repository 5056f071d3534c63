"""Promises about turning text into token ids."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from eqn.model.backbone import Backbone
from eqn.model.encoding import encode, padded


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
