"""The last question to a network from elsewhere: does it answer?

Weights can be finite and of the right shapes, and still overflow; a tokenizer can give ids that the encoder has no
embedding for, or nothing at all for an empty text. Better to learn it here than in the middle of a corpus.
"""

from typing import TYPE_CHECKING

from eqn.errors import ArtifactRefused

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from eqn.model.network import EmotionNetwork

_TEXTS = ("I can't stop smiling.", "", "déjà vu \N{GRINNING FACE} " * 200)
"""Plain, empty, and longer than any network reads."""


def require_answers(network: "EmotionNetwork", tokenizer: "Tokenizer", max_tokens: int) -> None:
    """Check that the network, on the CPU, gives numbers for every text that its tokenizer can be given.

    Raises:
        ArtifactRefused: it does not; the message says why.

    """
    import torch

    from eqn.model.batching import padded_width
    from eqn.model.encoding import encode
    from eqn.model.scoring import Scorer
    from eqn.model.tokenizer_file import refusal_of

    config = network.encoder.config
    if padded_width(max_tokens) > config.max_position_embeddings:
        raise ArtifactRefused(
            f"it says that it reads {max_tokens} tokens; its encoder has {config.max_position_embeddings} positions."
        )
    try:
        encoded = encode(tokenizer, _TEXTS, max_tokens)
        largest = max([*tokenizer.get_vocab().values(), *(number for ids in encoded.ids for number in ids)])
    except BaseException as error:
        raise refusal_of(error) from error
    if largest >= config.vocab_size:
        raise ArtifactRefused(
            f"its tokenizer gives token ids up to {largest}; its encoder knows {config.vocab_size} tokens."
        )
    if min(encoded.lengths()) < 1 or max(encoded.lengths()) > max_tokens:
        raise ArtifactRefused(
            f"its tokenizer gives between {min(encoded.lengths())} and {max(encoded.lengths())} tokens for a text; "
            f"1 to {max_tokens} were expected."
        )
    try:
        Scorer(network, tokenizer, max_tokens=max_tokens, precision=torch.float32).scores(encoded)
    except FloatingPointError as error:
        raise ArtifactRefused("it answers a plain text with something that is no number.") from error
