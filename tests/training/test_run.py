"""Promises about a whole training run: what stage B learns from, and what comes out."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from eqn.corpus.goemotions import Corpus
from eqn.emotions import EMOTIONS
from eqn.errors import UsageError
from eqn.evaluation.evaluate import evaluate_package
from eqn.evaluation.thresholds import choose_thresholds
from eqn.model.backbone import load_backbone
from eqn.model.encoding import Encoded
from eqn.model.network import best_device, fast_precision
from eqn.model.package import FIGURES, Package, load_network, read_package
from eqn.model.scoring import Scorer
from eqn.training import run
from eqn.training.loop import Stage, fit
from eqn.training.progress import Event, Listener
from eqn.training.recipes import Recipe
from eqn.training.run import Order, train, training_key

CorpusWriter = Callable[..., Corpus]
OrderMaker = Callable[..., Order]


@pytest.fixture
def trained_stages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Stage, dict[str, torch.Tensor]]]:
    """Every stage that is trained from here on, with the weights it ended with; the training itself is the real one."""
    stages: list[tuple[Stage, dict[str, torch.Tensor]]] = []

    def watched(stage: Stage, listener: Listener) -> object:
        place = fit(stage, listener)
        weights = {name: tensor.clone() for name, tensor in stage.network.state_dict().items()}
        stages.append((dataclasses.replace(stage, targets=stage.targets.copy()), weights))
        return place

    monkeypatch.setattr(run, "fit", watched)
    return stages


def test_a_training_gives_a_package_that_says_how_it_came_about(toy_order: OrderMaker) -> None:
    """Recipe, corpus, backbone, seed and key; thresholds and figures are those of its own scores on dev and test."""
    order = toy_order()
    package = train(order)
    assert package == read_package(order.out)
    assert package.recipe == order.recipe.values() | {"seed": 3}
    assert package.corpus == {"name": "toy", "digest": order.corpus.ref.digest, "rows": dict(order.corpus.ref.rows)}
    assert package.backbone["name"] == "tiny"
    assert package.training_key == training_key(
        order.recipe, corpus_digest=order.corpus.ref.digest, backbone_digest=package.backbone["digest"], seed=3
    )
    for split in ("dev", "test"):
        assert package.metrics[split] == evaluate_package(package, order.corpus, split).summary()
    network, tokenizer = load_network(package)
    device = best_device()
    scorer = Scorer(network.to(device), tokenizer, max_tokens=32, precision=fast_precision(device))
    scores = scorer.scores(scorer.encode(order.corpus.dev.texts))
    chosen = choose_thresholds(order.corpus.dev.targets(), scores)
    assert [package.thresholds[name] for name in EMOTIONS] == chosen.tolist()


def test_a_package_holds_the_figures_that_its_card_shows(toy_order: OrderMaker, with_figures: None) -> None:
    """Four images, each embedded by its name; the same training draws the same bytes."""
    package = train(toy_order())
    again = train(toy_order(out=package.path.with_name("again")))
    card = (package.path / "README.md").read_text("utf-8")
    for name in FIGURES:
        assert (package.path / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in card
    assert again.digest == package.digest


def test_nothing_but_the_package_is_left(toy_order: OrderMaker) -> None:
    """The state for resuming is gone when it is no longer needed."""
    order = toy_order()
    train(order)
    assert [path.name for path in order.out.parent.iterdir()] == ["model"]


def test_what_can_be_learnt_is_learnt(toy_order: OrderMaker) -> None:
    """On letters that show the emotion the model is far above the prior."""
    recipe = dataclasses.replace(toy_order().recipe, least_steps=60)
    package = train(toy_order(recipe=recipe))
    assert package.metrics["test"]["brier_skill"] > 0.3
    assert package.metrics["test"]["map"] > 0.8  # over the three emotions that there are


def test_the_same_order_twice_gives_the_same_package(toy_order: OrderMaker, tmp_path: Path) -> None:
    """Same digest, which covers every byte of every file, wherever it is written; another seed gives another."""
    first = train(toy_order(out=tmp_path / "first"))
    second = train(toy_order(out=tmp_path / "elsewhere" / "second"))
    other = train(toy_order(out=tmp_path / "other", seed=4))
    assert first.digest == second.digest
    assert other.digest != first.digest


def test_the_baselines_stand_in_the_card(toy_order: OrderMaker) -> None:
    """What was measured beside the model is shown beside it."""
    package = train(toy_order())
    figures = package.metrics["test"] | {"macro_f1": 0.987}
    beside = train(toy_order(out=package.path.with_name("beside"), baselines={"a baseline": figures}))
    assert "| a baseline | 0.987 " in (beside.path / "README.md").read_text("utf-8")


def test_one_stage_learns_the_labels_as_given(
    toy_order: OrderMaker, trained_stages: list[tuple[Stage, dict[str, torch.Tensor]]]
) -> None:
    """Without folds there is one training, on all rows and their labels."""
    order = toy_order(recipe=Recipe(name="plain", max_tokens=32, least_steps=4, epochs=1))
    train(order)
    ((stage, _),) = trained_stages
    assert stage.name == "training"
    np.testing.assert_array_equal(stage.targets, order.corpus.train.targets())


@pytest.mark.parametrize("folds", [2, 3])
def test_every_rows_energy_comes_from_the_network_that_never_saw_it(
    toy_order: OrderMaker, trained_stages: list[tuple[Stage, dict[str, torch.Tensor]]], folds: int
) -> None:
    """Each fold's network, asked again by hand: stage B's targets are those of the one network without that row."""
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, folds=folds))
    train(order)
    *stages, (last, _) = trained_stages
    gold, everything = order.corpus.train.targets(), [tuple(row) for row in last.ids]
    assert [stage.name for stage, _ in stages] == [f"stage A fold {n + 1} of {folds}" for n in range(folds)]
    assert len(set(everything)) == len(gold) == 60  # no two rows are alike, so that a row is known by its tokens

    unseen = np.array([[row not in {tuple(ids) for ids in stage.ids} for row in everything] for stage, _ in stages])
    assert unseen.sum(axis=0).tolist() == [1] * 60
    for stage, _ in stages:
        rows = [everything.index(tuple(ids)) for ids in stage.ids]
        np.testing.assert_array_equal(stage.targets, gold[rows])

    answers = np.stack([_answers(order, stage, weights, last.ids) for stage, weights in stages])
    energies = np.maximum(gold, answers)
    by_the_unseeing = np.take_along_axis(energies, unseen.argmax(axis=0)[None, :, None], axis=0)[0]
    by_another = np.take_along_axis(energies, unseen.argmin(axis=0)[None, :, None], axis=0)[0]
    # Other batches than in training move a bfloat16 score by its rounding.
    np.testing.assert_allclose(last.targets, by_the_unseeing, atol=0.01)
    assert np.abs(last.targets - by_another).max() > 0.05


def _answers(
    order: Order, stage: Stage, weights: dict[str, torch.Tensor], ids: Sequence[list[int]]
) -> NDArray[np.float32]:
    stage.network.load_state_dict(weights)
    tokenizer = load_backbone("tiny", cache=order.backbones, seed=0).tokenizer
    scorer = Scorer(stage.network, tokenizer, max_tokens=32, precision=stage.precision)
    return scorer.scores(Encoded(ids=list(ids), truncated=[False] * len(ids)))


def test_a_label_that_raters_left_out_gets_energy_again(
    write_corpus: CorpusWriter, toy_order: OrderMaker, trained_stages: list[tuple[Stage, dict[str, torch.Tensor]]]
) -> None:
    """Half of the rows with `zz` lost their second label: stage B's targets see it in them above chance."""
    draw = np.random.default_rng(0)
    rows, hidden, without = [], [], []
    for number in range(240):
        has_second, lost = bool(draw.random() < 0.4), bool(draw.random() < 0.5)
        words = ["ab" if number % 2 else "cd", *["zz zz" if has_second else "xy"], str(number)]
        rows.append(
            (" ".join(draw.permutation(words)), sorted({number % 2, *([9] if has_second and not lost else [])}))
        )
        (hidden if has_second and lost else without if not has_second else []).append(number)
    order = toy_order(
        corpus=write_corpus(rows), recipe=dataclasses.replace(toy_order().recipe, least_steps=60, learning_rate=2e-3)
    )
    train(order)
    last = trained_stages[-1][0]
    gold = order.corpus.train.targets()
    assert gold[hidden + without, 9].max() == 0
    assert len(hidden) > 30
    truth = [1] * len(hidden) + [0] * len(without)
    assert roc_auc_score(truth, last.targets[hidden + without, 9]) > 0.8
    assert last.targets[hidden, 9].mean() > 2 * last.targets[without, 9].mean()
    assert (last.targets[gold == 1] == 1).all()
    assert last.targets.min() >= 0
    assert last.targets.max() <= 1


