"""Text to token ids: the one encoding that training and annotation share."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from eqn.model.batching import padded_width

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_CHARACTERS = 32
"""Per token that is read, the characters of a text that are looked at first: several times what plain text needs."""
_LONGER = 8
"""By this factor more of them are looked at where they did not suffice."""


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of some texts."""

    ids: list[list[int]]
    truncated: list[bool]
    """Whether the text was longer than the model reads."""

    def lengths(self) -> list[int]:
        """Give the number of tokens of each text."""
        return [len(ids) for ids in self.ids]


def encode(tokenizer: "Tokenizer", texts: Sequence[str], max_tokens: int) -> Encoded:
    """Encode `texts` to at most `max_tokens` ids each, special tokens included, without padding."""
    # tokenizer.json may carry a fixed padding and truncation of its own (MiniLM's pads to 128): ours replace them.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=max_tokens)
    characters = _CHARACTERS * max_tokens
    long = [row for row, text in enumerate(texts) if len(text) > characters]
    margin = _margin(tokenizer) if long else None
    if margin is None:
        encodings = tokenizer.encode_batch(list(texts))
    else:
        encodings = tokenizer.encode_batch([text[:characters] for text in texts])
        for row in long:
            encodings[row] = _settled(tokenizer, texts[row], encodings[row], characters, margin)
    return Encoded(
        ids=[encoding.ids for encoding in encodings],
        truncated=[bool(encoding.overflowing) for encoding in encodings],
    )


def _settled(tokenizer: "Tokenizer", text: str, encoding: "Encoding", characters: int, margin: int) -> "Encoding":
    """Encode as much of `text` as it takes for what is read to be what it is in the whole text.

    A text of a megabyte, of which the model reads some hundred words, would else hold up all the others. How many
    characters those words take cannot be told beforehand: a text may begin with any number of blanks.
    """
    while characters < len(text) and not _is_settled(encoding, characters - margin):
        characters *= _LONGER
        encoding = tokenizer.encode(text[:characters])
    return encoding


def _is_settled(encoding: "Encoding", before: int) -> bool:
    """Tell whether the word after the last one that is read begins before the character `before`.

    Then the last word that is read has ended, and whatever follows in the text, it begins a word of its own.
    """
    words = [word for word in encoding.word_ids if word is not None]
    last = words[-1] if words else None
    for rest in encoding.overflowing:
        for word, (start, _) in zip(rest.word_ids, rest.offsets, strict=True):
            if word is not None and word != last:
                return bool(start < before)
    return False


def _margin(tokenizer: "Tokenizer") -> int | None:
    """Give how many characters before a cut may be read otherwise than in the whole text; None if any may.

    Of BERT's tokenizers that is certain: each character is normalised by itself, and a word ends where the next
    character says so. Only special tokens are longer; they are looked for in the text as it is.
    """
    from tokenizers import models, pre_tokenizers

    added = list(tokenizer.get_added_tokens_decoder().values())
    is_berts = (
        isinstance(tokenizer.model, models.WordPiece)
        and isinstance(tokenizer.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
        and _is_by_character(tokenizer)
        and not any(token.normalized for token in added)
    )
    return 1 + max((len(token.content) for token in added), default=0) if is_berts else None


def _is_by_character(tokenizer: "Tokenizer") -> bool:
    """Tell whether the normalizer is BERT's, with replacements of single characters before it at most."""
    if tokenizer.normalizer is None:
        return True
    said = json.loads(tokenizer.normalizer.__getstate__())
    parts = said["normalizers"] if said["type"] == "Sequence" else [said]
    return all(
        part["type"] == "BertNormalizer" or (part["type"] == "Replace" and len(part["pattern"].get("String", "")) == 1)
        for part in parts
    )


def padded(rows: Sequence[list[int]], *, pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Give token ids and attention mask, both (rows, padded width of the longest), padded on the right with `pad`."""
    width = padded_width(max(len(row) for row in rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(width) < lengths.unsqueeze(1)).to(torch.int64)
    return ids.to(device), mask.to(device)
