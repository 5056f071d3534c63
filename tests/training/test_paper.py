"""Promises about the recipe `paper`: the published procedure, on a small corpus."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import mse_loss

from eqn.annotation.annotator import Annotator
from eqn.corpus.goemotions import Corpus
from eqn.emotions import EMOTIONS
from eqn.evaluation.evaluate import evaluate_package
from eqn.model.backbone import load_backbone
from eqn.model.encoding import encode
from eqn.model.network import EmotionNetwork
from eqn.model.package import Package, load_network, read_package
from eqn.model.scoring import Scorer
from eqn.training import loop, run
from eqn.training.expansion import hold_out
from eqn.training.loop import Stage, fit
from eqn.training.progress import Event, Listener
from eqn.training.recipes import PAPER
from eqn.training.run import Order, train

CorpusWriter = Callable[..., Corpus]
OrderMaker = Callable[..., Order]
Weights = dict[str, torch.Tensor]

QUICK = dataclasses.replace(PAPER, max_tokens=32, batch_size=16, least_steps=20, learning_rate=3e-3, clip=1e9)
"""The published procedure with rates at which a tiny network learns something in a few steps."""


@dataclasses.dataclass
class Watched:
    """A stage that was trained: as it came, with the weights it started from and ended with."""

    stage: Stage
    targets: NDArray[np.float32]
    first: Weights
    last: Weights
    best_step: int
    checks: list[Event]


def _weights(network: EmotionNetwork) -> Weights:
    return {name: tensor.detach().clone().cpu() for name, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def paper_corpus(write_corpus: CorpusWriter) -> Corpus:
    """80 rows whose letters show their labels; every fourth row has two."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(80):
        first, second = int(draw.integers(3)), 3 + int(draw.integers(3))
        words = ["la", "gr", "mo"][first] * int(draw.integers(1, 4)), ["zz", "xy", "qu"][second - 3]
        rows.append((" ".join([*words, str(number)]), [first, second] if number % 4 == 0 else [first]))
    return write_corpus(rows)


@pytest.fixture(scope="module")
def paper_order(order_at: OrderMaker, paper_corpus: Corpus) -> OrderMaker:
    """Give a function that orders the quick paper recipe, with some fields of the order changed."""

    def make(out: Path, **changes: object) -> Order:
        return order_at(out, **({"recipe": QUICK, "corpus": paper_corpus, "seed": 42} | changes))

    return make