def test_without_expansion_stage_b_learns_the_labels(
    toy_order: OrderMaker, trained_stages: list[tuple[Stage, dict[str, torch.Tensor]]]
) -> None:
    """At 0, stage A is trained and its answers are ignored."""
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, expansion=0.0, least_steps=4))
    train(order)
    np.testing.assert_array_equal(trained_stages[-1][0].targets, order.corpus.train.targets())


def test_every_stage_starts_from_the_backbone_anew(toy_order: OrderMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a fold has learnt goes into the next one: the encoders start alike, the heads by their own seeds."""
    starts = []

    def watched(stage: Stage, listener: Listener) -> object:
        starts.append({name: tensor.clone() for name, tensor in stage.network.state_dict().items()})
        return fit(stage, listener)

    monkeypatch.setattr(run, "fit", watched)
    order = toy_order()
    train(order)
    pristine = load_backbone("tiny", cache=order.backbones, seed=order.seed).encoder.state_dict()
    assert len(starts) == 3
    for start in starts:
        assert all(torch.equal(start[f"encoder.{name}"].cpu(), tensor) for name, tensor in pristine.items())
    assert not torch.equal(starts[0]["head.weight"], starts[1]["head.weight"])


def test_a_key_names_recipe_data_backbone_and_seed() -> None:
    """Each of them changes the key, every field of the recipe does, and equal facts give equal keys."""
    recipe = Recipe(name="toy", loss="mse")
    facts = {"corpus_digest": "c", "backbone_digest": "b", "seed": 0}
    key = training_key(recipe, **facts)
    assert training_key(Recipe(name="toy", loss="mse"), **facts) == key
    others = [
        training_key(recipe, **(facts | change))
        for change in ({"corpus_digest": "x"}, {"backbone_digest": "x"}, {"seed": 1})
    ]
    changed = {
        "name": "other", "folds": 2, "expansion": 0.5, "bounded_targets": False, "drop_multiple_labels": True,
        "loss": "bce", "pooling": "cls", "dropout": 0.2, "max_tokens": 64, "batch_size": 32, "epochs": 3,
        "least_steps": 400, "learning_rate": 1e-4, "pool": 1, "head_rate": 1.0, "warmup": 0.2, "weight_decay": 0.0,
        "clip": 2.0, "checks": 5, "validation_share": 0.2,
    }  # fmt: skip
    assert changed.keys() == {field.name for field in dataclasses.fields(Recipe)}
    others += [training_key(dataclasses.replace(recipe, **{name: value}), **facts) for name, value in changed.items()]
    assert len({key, *others}) == 1 + len(others)


def test_a_key_does_not_depend_on_names_or_places(
    toy_order: OrderMaker, write_corpus: CorpusWriter, tmp_path: Path
) -> None:
    """The same rows in another folder, written to another place with baselines: the same key."""
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, least_steps=4))
    texts, labels = order.corpus.train.texts, order.corpus.train.labels
    again = write_corpus(list(zip(texts, labels, strict=True)))
    renamed = dataclasses.replace(again, ref=dataclasses.replace(again.ref, name="renamed"))
    first = train(order)
    second = train(dataclasses.replace(order, corpus=renamed, out=tmp_path / "b" / "c"))
    assert second.corpus["name"] == "renamed"
    assert second.training_key == first.training_key


def test_a_place_that_is_taken_is_refused_before_anything_is_trained(toy_order: OrderMaker) -> None:
    """Somebody's files, or a package of another training, stay as they are."""
    heard: list[Event] = []
    order = toy_order()
    order.out.mkdir()
    (order.out / "mine").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="expected a new directory"):
        train(order, heard.append)
    assert [path.name for path in order.out.parent.rglob("*")] == ["model", "mine"]
    elsewhere = toy_order(out=order.out.with_name("elsewhere"), recipe=dataclasses.replace(order.recipe, least_steps=4))
    package = train(elsewhere)
    with pytest.raises(UsageError, match="expected a new directory"):
        train(dataclasses.replace(elsewhere, seed=4), heard.append)
    assert read_package(elsewhere.out) == package
    assert not heard


