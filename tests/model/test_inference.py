"""Promises about making a network ready to score."""

import numpy as np

from eqn.model.backbone import Backbone
from eqn.model.inference import fast_scorer
from eqn.model.network import EmotionNetwork, best_device, fast_precision
from eqn.model.scoring import Scorer


def test_a_network_scores_where_and_how_it_is_fast(
    tiny_network: EmotionNetwork, tiny_backbone: Backbone, model_texts: list[str]
) -> None:
    """On the best device, in its fast precision, reading so many tokens: what a scorer set up by hand answers."""
    scorer = fast_scorer(tiny_network, tiny_backbone.tokenizer, max_tokens=24)

    device = best_device()
    assert (scorer.device.type, scorer.precision, scorer.max_tokens) == (device.type, fast_precision(device), 24)
    assert next(tiny_network.parameters()).device.type == device.type
    assert max(scorer.encode(model_texts).lengths()) == 24
    by_hand = Scorer(tiny_network, tiny_backbone.tokenizer, max_tokens=24, precision=fast_precision(device))
    encoded = by_hand.encode(model_texts)
    np.testing.assert_array_equal(scorer.scores(scorer.encode(model_texts)), by_hand.scores(encoded))
