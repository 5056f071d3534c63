"""Promises about the loop."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from eqn.errors import UsageError
from eqn.model.backbone import load_backbone
from eqn.model.batching import BatchPlan
from eqn.model.encoding import encode, padded
from eqn.model.network import EmotionNetwork
from eqn.training import loop
from eqn.training.averaging import Average
from eqn.training.loop import Stage, fit
from eqn.training.objectives import disagreement, objective
from eqn.training.optimizer import learning_rate
from eqn.training.progress import Event, silent
from eqn.training.recipes import Recipe

RECIPE = Recipe(
    name="toy", max_tokens=32, batch_size=16, epochs=1, least_steps=20, learning_rate=1e-3, dropout=0.0, checks=4
)
StageMaker = Callable[..., Stage]


@pytest.fixture
def make_stage(tmp_path: Path) -> StageMaker:
    """Give a function that makes a stage on 40 rows: short ones of emotion 3, long ones of 17."""

    def make(recipe: Recipe = RECIPE, **changes: Any) -> Stage:
        backbone = load_backbone("tiny", cache=tmp_path, seed=0)
        torch.manual_seed(0)
        network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=recipe.dropout)
        texts = ["a " * (number % 5 + 1) if number % 2 else "b " * (number % 7 + 12) for number in range(40)]
        targets = np.zeros((40, 28), dtype=np.float32)
        targets[np.arange(40), [3 if number % 2 else 17 for number in range(40)]] = 1
        fields: dict[str, Any] = {
            "name": "a stage",
            "network": network,
            "ids": encode(backbone.tokenizer, texts, recipe.max_tokens).ids,
            "targets": targets,
            "recipe": recipe,
            "seed": 0,
            "precision": torch.float32,
            "checkpoint": tmp_path / "stage.safetensors",
        }
        return Stage(**(fields | changes))

    return make


def _without_dropout(network: EmotionNetwork) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def _weights(network: EmotionNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_loss_falls_on_what_can_be_learnt(make_stage: StageMaker) -> None:
    """20 steps suffice to tell short rows of `a` from long rows of `b`: the loss halves."""
    stage = make_stage()
    stage.network.start_from(torch.from_numpy(stage.targets.mean(axis=0)))
    losses: list[float] = []
    fit(stage, lambda event: losses.append(event.loss))
    assert losses[-1] < losses[0] / 2
    assert not stage.network.training


def test_events_tell_where_the_run_stands(make_stage: StageMaker) -> None:
    """Each tenth step, each check and the end: steps, epochs, rate, speed and dev's score at checks alone."""
    events: list[Event] = []
    scores = iter([0.1, 0.3, 0.2, 0.25])
    recipe = dataclasses.replace(RECIPE, least_steps=24)
    place = fit(make_stage(recipe, score=lambda: next(scores)), events.append)
    assert [(event.step, event.dev_score) for event in events] == [
        (6, 0.1), (10, None), (12, 0.3), (18, 0.2), (20, None), (24, 0.25),
    ]  # fmt: skip
    assert {(event.stage, event.steps) for event in events} == {("a stage", 24)}
    assert [event.epoch for event in events] == pytest.approx([event.step / 3 for event in events])
    assert events[-1].learning_rate == pytest.approx(learning_rate(23, 24, recipe))
    assert events[-1].seconds_left == 0
    assert all(event.texts_per_second > 0 and np.isfinite(event.loss) for event in events)
    assert (place.best_score, place.best_step) == (0.3, 12)
    assert [(check["step"], check["score"]) for check in place.history] == [
        (6, 0.1),
        (12, 0.3),
        (18, 0.2),
        (24, 0.25),
    ]


def test_the_rate_that_is_told_is_the_steps_own(make_stage: StageMaker) -> None:
    """That of the upper layers, whatever share of it the embeddings or the head get."""
    events: list[Event] = []
    recipe = dataclasses.replace(RECIPE, layer_decay=0.1, head_rate=7.0)
    fit(make_stage(recipe), events.append)
    assert [event.step for event in events] == [10, 20, 21]
    expected = [learning_rate(event.step - 1, 21, recipe) for event in events]
    assert [event.learning_rate for event in events] == pytest.approx(expected)


