"""Promises about scoring texts."""

import numpy as np
import pytest
import torch

from eqn.model.backbone import Backbone
from eqn.model.batching import BatchPlan
from eqn.model.network import EmotionNetwork
from eqn.model.scoring import Scorer


def _scorer(backbone: Backbone, network: EmotionNetwork, plan: BatchPlan, *, max_tokens: int = 128) -> Scorer:
    return Scorer(network, backbone.tokenizer, max_tokens=max_tokens, precision=torch.float32, plan=plan)


def test_a_text_scores_alike_alone_and_in_any_batch(
    tiny_backbone: Backbone, tiny_network: EmotionNetwork, model_texts: list[str]
) -> None:
    """Padding and neighbours do not move an intensity: less than 1e-5 in float32, over texts of 0 to 150 tokens."""
    alone = _scorer(tiny_backbone, tiny_network, BatchPlan(rows=1))
    together = _scorer(tiny_backbone, tiny_network, BatchPlan(rows=50, tokens=10**6))
    expected = np.concatenate([alone.scores(alone.encode([text])) for text in model_texts])
    assert np.ptp(expected, axis=0).max() > 0.05  # the texts do differ
    scores = together.scores(together.encode(model_texts))
    assert np.abs(scores - expected).max() < 1e-5


def test_scores_stand_in_the_order_of_the_texts(
    tiny_backbone: Backbone, tiny_network: EmotionNetwork, model_texts: list[str]
) -> None:
    """The plan sorts by length; the answer does not."""
    scorer = _scorer(tiny_backbone, tiny_network, BatchPlan(rows=4, tokens=256))
    forwards, backwards = scorer.encode(model_texts), scorer.encode(model_texts[::-1])
    np.testing.assert_allclose(scorer.scores(forwards), scorer.scores(backwards)[::-1], atol=1e-5)


def test_scores_are_the_sigmoid_of_the_logits(tiny_backbone: Backbone, tiny_network: EmotionNetwork) -> None:
    """Computed by hand for one text, the shape (texts, 28), float32."""
    scorer = _scorer(tiny_backbone, tiny_network, BatchPlan())
    encoded = scorer.encode(["I can't stop smiling"])
    scores = scorer.scores(encoded)
    with torch.no_grad():
        ids = torch.tensor(encoded.ids)
        expected = torch.sigmoid(tiny_network(ids, torch.ones_like(ids)))
    assert scores.shape == (1, 28)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected.numpy(), atol=1e-6)


def test_a_clipping_networks_scores_are_its_outputs_within_the_range(
    tiny_backbone: Backbone, tiny_network: EmotionNetwork, model_texts: list[str]
) -> None:
    """The outputs are what the head gave, below 0 and above 1 too; the scores are the same, clipped."""
    tiny_network.output = "clip"
    scorer = _scorer(tiny_backbone, tiny_network, BatchPlan(rows=7))
    encoded = scorer.encode(model_texts)
    outputs = scorer.outputs(encoded)
    assert outputs.min() < 0
    assert outputs.max() > 1
    np.testing.assert_array_equal(scorer.scores(encoded), outputs.clip(0, 1))


def test_outputs_stand_in_the_order_of_the_texts_and_without_dropout(
    tiny_backbone: Backbone, tiny_network: EmotionNetwork, model_texts: list[str]
) -> None:
    """They are the logits of the scores, text by text, and the network goes on training afterwards."""
    tiny_network.dropout.p = 0.5
    tiny_network.train()
    scorer = _scorer(tiny_backbone, tiny_network, BatchPlan(rows=4, tokens=256))
    encoded = scorer.encode(model_texts)
    np.testing.assert_allclose(1 / (1 + np.exp(-scorer.outputs(encoded))), scorer.scores(encoded), atol=1e-6)
    assert tiny_network.training


def test_the_report_hears_of_every_text_and_token_once(
    tiny_backbone: Backbone, tiny_network: EmotionNetwork, model_texts: list[str]
) -> None:
    """Texts and tokens without padding add up to what was scored."""
    scorer = _scorer(tiny_backbone, tiny_network, BatchPlan(rows=7))
    encoded = scorer.encode(model_texts)
    heard: list[tuple[int, int]] = []
    scorer.scores(encoded, report=lambda texts, tokens: heard.append((texts, tokens)))
    assert len(heard) == 8
    assert sum(texts for texts, _ in heard) == len(model_texts)
    assert sum(tokens for _, tokens in heard) == sum(encoded.lengths())


def test_no_text_gives_no_scores(tiny_backbone: Backbone, tiny_network: EmotionNetwork) -> None:
    """An empty list is scored, to nothing."""
    scorer = _scorer(tiny_backbone, tiny_network, BatchPlan())
    assert scorer.scores(scorer.encode([])).shape == (0, 28)


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_network_in_the_mode_it_was_in(
    tiny_backbone: Backbone, tiny_network: EmotionNetwork, *, training: bool
) -> None:
    """Training goes on after a check on dev; the scores themselves come without dropout."""
    tiny_network.dropout.p = 0.5
    tiny_network.train(training)
    scorer = _scorer(tiny_backbone, tiny_network, BatchPlan())
    encoded = scorer.encode(["twice the same"])
    np.testing.assert_array_equal(scorer.scores(encoded), scorer.scores(encoded))
    assert tiny_network.training is training


def test_a_network_that_answers_no_number_is_an_error(tiny_backbone: Backbone, tiny_network: EmotionNetwork) -> None:
    """NaN never becomes an intensity."""
    with torch.no_grad():
        tiny_network.head.bias[3] = float("nan")
    scorer = _scorer(tiny_backbone, tiny_network, BatchPlan())
    for answer in (scorer.scores, scorer.outputs):
        with pytest.raises(FloatingPointError):
            answer(scorer.encode(["x"]))


def test_bfloat16_moves_scores_by_its_rounding_only(
    tiny_backbone: Backbone, tiny_network: EmotionNetwork, model_texts: list[str]
) -> None:
    """The fast precision gives nearly the same intensities, and is what it says: not float32 again."""
    exact = _scorer(tiny_backbone, tiny_network, BatchPlan())
    fast = Scorer(tiny_network, tiny_backbone.tokenizer, max_tokens=128, precision=torch.bfloat16)
    encoded = exact.encode(model_texts)
    difference = np.abs(exact.scores(encoded) - fast.scores(encoded)).max()
    assert 0 < difference < 0.02
