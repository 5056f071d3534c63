"""A network made ready to score texts on this machine."""

from typing import TYPE_CHECKING

from eqn.model.network import EmotionNetwork, best_device, fast_precision
from eqn.model.scoring import Scorer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def fast_scorer(network: EmotionNetwork, tokenizer: "Tokenizer", *, max_tokens: int) -> Scorer:
    """Give a scorer on the best device here, to which `network` moves, in the precision that is fast there."""
    device = best_device()
    return Scorer(network.to(device), tokenizer, max_tokens=max_tokens, precision=fast_precision(device))