def test_a_check_on_held_out_rows_is_told_as_their_loss(make_stage: StageMaker) -> None:
    """The score is the loss with its sign turned: the lowest loss is kept, and events say the loss itself."""
    events: list[Event] = []
    losses = iter([0.4, 0.2, 0.3, 0.25])
    recipe = dataclasses.replace(RECIPE, least_steps=24)
    stage = make_stage(recipe, score=lambda: -next(losses), scored_by="validation")
    place = fit(stage, events.append)
    checks = [(event.step, event.validation_loss) for event in events if event.validation_loss is not None]
    assert checks == [(6, 0.4), (12, 0.2), (18, 0.3), (24, 0.25)]
    assert all(event.dev_score is None for event in events)
    assert (place.best_score, place.best_step) == (-0.2, 12)


@pytest.mark.parametrize(
    ("scores", "best"), [((0.1, 0.9, 0.3, 0.9), 1), ((0.0, 0.0, 0.0, 0.0), 0), ((0.1, 0.2, 0.3, 0.4), 3)]
)
def test_the_network_ends_with_the_weights_of_the_best_check(
    make_stage: StageMaker, scores: tuple[float, ...], best: int
) -> None:
    """Those that dev liked best, the first of equals, and not the last ones; also when no check found anything."""
    seen: list[dict[str, Tensor]] = []
    stage = make_stage()

    def score() -> float:
        seen.append(_weights(stage.network))
        return scores[len(seen) - 1]

    fit(stage, silent)
    last = _weights(stage.network)
    stage = make_stage(score=score, checkpoint=stage.checkpoint.with_name("other"))
    fit(stage, silent)
    assert _equal(_weights(stage.network), seen[best])
    assert _equal(seen[3], last)  # looking at dev does not move the training
    assert not _equal(seen[0], seen[1])


