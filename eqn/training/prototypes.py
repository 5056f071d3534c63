"""The head's first weights from what the encoder already knows of the emotions' names.

A sentence encoder puts "I feel relief." near texts of relief before it was trained on any. Each emotion's row of the
head starts as the direction from the mean of all emotions' phrases to the mean of its own, so that a rare emotion, of
which the training rows say little, starts from its meaning instead of from chance.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from eqn.emotions import EMOTIONS, MEANINGS
from eqn.model.batching import BatchPlan, sorted_batches
from eqn.model.encoding import encode, padded
from eqn.model.network import EmotionNetwork

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PHRASES = ("{name}", "{name}: {meaning}", "I feel {name}.")
_PLAN = BatchPlan()


def start_from_names(
    network: EmotionNetwork, tokenizer: "Tokenizer", texts: Sequence[str], *, length: float, max_tokens: int
) -> None:
    """Set the head's rows to the emotions' directions, each of `length`, and keep its mean answer on `texts`.

    The encoder must be as it was pre-trained; the head's bias must give the prior already.
    """
    named = [
        embeddings(
            network, tokenizer, [phrase.format(name=name, meaning=MEANINGS[name]) for name in EMOTIONS], max_tokens
        )
        for phrase in _PHRASES
    ]
    mean = torch.stack(named).mean(dim=0)
    rows = torch.nn.functional.normalize(mean - mean.mean(dim=0), dim=1) * length
    usual = embeddings(network, tokenizer, texts, max_tokens).mean(dim=0)
    with torch.no_grad():
        network.head.weight.copy_(rows)
        network.head.bias.sub_(rows @ usual)


def embeddings(network: EmotionNetwork, tokenizer: "Tokenizer", texts: Sequence[str], max_tokens: int) -> Tensor:
    """Give what the head would be given of `texts`, (texts, width) in float32, without dropout."""
    encoded = encode(tokenizer, texts, max_tokens)
    pad = network.encoder.config.pad_token_id or 0
    device = next(network.parameters()).device
    found = torch.empty(len(texts), network.head.in_features)
    training = network.training
    network.eval()
    with torch.inference_mode():
        for batch in sorted_batches(encoded.lengths(), _PLAN):
            ids, mask = padded([encoded.ids[row] for row in batch], pad=pad, device=device)
            found[batch] = network.pooled(ids, mask).float().cpu()
    network.train(training)
    return found