@pytest.fixture
def watched_stages(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    """Every stage that is trained from here on; the training itself is the real one."""
    stages: list[Watched] = []

    def watch(stage: Stage, listener: Listener) -> object:
        first, checks = _weights(stage.network), []

        def listen(event: Event) -> None:
            checks.extend([event] if event.validation_loss is not None else [])
            listener(event)

        place = fit(stage, listen)
        last = _weights(stage.network)
        stages.append(Watched(stage, stage.targets.copy(), first, last, place.best_step, checks))
        return place

    monkeypatch.setattr(run, "fit", watch)
    return stages


def _network(weights: Weights, order: Order) -> Scorer:
    """Give a scorer of the network with these weights."""
    backbone = load_backbone("tiny", cache=order.backbones, seed=order.seed, pooler=True)
    network = EmotionNetwork(backbone.encoder, pooling="pooler", dropout=0.0, output="clip")
    network.load_state_dict(weights)
    return Scorer(network.eval(), backbone.tokenizer, max_tokens=32, precision=run.fast_precision(torch.device("cpu")))


@pytest.fixture
def trained(paper_order: OrderMaker, watched_stages: list[Watched], tmp_path: Path) -> tuple[Order, Package]:
    order = paper_order(tmp_path / "model")
    return order, train(order)


def test_the_second_stage_learns_labels_and_raw_outputs_of_the_first(
    trained: tuple[Order, Package], watched_stages: list[Watched]
) -> None:
    """Labelled cells are 1; every other cell is what stage A's best network answers to that very row, unclipped."""
    order, _ = trained
    stage_a, stage_b = watched_stages
    assert [watched.stage.name for watched in watched_stages] == ["stage A", "stage B"]
    gold = order.corpus.train.targets()
    kept, _ = hold_out(len(gold), 0.1, 42)
    np.testing.assert_array_equal(stage_a.targets, gold[kept])

    scorer = _network(stage_a.last, order)
    outputs = scorer.outputs(scorer.encode(order.corpus.train.texts))
    expected = np.where(gold == 1, 1, outputs)[kept]
    np.testing.assert_allclose(stage_b.targets, expected, atol=1e-6)
    assert (stage_b.targets[gold[kept] == 1] == 1).all()
    assert stage_b.targets[gold[kept] == 0].min() < 0


def test_targets_above_1_are_kept_too(paper_order: OrderMaker, watched_stages: list[Watched], tmp_path: Path) -> None:
    """After a few steps that are much too long, stage A answers far outside the range, and stage B is taught that."""
    recipe = dataclasses.replace(QUICK, learning_rate=0.1, epochs=1, least_steps=3, checks=1)
    order = paper_order(tmp_path / "model", recipe=recipe)
    train(order)
    targets = watched_stages[-1].targets
    gold = order.corpus.train.targets()[hold_out(80, 0.1, 42)[0]]
    assert targets[gold == 0].max() > 1
    assert targets.min() < 0
    assert (targets[gold == 1] == 1).all()


def test_both_stages_start_from_the_backbone_and_hold_out_the_same_rows(
    trained: tuple[Order, Package], watched_stages: list[Watched]
) -> None:
    """Nothing that stage A learnt goes on in stage B but its targets; the rows of both are those of one split."""
    order, _ = trained
    stage_a, stage_b = watched_stages
    pristine = load_backbone("tiny", cache=order.backbones, seed=42, pooler=True).encoder.state_dict()
    assert "pooler.dense.weight" in pristine
    for watched in watched_stages:
        assert all(torch.equal(watched.first[f"encoder.{name}"], tensor) for name, tensor in pristine.items())
        assert not torch.equal(watched.last["encoder.pooler.dense.weight"], pristine["pooler.dense.weight"])
    backbone = load_backbone("tiny", cache=order.backbones, seed=42)
    kept, _ = hold_out(80, 0.1, 42)
    ids = encode(backbone.tokenizer, [order.corpus.train.texts[row] for row in kept], 32).ids
    assert stage_a.stage.ids == stage_b.stage.ids == ids


def test_the_network_with_the_lowest_loss_on_held_out_rows_is_kept(
    trained: tuple[Order, Package], watched_stages: list[Watched]
) -> None:
    """After each of five epochs: the loss said is the squared error of the network as it was, and the best one stays.

    Dev decides nothing but the thresholds.
    """
    order, _ = trained
    gold, (_, held_out) = order.corpus.train.targets(), hold_out(80, 0.1, 42)
    stage_a, stage_b = watched_stages
    for watched in (stage_a, stage_b):
        steps = [check.step for check in watched.checks]
        assert steps == [5, 10, 15, 20, 25]  # 72 rows make five steps of 16
        losses = [check.validation_loss for check in watched.checks]
        assert watched.best_step == steps[int(np.argmin(np.float64(losses)))]
        assert all(check.dev_score is None for check in watched.checks)
    scorer = _network(stage_a.last, order)
    answers = scorer.outputs(scorer.encode([order.corpus.train.texts[row] for row in held_out]))
    loss = float(mse_loss(torch.from_numpy(answers), torch.from_numpy(gold[held_out])))
    assert loss == pytest.approx(min(check.validation_loss or 9 for check in stage_a.checks), rel=1e-3)


def test_a_later_worse_network_is_not_kept(
    paper_order: OrderMaker, watched_stages: list[Watched], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the third of five checks has the lowest loss, the package holds the weights of that moment."""
    answers = iter([-0.5, -0.4, -0.1, -0.3, -0.2] * 2)
    seen: list[Weights] = []

    def check(session: run._Session, scorer: Scorer, rows: object, targets: object) -> run._Check:
        def score() -> float:
            seen.append(_weights(scorer.network))
            return next(answers)

        return run._Check(score, "validation")

    monkeypatch.setattr(run._Session, "_validation", check)
    package = train(paper_order(tmp_path / "model"))
    weights = load_network(package)[0].state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in seen[7].items())
    assert not torch.equal(weights["head.weight"], seen[9]["head.weight"])


def test_rows_with_several_labels_are_lost_only_where_that_is_asked_for(
    paper_order: OrderMaker, watched_stages: list[Watched], tmp_path: Path
) -> None:
    """The defect is an option: with it stage A learns that such rows have no emotion, and no cell of theirs is 1."""
    order = paper_order(tmp_path / "model", recipe=dataclasses.replace(QUICK, drop_multiple_labels=True, epochs=1))
    package = train(order)
    gold = order.corpus.train.targets()
    kept, _ = hold_out(80, 0.1, 42)
    several = gold[kept].sum(axis=1) > 1
    assert several.sum() > 10
    stage_a, stage_b = watched_stages
    assert stage_a.targets[several].max() == 0
    np.testing.assert_array_equal(stage_a.targets[~several], gold[kept][~several])
    assert not (stage_b.targets[several] == 1).any()
    assert package.recipe["drop_multiple_labels"] is True
    # What the model is measured by keeps its labels.
    assert evaluate_package(package, order.corpus, "test").summary() == package.metrics["test"]


def test_rows_with_several_labels_keep_them_by_default(
    trained: tuple[Order, Package], watched_stages: list[Watched]
) -> None:
    """The recipe as it stands has not the defect."""
    assert watched_stages[0].targets.sum(axis=1).max() == 2


def test_its_package_is_evaluated_and_annotates_within_the_range(trained: tuple[Order, Package]) -> None:
    """The package says that outputs are clipped; everything that reads it gets intensities in [0, 1]."""
    order, package = trained
    assert package == read_package(order.out)
    assert (package.output, package.pooling) == ("clip", "pooler")
    assert package.calibration == {}  # its outputs are no log odds
    assert package.conformal["coverage"] == 0.9
    assert "calibrated" not in (order.out / "README.md").read_text("utf-8")
    network, tokenizer = load_network(package)
    scorer = Scorer(network, tokenizer, max_tokens=32, precision=torch.float32)
    encoded = scorer.encode(order.corpus.dev.texts)
    outputs, scores = scorer.outputs(encoded), scorer.scores(encoded)
    assert outputs.min() < 0
    np.testing.assert_array_equal(scores, outputs.clip(0, 1))
    assert evaluate_package(package, order.corpus, "test").summary() == package.metrics["test"]
    frame = Annotator.load(order.out).annotate(["lala zz 3", "grgr xy 5"])
    intensities = frame[list(EMOTIONS)].to_numpy()
    assert intensities.min() >= 0
    assert intensities.max() <= 1
    assert intensities[0].argmax() == 0
    assert intensities[1].argmax() == 1


class Stopped(Exception):
    """Raised by a listener."""


@pytest.mark.parametrize(("stage", "step"), [("stage A", 7), ("stage B", 15), ("stage B", 25)])
def test_a_stopped_training_goes_on_and_ends_with_the_same_bits(
    paper_order: OrderMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, step: int
) -> None:
    """In either stage: the second run starts at the very step that was lost, and the package is the same."""
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    monkeypatch.setattr(loop, "_STEPS_BETWEEN_EVENTS", 1)
    undisturbed = train(paper_order(tmp_path / "undisturbed"))

    def stop(event: Event) -> None:
        if (event.stage, event.step) == (stage, step):
            raise Stopped

    order = paper_order(tmp_path / "model")
    with pytest.raises(Stopped):
        train(order, stop)
    heard: list[Event] = []
    assert train(order, heard.append).digest == undisturbed.digest
    assert (heard[0].stage, heard[0].step) == (stage, step)