def _weights_after_each_step(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """Give a list that every step from here on adds its weights to, as they are while training."""
    seen: list[dict[str, Tensor]] = []
    learn = loop._Run.learn

    def watched(run: Any, step: int) -> None:
        learn(run, step)
        seen.append(_weights(run.stage.network))

    monkeypatch.setattr(loop._Run, "learn", watched)
    return seen


@pytest.mark.parametrize("best", [1, 3])
def test_what_is_checked_and_kept_is_the_mean_of_the_weights(
    make_stage: StageMaker, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    """Dev scores the mean and not the step's weights, the best mean stays, and training goes on from the step's."""
    steps = _weights_after_each_step(monkeypatch)
    checked: list[dict[str, Tensor]] = []
    stage = make_stage(dataclasses.replace(RECIPE, averaging=0.8))
    start = _weights(stage.network)

    def score() -> float:
        checked.append(_weights(stage.network))
        return float(len(checked) - 1 == best)

    fit(stage, silent)
    plain = steps.copy()
    steps.clear()
    stage = make_stage(stage.recipe, score=score, checkpoint=stage.checkpoint.with_name("checked"))
    fit(stage, silent)
    assert all(_equal(one, other) for one, other in zip(plain, steps, strict=True))

    mean, means = start, []
    for step, weights in enumerate(steps):
        kept = min(0.8, (1 + step) / (10 + step))
        mean = {name: kept * mean[name] + (1 - kept) * tensor for name, tensor in weights.items()}
        means.append(mean)
    for weights, after in zip(checked, (6, 11, 16, 21), strict=True):
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, means[after - 1][name], rtol=1e-4, atol=1e-6)
    assert _equal(_weights(stage.network), checked[best])
    assert not _equal(checked[best], steps[20])


def test_without_a_check_the_mean_of_all_steps_is_kept(make_stage: StageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that trains to its end, as stage A does, ends with the mean as well."""
    steps = _weights_after_each_step(monkeypatch)
    stage = make_stage(dataclasses.replace(RECIPE, averaging=0.8))
    average = Average(stage.network, 0.8)
    last = fit(stage, silent)
    ended = _weights(stage.network)
    assert last.step == len(steps) == 21
    for step, weights in enumerate(steps):
        stage.network.load_state_dict(weights)
        average.update(step)
    assert _equal(ended, average.copy())
    assert not _equal(ended, steps[-1])


def _watch_rows(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Give a list that every piece of a batch from here on adds its rows to."""
    seen: list[list[int]] = []
    backward = loop._Run._backward

    def watched(run: Any, rows: list[int], *, share: float) -> Tensor:
        seen.append(rows)
        return backward(run, rows, share=share)

    monkeypatch.setattr(loop._Run, "_backward", watched)
    return seen


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_r_drop_adds_the_disagreement_of_two_passes(
    make_stage: StageMaker, monkeypatch: pytest.MonkeyPatch, weight: float
) -> None:
    """By hand: two passes with different dropout, the mean of their losses, and the recipe's weight of the rest."""
    recipe = dataclasses.replace(RECIPE, r_drop=weight, dropout=0.4)
    rows = _watch_rows(monkeypatch)
    run = loop._Run(make_stage(recipe))
    run.stage.network.train()
    torch.manual_seed(5)
    run.learn(0)

    stage = make_stage(recipe)
    stage.network.train()
    ids, mask = padded([stage.ids[row] for row in rows[0]], pad=0, device=torch.device("cpu"))
    targets = torch.from_numpy(stage.targets[rows[0]])
    torch.manual_seed(5)
    one, other = (stage.network(ids, mask) for _ in range(2))
    losses = [objective(recipe)(outputs, targets).item() for outputs in (one, other)]
    assert losses[0] != losses[1]
    expected = losses[0]
    if weight:
        expected = sum(losses) / 2 + weight * disagreement(one, other).item()
    assert run.mean_loss() == pytest.approx(expected, rel=1e-5)


def test_without_dropout_r_drop_changes_nothing(make_stage: StageMaker) -> None:
    """Two equal passes do not disagree: the gradient is that of one."""
    gradients = []
    for weight in (0.0, 5.0):
        stage = make_stage(dataclasses.replace(RECIPE, r_drop=weight, clip=1e9))
        _without_dropout(stage.network)
        loop._Run(stage).learn(0)
        gradients.append(torch.cat([p.grad.flatten() for p in stage.network.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    assert float(gradients[0].norm()) > 0.01


@settings(deadline=None)
@given(steps=st.integers(1, 300), checks=st.integers(1, 20))
def test_dev_is_checked_evenly_and_at_the_end(steps: int, checks: int) -> None:
    """As often as the recipe says, or after every step of a shorter run; the last check is at the end."""
    run = loop._Run.__new__(loop._Run)
    run.steps = steps
    run.stage = Stage.__new__(Stage)
    run.stage.recipe = dataclasses.replace(RECIPE, checks=checks)
    due = [step for step in range(1, steps + 1) if run.check_due(step)]
    assert len(due) == min(steps, checks)
    assert due[-1] == steps
    gaps = np.diff([0, *due])
    assert gaps.max() - gaps.min() <= 1


def test_a_batch_in_pieces_has_the_gradient_of_the_whole(
    make_stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long rows are computed a few at a time: pieces of unequal size add up to the same gradient and loss."""
    gradients, losses = [], []
    for plan in (BatchPlan(rows=1000, tokens=10**6), BatchPlan(rows=3, tokens=10**6), BatchPlan(rows=16, tokens=64)):
        monkeypatch.setattr(loop, "_AT_ONCE", plan)
        stage = make_stage(dataclasses.replace(RECIPE, clip=1e9))
        _without_dropout(stage.network)
        run = loop._Run(stage)
        run.learn(0)
        losses.append(run.mean_loss())
        gradients.append(torch.cat([p.grad.flatten() for p in stage.network.parameters() if p.grad is not None]))
    assert losses[1:] == pytest.approx(losses[:1] * 2, rel=1e-5)
    for pieces in gradients[1:]:
        torch.testing.assert_close(pieces, gradients[0], rtol=1e-4, atol=1e-6)
    assert float(gradients[0].norm()) > 0.01


def test_a_gradient_longer_than_the_recipe_allows_is_cut(make_stage: StageMaker) -> None:
    """Its norm is the recipe's, its direction the same."""
    gradients = []
    for clip in (1e9, 1e-3):
        stage = make_stage(dataclasses.replace(RECIPE, clip=clip))
        _without_dropout(stage.network)
        loop._Run(stage).learn(0)
        gradients.append(torch.cat([p.grad.flatten() for p in stage.network.parameters() if p.grad is not None]))
    assert float(gradients[0].norm()) > 0.01
    assert float(gradients[1].norm()) == pytest.approx(1e-3, rel=1e-3)
    assert float(torch.cosine_similarity(*gradients, dim=0)) == pytest.approx(1, abs=1e-4)


def test_each_group_moves_at_its_share_of_the_steps_rate(make_stage: StageMaker) -> None:
    """While training, and not only as the optimizer was made: the head ten times, the embeddings a quarter."""
    stage = make_stage(dataclasses.replace(RECIPE, head_rate=10.0, layer_decay=0.5))
    run = loop._Run(stage)
    for step in (0, 1, 7):
        run.learn(step)
        rates = {group["rate"]: group["lr"] for group in run.optimizer.param_groups}
        whole = learning_rate(step, run.steps, stage.recipe)
        assert rates == pytest.approx({10.0: 10 * whole, 1.0: whole, 0.5: whole / 2, 0.25: whole / 4})


def test_dropout_works_while_training(make_stage: StageMaker) -> None:
    """Stages that differ in nothing but the dropout end differently, also after a look at dev in between."""
    ends = []
    for dropout in (0.0, 0.5):
        stage = make_stage(dataclasses.replace(RECIPE, dropout=dropout))
        stage.checkpoint = stage.checkpoint.with_name(str(dropout))
        fit(stage, silent)
        ends.append(_weights(stage.network))
    assert not _equal(*ends)


@pytest.mark.parametrize("broken", ["rate", "targets"])
def test_a_loss_that_is_no_number_ends_the_training(make_stage: StageMaker, broken: str) -> None:
    """Exit 2 and the advice to lower the learning rate; nothing trains on with NaN."""
    recipe = dataclasses.replace(RECIPE, learning_rate=1e30) if broken == "rate" else RECIPE
    stage = make_stage(recipe, score=lambda: 0.5)
    if broken == "targets":
        stage.targets[7, 3] = np.nan
    with pytest.raises(UsageError, match=r"the loss of a stage is no number any more\.\nLower the learning rate"):
        fit(stage, silent)


def test_the_seed_decides_the_training(make_stage: StageMaker) -> None:
    """With dropout and shuffling: the same seed ends with the same bits, another seed with others."""
    recipe = dataclasses.replace(RECIPE, dropout=0.2)
    ends = []
    for number, seed in enumerate((1, 1, 2)):
        stage = make_stage(recipe, seed=seed)
        stage.checkpoint = stage.checkpoint.with_name(str(number))
        fit(stage, silent)
        ends.append(_weights(stage.network))
    assert _equal(ends[0], ends[1])
    assert not _equal(ends[0], ends[2])


def test_every_step_sees_rows_that_the_epoch_has_not_seen(
    make_stage: StageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over an epoch each row is trained once, and the next epoch starts over in another order."""
    seen = _watch_rows(monkeypatch)
    fit(make_stage(dataclasses.replace(RECIPE, least_steps=6)), silent)
    assert [len(rows) for rows in seen].count(16) == 4
    first, second = (list(itertools.chain(*seen[start : start + 3])) for start in (0, 3))
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second