def test_a_recipe_that_does_not_fit_backbone_or_corpus_is_a_wrong_call(
    toy_order: OrderMaker, write_corpus: CorpusWriter, tmp_path: Path
) -> None:
    """More tokens than the encoder has positions, more folds than rows, too few rows to hold any out: all are named."""
    folder = tmp_path / "bert"
    tiny = load_backbone("tiny", cache=tmp_path, seed=0)
    tiny.encoder.save_pretrained(folder)
    tiny.tokenizer.save(str(folder / "tokenizer.json"))
    _shorten(folder, positions=30)
    recipe = dataclasses.replace(toy_order().recipe, folds=3, validation_share=0.1)
    order = toy_order(recipe=recipe, backbone=str(folder), corpus=write_corpus([("a", [1]), ("b", [2])]))
    with pytest.raises(UsageError) as refusal:
        train(order)
    assert [fault.split(" ")[0] for fault in refusal.value.faults] == ["max_tokens", "folds", "validation_share"]
    assert not order.out.exists()


def _shorten(folder: Path, *, positions: int) -> None:
    from safetensors.torch import load, save

    name = "embeddings.position_embeddings.weight"
    weights = load((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").write_bytes(save(weights | {name: weights[name][:positions].clone()}))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": positions}), "utf-8")


@pytest.mark.gpu
def test_training_and_scoring_work_on_the_device(toy_order: OrderMaker) -> None:
    """20 steps on CUDA: the network is there, the package is whole, and the CPU answers what the device answers."""
    devices: set[str] = set()
    order = toy_order(recipe=Recipe(name="device", max_tokens=32, batch_size=16, epochs=1, least_steps=20, checks=2))
    assert best_device().type == "cuda"
    torch.cuda.reset_peak_memory_stats()
    package = train(order, lambda event: devices.add(f"{event.step} of {event.steps}"))
    assert devices == {"10 of 20", "20 of 20"}
    assert torch.cuda.max_memory_allocated() > 0
    scores = []
    for device in (torch.device("cuda"), torch.device("cpu")):
        network, tokenizer = load_network(package)
        scorer = Scorer(network.to(device), tokenizer, max_tokens=32, precision=torch.float32)
        scores.append(scorer.scores(scorer.encode(order.corpus.test.texts)))
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
    assert isinstance(package, Package)
