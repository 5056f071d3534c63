"""Whether a model may be computed in 8-bit integers: held against float32 on dev, once, when its package is made."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eqn.emotions import EMOTIONS
from eqn.evaluation.intervals import paired_difference
from eqn.model.encoding import encode
from eqn.model.float_layers import FloatLayers
from eqn.model.int8_layers import Int8Layers, int8_fault, observed_ranges
from eqn.model.network import EmotionNetwork
from eqn.model.packed import LayerMaker, PackedNetwork
from eqn.model.packing import packed_blocks

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from eqn.corpus.goemotions import Split

OBSERVED = 1000
"""Training texts from which the ranges are taken, the first ones of the split."""
LARGEST_MEAN_CHANGE = 0.01
LARGEST_LOSS = 0.005
"""Of macro-F1: 8 bits are refused when the loss is certainly above this."""
_RESAMPLES = 200


def int8_facts(
    network: EmotionNetwork,
    tokenizer: "Tokenizer",
    observed: Sequence[str],
    dev: "Split",
    *,
    thresholds: NDArray[np.float64],
    max_tokens: int,
) -> dict[str, Any]:
    """Give what a package says of 8-bit products: their ranges over `observed` texts, or why dev `refused` them.

    Empty on a machine that cannot compute so, and for a network that is not on the CPU.
    """
    import torch

    if network.head.weight.device.type != "cpu" or int8_fault():
        return {}
    network.eval()
    blocks = packed_blocks(encode(tokenizer, observed, max_tokens).ids)
    ranges = observed_ranges(network, blocks)
    ids = encode(tokenizer, dev.texts, max_tokens).ids
    exact, rounded = (_scores(network, maker, ids) for maker in (FloatLayers(torch.float32), Int8Layers(ranges)))
    facts, refused = judged(dev.targets(), exact, rounded, thresholds=thresholds)
    return facts | (
        {"refused": refused} if refused else {"ranges": {name: list(pair) for name, pair in ranges.items()}}
    )


def judged(
    gold: NDArray[np.float32],
    exact: NDArray[np.float32],
    rounded: NDArray[np.float32],
    *,
    thresholds: NDArray[np.float64],
) -> tuple[dict[str, Any], str]:
    """Compare scores in float32 and in 8 bits, both (rows, 28), of rows with these labels.

    Gives the mean change of a score, the loss of macro-F1 with its 95 % interval of a paired bootstrap, and why 8 bits
    are refused, or nothing.
    """
    change = float(np.abs(exact - rounded).mean())
    loss = paired_difference(gold, (exact, thresholds), (rounded, thresholds), resamples=_RESAMPLES)["macro_f1"]
    facts = {"mean_change": change, "macro_f1_loss": loss.value, "interval": [loss.interval.low, loss.interval.high]}
    if change > LARGEST_MEAN_CHANGE:
        return facts, f"scores move by {change:.4f} on average, more than {LARGEST_MEAN_CHANGE}"
    if loss.interval.low >= LARGEST_LOSS:
        return facts, f"macro-F1 loses at least {loss.interval.low:.4f}, more than {LARGEST_LOSS}"
    return facts, ""


def _scores(network: EmotionNetwork, maker: LayerMaker, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    packed, scores = PackedNetwork(network, maker), np.empty((len(ids), len(EMOTIONS)), dtype=np.float32)
    for block in packed_blocks(ids):
        scores[block.rows] = packed.intensities(block).numpy()
    return scores
