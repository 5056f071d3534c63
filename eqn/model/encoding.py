"""Text to token ids: the one encoding that training and annotation share."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from eqn.model.batching import padded_width

if TYPE_CHECKING:
    from tokenizers import Tokenizer


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
    encodings = tokenizer.encode_batch(list(texts))
    return Encoded(
        ids=[encoding.ids for encoding in encodings],
        truncated=[bool(encoding.overflowing) for encoding in encodings],
    )


def padded(rows: Sequence[list[int]], *, pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Give token ids and attention mask, both (rows, padded width of the longest), padded on the right with `pad`."""
    width = padded_width(max(len(row) for row in rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(width) < lengths.unsqueeze(1)).to(torch.int64)
    return ids.to(device), mask.to(device)
